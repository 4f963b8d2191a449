//! A Redis that wants to know who is there, and one that speaks TLS.

use base64::{Engine, engine::general_purpose::STANDARD};
use everwire_backplane::{
    Bus, conformance,
    redis::{Config, InvalidConfig, Redis},
};
use everwire_testkit::{everwire::Folder, need, tools, wait::eventually};

use crate::server::{Server, VOLATILE};

#[tokio::test]
async fn a_user_with_a_password_and_a_database_gets_in() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    server.tell(&["ACL", "SETUSER", "node", "on", ">pass%word", "~*", "+@all"]).await;
    server.tell(&["ACL", "SETUSER", "default", "off"]).await;
    let address = server.address();
    let node = |url: String| Redis::start(Config::new(url)).unwrap();
    let one = node(format!("redis://node:pass%25word@{address}/3"));
    let two = node(format!("redis://node:pass%25word@{address}/3"));
    conformance::every_node_receives_each_message_once_in_order(&[&one, &two]).await;
    let stranger = node(format!("redis://node:wrong@{address}/3"));
    eventually("a refusal", async || (stranger.health().counts.cuts >= 2).then_some(())).await;
    assert!(!stranger.health().reachable);
}

#[tokio::test]
async fn nodes_talk_over_tls_and_only_with_a_server_that_is_vouched_for() {
    let plain = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.subject_alt_names.push(rcgen::SanType::IpAddress(plain.address().ip()));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    std::fs::write(path("cert.pem"), &certificate).unwrap();
    std::fs::write(path("key.pem"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    for (name, value) in [
        ("tls-cert-file", path("cert.pem")),
        ("tls-key-file", path("key.pem")),
        ("tls-ca-cert-file", path("cert.pem")),
        ("tls-auth-clients", "no".into()),
    ] {
        plain.tell(&["CONFIG", "SET", name, &value]).await;
    }
    plain.tell(&["CONFIG", "SET", "tls-port", "6380"]).await;
    let node = |authorities: Option<&str>| {
        let mut config = Config::new(format!("rediss://{}:6380", plain.address().ip()));
        config.authorities = authorities.map(|pem| pem.as_bytes().to_vec());
        Redis::start(config).unwrap()
    };
    let (one, two) = (node(Some(&certificate)), node(Some(&certificate)));
    conformance::every_node_receives_each_message_once_in_order(&[&one, &two]).await;
    let wary = node(None);
    eventually("a refusal", async || (wary.health().counts.cuts >= 2).then_some(())).await;
    assert!(!wary.health().reachable);
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused() {
    let start = |config| Redis::start(config).map(drop);
    assert!(matches!(start(Config::new("http://x")), Err(InvalidConfig::Url(_))));
    let mut config = Config::new("redis://127.0.0.1");
    config.prefix = "a:b".into();
    assert_eq!(start(config.clone()), Err(InvalidConfig::Prefix));
    config.prefix = "a".into();
    config.lease = std::time::Duration::from_millis(999);
    assert_eq!(start(config), Err(InvalidConfig::Lease));
    let secret = format!("{:?}", Config::new("redis://u:secret@127.0.0.1"));
    assert!(!secret.contains("secret"));
}

/// The text form of a certificate or a key (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}
