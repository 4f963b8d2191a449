//! A hub and routes behind one port, and a load balancer before them.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    rivals::Rival,
    scripted::{
        Backend, Role, Wire,
        frame::{Frame, TEXT},
        upgrade_request,
    },
    tools,
};

use crate::stage::echo;

/// HAProxy keeps its connection to the node and sends the next request of the same client over
/// it, wherever that leads.
#[tokio::test]
async fn a_connection_that_a_load_balancer_reuses_leads_from_a_hub_to_a_route() {
    let program = need!(tools::haproxy());
    let backend = Backend::start(|mut leg, _| async move {
        leg.welcome(&[]).await;
        echo(leg).await;
    })
    .await;
    let setup = Setup::new().backend(backend.url()).hubs("[hubs.main]\npath = \"/hub\"\n");
    let everwire = Everwire::start(&setup).await;
    let haproxy = Rival::haproxy(&program, &[everwire.address()]).await;
    let mut wire = Wire::connect(haproxy.address()).await;
    wire.send(b"POST /hub/negotiate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    let negotiated = wire.read_head().await;
    assert!(negotiated.starts_with("HTTP/1.1 200 "), "{negotiated}");
    wire.send(upgrade_request(haproxy.address(), "/chat", &[]).as_bytes()).await;
    // The body of the first answer stands before it.
    let upgraded = wire.read_head().await;
    assert!(upgraded.contains("}HTTP/1.1 101 "), "{upgraded}");
    wire.send_frame(&Frame::new(TEXT, "hello").masked()).await;
    assert_eq!(wire.next_message(Role::Client).await, Some((TEXT, b"hello".to_vec())));
}
