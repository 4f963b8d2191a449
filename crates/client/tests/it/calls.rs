//! What an application says to a server, and what it is answered.

use std::{sync::Arc, task::Poll};

use everwire_client::{InvokeError, Protocol, SendError, Upload, WithUploads};
use everwire_testkit::wait::{soon, until_equal};
use futures_util::{FutureExt, StreamExt, stream};

use crate::peer::{PLAIN, Peer};

#[tokio::test]
async fn a_message_wants_no_answer() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    client.send("Say", &("one", 2, [3.5])).await.unwrap();
    let said = "{\"type\":1,\"target\":\"Say\",\"arguments\":[\"one\",2,[3.5]]}\u{1e}";
    assert_eq!(server.hear().await, said);
}

#[tokio::test]
async fn an_invocation_has_its_result() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let serve = async {
        let said = server.hear().await;
        let asked =
            "{\"type\":1,\"invocationId\":\"0\",\"target\":\"Add\",\"arguments\":[1,2]}\u{1e}";
        assert_eq!(said, asked);
        server.say("{\"type\":3,\"invocationId\":\"0\",\"result\":3}\u{1e}").await;
    };
    let (sum, ()) = tokio::join!(client.invoke::<u32>("Add", &(1, 2)), serve);
    assert_eq!(sum.unwrap(), 3);
}

#[tokio::test]
async fn an_invocation_fails_in_the_servers_words_or_has_no_result() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let answer = |id: u32| format!("{{\"type\":3,\"invocationId\":\"{id}\"}}\u{1e}");
    let serve = async {
        server.hear().await;
        server.say("{\"type\":3,\"invocationId\":\"0\",\"error\":\"no\"}\u{1e}").await;
        for id in 1..=3 {
            server.hear().await;
            server.say(&answer(id)).await;
        }
    };
    let ask = async {
        let failed = client.invoke::<u32>("Fail", &()).await.unwrap_err();
        assert!(matches!(&failed, InvokeError::Server(error) if **error == *"no"), "{failed}");
        client.invoke::<()>("Void", &[0]).await.unwrap();
        assert_eq!(client.invoke::<Option<u32>>("Void", &[0]).await.unwrap(), None);
        let failed = client.invoke::<u32>("Void", &[0]).await.unwrap_err();
        assert!(matches!(failed, InvokeError::Decode(_)), "{failed}");
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn what_cannot_be_said_is_the_applications_fault() {
    let peer = Peer::bind().await;
    let (client, _server) = peer.connected(peer.client()).await;
    let no_array = client.send("Say", "one").await;
    assert!(matches!(no_array, Err(SendError::Encode(_))), "{no_array:?}");
    assert!(matches!(client.send("", &[1]).await, Err(SendError::NoTarget)));
}

#[tokio::test]
async fn message_pack_is_spoken_byte_for_byte() {
    let peer = Peer::bind().await;
    let client = peer.client().protocol(Protocol::MessagePack);
    let (client, mut server) = peer.connected_by(client, PLAIN).await;
    let serve = async {
        // [1, {}, "0", "Add", [1, 2], []]
        let asked = [0x0d, 0x96, 1, 0x80, 0xa1, b'0', 0xa3, b'A', b'd', b'd', 0x92, 1, 2, 0x90];
        assert_eq!(server.hear_bytes().await, asked);
        // [3, {}, "0", 3, 3] in two WebSocket messages.
        server.say_bytes(&[0x07, 0x95, 3, 0x80]).await;
        server.say_bytes(&[0xa1, b'0', 3, 3]).await;
    };
    let (sum, ()) = tokio::join!(client.invoke::<u32>("Add", &(1, 2)), serve);
    assert_eq!(sum.unwrap(), 3);
}

#[tokio::test]
async fn a_stream_gives_its_items_and_its_end() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let items = client.stream::<u32>("Count", &[3]).await.unwrap();
    let said = server.hear().await;
    assert_eq!(
        said,
        "{\"type\":4,\"invocationId\":\"0\",\"target\":\"Count\",\"arguments\":[3]}\u{1e}"
    );
    let item = |item: u32| format!("{{\"type\":2,\"invocationId\":\"0\",\"item\":{item}}}\u{1e}");
    server.say(&format!("{}{}", item(1), item(2))).await;
    server.say("{\"type\":3,\"invocationId\":\"0\",\"error\":\"enough\"}\u{1e}").await;
    let items: Vec<_> = soon("the stream", items.collect::<Vec<_>>()).await;
    assert!(matches!(
        &items[..],
        [Ok(1), Ok(2), Err(InvokeError::Server(error))] if **error == *"enough"
    ));
}

#[tokio::test]
async fn what_nobody_waits_for_is_cancelled() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let items = client.stream::<u32>("Count", &[3]).await.unwrap();
    server.hear().await;
    drop(items);
    assert_eq!(server.hear().await, "{\"type\":5,\"invocationId\":\"0\"}\u{1e}");
    tokio::select! {
        _ = client.invoke::<u32>("Add", &[1]) => panic!("there is no answer"),
        _ = server.hear() => {}
    }
    assert_eq!(server.hear().await, "{\"type\":5,\"invocationId\":\"1\"}\u{1e}");
}

#[tokio::test]
async fn a_call_that_is_dropped_before_it_is_said_is_never_said() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    assert!(client.invoke::<u32>("Never", &[1]).now_or_never().is_none());
    assert!(client.send("Never", &[1]).now_or_never().is_none());
    client.send("Say", &[1]).await.unwrap();
    assert!(server.hear().await.contains("Say"));
}

#[tokio::test]
async fn an_item_of_another_type_ends_the_stream() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let mut items = client.stream::<u32>("Count", &[3]).await.unwrap();
    server.hear().await;
    server.say("{\"type\":2,\"invocationId\":\"0\",\"item\":\"one\"}\u{1e}").await;
    assert!(matches!(items.next().await, Some(Err(InvokeError::Decode(_)))));
    assert!(items.next().await.is_none());
    drop(items);
    assert_eq!(server.hear().await, "{\"type\":5,\"invocationId\":\"0\"}\u{1e}");
}

#[tokio::test]
async fn streams_are_uploaded_beside_the_arguments() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let upload = |items: [u32; 2]| Upload::from(stream::iter(items));
    let arguments = WithUploads(&["label"], vec![upload([1, 2])]);
    let serve = async {
        assert_eq!(
            server.hear().await,
            "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Sum\",\"arguments\":[\"label\"],\
             \"streamIds\":[\"0\"]}\u{1e}"
        );
        for item in [1, 2] {
            let said = format!("{{\"type\":2,\"invocationId\":\"0\",\"item\":{item}}}\u{1e}");
            assert_eq!(server.hear().await, said);
        }
        assert_eq!(server.hear().await, "{\"type\":3,\"invocationId\":\"0\"}\u{1e}");
        server.say("{\"type\":3,\"invocationId\":\"1\",\"result\":3}\u{1e}").await;
    };
    let (sum, ()) = tokio::join!(client.invoke::<u32>("Sum", arguments), serve);
    assert_eq!(sum.unwrap(), 3);
}

#[tokio::test]
async fn an_upload_ends_with_its_call() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let dropped = Arc::new(());
    let held = dropped.clone();
    let endless = stream::poll_fn(move |_| -> Poll<Option<u32>> {
        let _held = &held;
        Poll::Pending
    });
    let arguments = WithUploads(&[0], vec![Upload::from(endless)]);
    let serve = async {
        server.hear().await;
        server.say("{\"type\":3,\"invocationId\":\"1\",\"result\":3}\u{1e}").await;
    };
    let (sum, ()) = tokio::join!(client.invoke::<u32>("Sum", arguments), serve);
    assert_eq!(sum.unwrap(), 3);
    until_equal("who holds the stream", 1, async || Arc::strong_count(&dropped)).await;
}
