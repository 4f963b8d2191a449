//! TLS: whom a client trusts, and the handshake that proves a server's name.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, sync::OnceCell, task::spawn_blocking};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{address::Address, error::ConnectError};

/// Who vouches for servers: the system's certificates, and what the application adds.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    added: Vec<CertificateDer<'static>>,
    /// What follows from it, once it is needed.
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// Trusts these certificates beside the system's.
    pub(crate) fn with(added: Vec<CertificateDer<'static>>) -> Self {
        Self { added, config: OnceCell::new() }
    }

    /// Shakes hands with the server of an address.
    pub(crate) async fn connect(
        &self,
        address: &Address,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let config = self.config.get_or_try_init(|| prepare(self.added.clone())).await?;
        let failed = |source| ConnectError::Tls {
            address: address.authority().into(),
            source: Arc::new(source),
        };
        let name = ServerName::try_from(address.endpoint().0.to_owned());
        let name = name.map_err(|why| failed(io::Error::new(io::ErrorKind::InvalidInput, why)))?;
        TlsConnector::from(config.clone()).connect(name, stream).await.map_err(failed)
    }
}

/// Reads certificates from PEM.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(ConnectError::Certificates("there is none in the text".into()))
        }
        Ok(certificates) => Ok(certificates),
        Err(why) => Err(ConnectError::Certificates(why.to_string().into())),
    }
}

/// The system's certificates are files, and many, so they are read where waiting does no harm.
async fn prepare(added: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, ConnectError> {
    let configured = spawn_blocking(move || configure(added)).await;
    configured.unwrap_or(Err(ConnectError::Stopped))
}

fn configure(added: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, ConnectError> {
    let unfit = |why: &dyn ToString| ConnectError::Certificates(why.to_string().into());
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // A system has certificates of any age; those that are of no use vouch for nobody.
    roots.add_parsable_certificates(system.certs);
    for certificate in added {
        roots.add(certificate).map_err(|why| unfit(&why))?;
    }
    if roots.is_empty() {
        return Err(unfit(&"neither the system nor the application has any"));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| unfit(&why))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
