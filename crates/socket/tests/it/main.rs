//! The endpoint view against an independent implementation, in both roles.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use everwire_proto::ws::{close::CloseCode, message::Message};
use everwire_socket::{
    handshake::{accept, connect},
    message::{MessageSocket, Role, SocketConfig, SocketError},
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    (accepted.unwrap().0, connected.unwrap())
}

#[tokio::test]
async fn a_foreign_client_is_served() {
    let (ours, theirs) = pair().await;
    let server = async {
        let (mut socket, request) =
            accept(ours, |_| String::new(), SocketConfig::default()).await.unwrap();
        assert_eq!(request.path(), "/chat");
        loop {
            match socket.receive().await.unwrap() {
                Message::Close(close) => return close,
                message @ (Message::Text(_) | Message::Binary(_)) => {
                    socket.send(&message).await.unwrap();
                }
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    };
    let client = async {
        let (mut client, _) =
            tokio_tungstenite::client_async("ws://localhost/chat", theirs).await.unwrap();
        for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let message = tungstenite::Message::binary(vec![7; size]);
            client.send(message.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
        client.send(tungstenite::Message::Ping("x".into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), tungstenite::Message::Pong("x".into()));
        client.close(None).await.unwrap();
    };
    let (close, ()) = tokio::join!(server, client);
    assert_eq!(close.code, None);
}

#[tokio::test]
async fn a_foreign_server_is_used() {
    let (theirs, ours) = pair().await;
    let server = async {
        let mut server = tokio_tungstenite::accept_async(theirs).await.unwrap();
        while let Some(Ok(message)) = server.next().await {
            if message.is_text() {
                server.send(message).await.unwrap();
            }
        }
    };
    let client = async {
        let mut socket =
            connect(ours, "localhost", "/", "", SocketConfig::default()).await.unwrap();
        for text in ["", "grüße", &"long".repeat(50_000)] {
            socket.send(&Message::Text(text.into())).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Message::Text(text.into()));
        }
        socket.close(CloseCode::NORMAL, "bye").await.unwrap()
    };
    let ((), close) = tokio::join!(server, client);
    assert_eq!(close.code, Some(CloseCode::NORMAL));
}

/// Two of our own sockets, the handshake done.
fn ours(config: SocketConfig) -> (MessageSocket<DuplexStream>, MessageSocket<DuplexStream>) {
    let (one, other) = tokio::io::duplex(1024);
    let client = MessageSocket::new(one, Role::Client, config, &[]);
    (client, MessageSocket::new(other, Role::Server, config, &[]))
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_after_interval_and_timeout() {
    let (mut client, _server) = ours(SocketConfig::default());
    let patience = Duration::from_millis(30_001);
    let given_up = tokio::time::timeout(patience, client.receive()).await;
    assert!(matches!(given_up, Ok(Err(SocketError::Hung))));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_and_the_queue_stays_bounded() {
    let (mut client, _server) = ours(SocketConfig::default());
    let mut fed = 0;
    let error = loop {
        match client.feed(&Message::Binary(vec![0; 1000])).await {
            Ok(()) => fed += 1000,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SocketError::Hung));
    assert!(fed < 100_000, "{fed}");
}

#[tokio::test(start_paused = true)]
async fn two_peers_that_both_say_much_do_not_wait_for_each_other() {
    let (mut client, mut server) = ours(SocketConfig::default());
    let much = Message::Binary(vec![7; 100_000]);
    client.enqueue(&much);
    server.enqueue(&much);
    let (one, other) = tokio::join!(client.receive(), server.receive());
    assert_eq!((one.unwrap(), other.unwrap()), (much.clone(), much));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_and_takes_nothing_is_given_up() {
    let (one, mut other) = tokio::io::duplex(1024);
    let mut client = MessageSocket::new(one, Role::Client, SocketConfig::default(), &[]);
    client.enqueue(&Message::Binary(vec![0; 10_000]));
    let talk = async {
        loop {
            other.write_all(b"\x81\x01x").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let listen = async {
        loop {
            if let Err(error) = client.exchange().await {
                return error;
            }
        }
    };
    let patience = Duration::from_millis(10_001);
    let given_up = tokio::time::timeout(patience, async {
        tokio::select! { error = listen => error, () = talk => unreachable!() }
    });
    assert!(matches!(given_up.await, Ok(SocketError::Hung)));
}

#[tokio::test]
async fn an_exchange_tells_when_the_queue_has_room() {
    let (mut client, mut server) = ours(SocketConfig::default());
    client.enqueue(&Message::Text("x".into()));
    assert!(client.queued() > 0);
    assert_eq!(client.exchange().await.unwrap(), None);
    assert_eq!(client.queued(), 0);
    assert_eq!(server.receive().await.unwrap(), Message::Text("x".into()));
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_peer_told() {
    let config = SocketConfig { message_max: 100, ..SocketConfig::default() };
    let (mut client, mut server) = ours(config);
    client.send(&Message::Binary(vec![0; 101])).await.unwrap();
    assert!(matches!(server.receive().await, Err(SocketError::Protocol(_))));
    server.flush().await.unwrap();
    let Message::Close(close) = client.receive().await.unwrap() else { panic!("no close") };
    assert_eq!(close.code, Some(CloseCode::TOO_LARGE));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_receive_loses_nothing() {
    let (mut client, mut server) = ours(SocketConfig::default());
    let sent = Message::Text("x".repeat(5000));
    let send = async { client.send(&sent).await.unwrap() };
    let receive = async {
        loop {
            let one = server.receive();
            if let Ok(message) = tokio::time::timeout(Duration::ZERO, one).await {
                return message.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), received) = tokio::join!(send, receive);
    assert_eq!(received, sent);
}
