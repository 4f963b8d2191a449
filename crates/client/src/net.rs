//! From an address to a stream of bytes, with TLS or without.

use std::{fmt, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{address::Address, error::ConnectError, tls::Trust};

/// A connected stream.
pub(crate) type Stream = Box<dyn Wire>;

/// Any stream of bytes.
pub(crate) trait Wire: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Wire for S {}

/// Connects to the host of an address.
pub(crate) async fn connect(address: &Address, trust: &Trust) -> Result<Stream, ConnectError> {
    let stream = async {
        let stream = TcpStream::connect(address.endpoint()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let stream = stream.await.map_err(|source| ConnectError::Unreachable {
        address: address.authority().into(),
        source: Arc::new(source),
    })?;
    if address.is_secure() {
        Ok(Box::new(trust.connect(address, stream).await?))
    } else {
        Ok(Box::new(stream))
    }
}
