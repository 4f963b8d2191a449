//! Connections that speak no hub protocol.

use everwire_hub::{Hub, HubConfig, HubError, RawMessage};
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::peer::serve;

/// Says what it hears; ends at "end", fails at "fail".
fn echo() -> Hub {
    let config = HubConfig { message_max: 1 << 20, ..HubConfig::default() };
    let echo = Hub::builder().config(config).raw(|mut socket| async move {
        while let Some(message) = socket.receive().await {
            match &message {
                RawMessage::Text(text) if text == "end" => return Ok(()),
                RawMessage::Text(text) if text == "fail" => return Err(HubError::new("as told")),
                _ => socket.send(message).await?,
            }
        }
        Ok(())
    });
    echo.build().unwrap()
}

#[tokio::test]
async fn a_websocket_keeps_what_a_message_is() {
    let served = serve(echo()).await;
    let (mut socket, _) = connect_async(format!("ws://{}/hub", served.address)).await.unwrap();
    let messages = [
        Message::text("grüße"),
        Message::binary(vec![0xff; 200_000]),
        Message::text(""),
        Message::binary(vec![]),
    ];
    for message in &messages {
        socket.send(message.clone()).await.unwrap();
    }
    for message in &messages {
        assert_eq!(&socket.next().await.unwrap().unwrap(), message);
    }
    for number in 0..100 {
        socket.feed(Message::text(number.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..100 {
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(number.to_string()));
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_handler() {
    let served = serve(echo()).await;
    for (word, code) in [("end", 1000), ("fail", 1011)] {
        let url = format!("ws://{}/hub", served.address);
        let (mut socket, _) = connect_async(url).await.unwrap();
        socket.send(Message::text("last words")).await.unwrap();
        socket.send(Message::text(word)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("last words"));
        let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
            panic!("not closed at {word}")
        };
        assert_eq!(u16::from(close.code), code);
    }
}

#[tokio::test]
async fn polls_and_events_carry_bytes() {
    let hub = echo();
    let ask = async |method: Method, target: &str, accept: &str, body: &str| {
        let body = Full::new(bytes::Bytes::copy_from_slice(body.as_bytes()));
        let request = Request::builder().method(method).uri(target).header("accept", accept);
        hub.service().handle(request.body(body).unwrap()).await
    };
    let target = async || {
        let answer = ask(Method::POST, "/negotiate?negotiateVersion=1", "*/*", "").await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        format!("/?id={}", body["connectionToken"].as_str().unwrap())
    };
    let polled = target().await;
    ask(Method::GET, &polled, "*/*", "").await;
    ask(Method::POST, &polled, "*/*", "hello").await;
    let answer = ask(Method::GET, &polled, "*/*", "").await;
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");

    let events = target().await;
    let mut body = ask(Method::GET, &events, "text/event-stream", "").await.into_body();
    body.frame().await.unwrap().unwrap();
    ask(Method::POST, &events, "*/*", "two\nlines").await;
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, "data: two\r\ndata: lines\r\n\r\n");
}
