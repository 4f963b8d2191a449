//! Connections that speak no hub protocol: what comes goes back.

use everwire_hub::{Hub, HubBuilder, HubConfig, RawSocket};
use everwire_proto::signalr::negotiate::{StatefulReconnect, Transport};

use crate::hubs::cookie;

pub(crate) fn connections(config: HubConfig) -> HubBuilder {
    let stateful_reconnect = StatefulReconnect::Off;
    let config = HubConfig { message_max: MESSAGE_MAX, stateful_reconnect, ..config };
    Hub::builder().config(config).raw(|socket| async move {
        if is_welcome(&socket) {
            echo(socket).await;
        }
        Ok(())
    })
}

/// Whether the client has brought the cookie that its negotiation gave it. Of a WebSocket none is
/// asked.
fn is_welcome(socket: &RawSocket) -> bool {
    socket.transport() == Transport::WebSockets || cookie(socket.request(), "testCookie").is_some()
}

async fn echo(mut socket: RawSocket) {
    while let Some(message) = socket.receive().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The largest message of suites that test WebSockets by what comes back.
const MESSAGE_MAX: usize = 16 << 20;
