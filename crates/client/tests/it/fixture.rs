//! The client and the conformance fixture, a process of its own: all transports, both encodings,
//! with TLS and without.

use std::{fs, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use everwire_client::{
    Client, ClientBuilder, ConnectError, Connection, Protocol, Transport, Upload, WithUploads,
};
use everwire_testkit::{everwire::Folder, signalr::Fixture, wait::soon};
use futures_util::{StreamExt, stream};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::peer::ways;

/// A certificate for a name, written down with its key.
struct Identity {
    pem: String,
    certificate: PathBuf,
    key: PathBuf,
    _folder: Folder,
}

impl Identity {
    fn of(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = Folder::new();
        let (certificate, key) = (folder.0.join("certificate.pem"), folder.0.join("key.pem"));
        let certificate_pem = pem("CERTIFICATE", cert.der());
        fs::write(&certificate, &certificate_pem).unwrap();
        fs::write(&key, pem("PRIVATE KEY", &signing_key.serialize_der())).unwrap();
        Self { pem: certificate_pem, certificate, key, _folder: folder }
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

async fn connect(client: ClientBuilder) -> Connection {
    soon("a connection", client.connect()).await.unwrap()
}

/// All that a client can do with a method.
async fn use_all(client: &Connection, transport: Transport) {
    let name: Transport = client.invoke("GetActiveTransportName", &[(); 0]).await.unwrap();
    assert_eq!(name, transport);
    assert_eq!(client.invoke::<String>("Echo", &["ä\n\r\u{1e}"]).await.unwrap(), "ä\n\r\u{1e}");
    let long = "x".repeat(20_000);
    assert_eq!(client.invoke::<String>("Echo", &[&long]).await.unwrap(), long);
    let items = client.stream::<String>("Stream", &[(); 0]).await.unwrap();
    let items: Vec<String> = items.map(Result::unwrap).collect().await;
    assert_eq!(items, ["a", "b", "c"]);
    let words = Upload::from(stream::iter(["d", "e"]));
    let arguments = WithUploads(&[(); 0], vec![words]);
    assert_eq!(client.invoke::<String>("StreamingConcat", arguments).await.unwrap(), "de");
    let failed = client.invoke::<()>("ThrowException", &["no"]).await.unwrap_err();
    assert!(failed.to_string().contains("no"), "{failed}");
}

#[tokio::test]
async fn every_transport_carries_every_encoding() {
    let fixture = Fixture::start().await;
    for (transport, protocol) in ways() {
        let client = Client::builder(fixture.url("/testHub"));
        let client = connect(client.transports([transport]).protocol(protocol)).await;
        use_all(&client, transport).await;
        soon("goodbye", client.stop()).await;
    }
}

#[tokio::test]
async fn with_tls_too_where_the_certificate_is_vouched_for() {
    let identity = Identity::of("127.0.0.1");
    let fixture = Fixture::start_with(&identity.certificate, &identity.key).await;
    for (transport, protocol) in ways() {
        let client = Client::builder(fixture.tls_url("/testHub"));
        let client = client.root_certificates(&identity.pem).transports([transport]);
        let client = connect(client.protocol(protocol)).await;
        use_all(&client, transport).await;
        soon("goodbye", client.stop()).await;
    }
    let direct = Client::builder(fixture.tls_url("/testHub").replace("https", "wss"));
    let direct = connect(direct.root_certificates(&identity.pem).skip_negotiation()).await;
    use_all(&direct, Transport::WebSockets).await;
}

#[tokio::test]
async fn a_certificate_of_nobody_or_of_somebody_else_is_refused() {
    let identity = Identity::of("127.0.0.1");
    let fixture = Fixture::start_with(&identity.certificate, &identity.key).await;
    let refused = async |client: ClientBuilder| match client.connect().await {
        Err(ConnectError::Tls { source, .. }) => source.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    let stranger = Identity::of("127.0.0.1");
    let client = Client::builder(fixture.tls_url("/testHub"));
    let error = refused(client.root_certificates(&stranger.pem)).await;
    assert!(error.contains("invalid peer certificate"), "{error}");
    let elsewhere = format!("https://localhost:{}/testHub", fixture.tls_address().port());
    let client = Client::builder(elsewhere).root_certificates(&identity.pem);
    let error = refused(client).await;
    assert!(error.contains("not valid for name"), "{error}");
    for pem in ["", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"] {
        let client = Client::builder(fixture.tls_url("/testHub")).root_certificates(pem);
        assert!(matches!(client.connect().await, Err(ConnectError::Certificates(_))), "{pem}");
    }
}

#[tokio::test]
async fn without_websockets_the_best_of_the_others_is_taken() {
    let fixture = Fixture::start().await;
    for (protocol, wanted) in [
        (Protocol::Json, Transport::ServerSentEvents),
        (Protocol::MessagePack, Transport::LongPolling),
    ] {
        let client = Client::builder(fixture.url("/testHub-nowebsockets")).protocol(protocol);
        let client = connect(client.stateful_reconnect()).await;
        use_all(&client, wanted).await;
    }
}

#[tokio::test]
async fn redirects_are_followed_with_every_transport() {
    let fixture = Fixture::start().await;
    for transport in Transport::ALL {
        let url = fixture.url(&format!("/redirect?baseUrl={}", fixture.url("")));
        let client = connect(Client::builder(url).transports([transport])).await;
        let redirects: u32 = client.invoke("GetNumRedirects", &[(); 0]).await.unwrap();
        assert!(redirects > 0);
    }
}

#[tokio::test]
async fn cookies_come_back_with_every_transport() {
    let fixture = Fixture::start().await;
    for transport in Transport::ALL {
        let client = Client::builder(fixture.url("/testHub")).transports([transport]);
        let client = connect(client.header("Cookie", "own=1")).await;
        let cookie = async |name| client.invoke::<Option<String>>("GetCookie", &[name]).await;
        assert_eq!(cookie("testCookie").await.unwrap().as_deref(), Some("testValue"));
        assert_eq!(cookie("testCookie2").await.unwrap().as_deref(), Some("testValue2"));
        assert_eq!(cookie("own").await.unwrap().as_deref(), Some("1"));
        assert_eq!(cookie("expiredCookie").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_token_lets_in_with_every_transport_and_in_either_place() {
    let fixture = Fixture::start().await;
    let token = fixture.request("GET", "/generateJwtToken").await.body;
    for transport in Transport::ALL {
        for place in [everwire_client::TokenPlace::Header, everwire_client::TokenPlace::Query] {
            let client = Client::builder(fixture.url("/authorizedhub")).transports([transport]);
            let client = connect(client.access_token(&*token).token_place(place)).await;
            assert_eq!(client.invoke::<String>("Echo", &["in"]).await.unwrap(), "in");
        }
    }
    let refused = Client::builder(fixture.url("/authorizedhub")).connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Status(401)), "{refused}");
}
