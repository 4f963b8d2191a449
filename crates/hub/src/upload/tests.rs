use everwire_proto::signalr::Protocol;
use futures_util::FutureExt;

use super::*;

fn opened() -> (Feeder, Upload<u32>) {
    let (feeder, opened) = open();
    (feeder, opened.typed(ErrorDetail::Hidden))
}

fn feed(feeder: &Feeder, json: &'static str) {
    feeder.feed(Payload::parse(Protocol::Json, json.as_bytes().into()).unwrap());
}

/// What the upload gives at once; `None` if it waits.
fn taken(upload: &mut Upload<u32>) -> Option<Option<Result<u32, String>>> {
    let item = upload.next().now_or_never()?;
    Some(item.map(|item| item.map_err(|error| error.to_string())))
}

#[test]
fn items_come_in_order_and_then_the_end() {
    let (feeder, mut upload) = opened();
    assert_eq!(taken(&mut upload), None);
    feed(&feeder, "1");
    feed(&feeder, "2");
    feeder.end(None);
    feed(&feeder, "3");
    assert_eq!(taken(&mut upload), Some(Some(Ok(1))));
    assert_eq!(taken(&mut upload), Some(Some(Ok(2))));
    assert_eq!(taken(&mut upload), Some(None));
    assert_eq!(taken(&mut upload), Some(None));
}

#[test]
fn the_error_of_the_client_is_the_last_item() {
    let (feeder, mut upload) = opened();
    feed(&feeder, "1");
    feeder.end(Some(HubError::new("out of paper")));
    drop(feeder);
    assert_eq!(taken(&mut upload), Some(Some(Ok(1))));
    assert_eq!(taken(&mut upload), Some(Some(Err("out of paper".into()))));
    assert_eq!(taken(&mut upload), Some(None));
}

#[test]
fn an_item_of_another_type_is_an_error_and_the_last() {
    let (feeder, mut upload) = opened();
    feed(&feeder, r#""one""#);
    feed(&feeder, "2");
    assert_eq!(taken(&mut upload), Some(Some(Err("Failed to bind Stream message.".into()))));
    assert_eq!(taken(&mut upload), Some(None));
    (0..UPLOAD_ITEMS_MAX).for_each(|_| feed(&feeder, "3"));
    assert!(!feeder.is_full(), "what nobody takes holds nobody up");
}

#[tokio::test]
async fn attack_s11_an_upload_that_is_not_read_stops_its_client() {
    let (feeder, mut upload) = opened();
    for _ in 0..UPLOAD_ITEMS_MAX {
        assert!(!feeder.is_full());
        feed(&feeder, "1");
    }
    assert!(feeder.is_full());
    let room = std::future::poll_fn(|context| feeder.poll_room(context));
    assert_eq!(room.now_or_never(), None);
    let (item, ()) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            upload.next().await
        },
        std::future::poll_fn(|context| feeder.poll_room(context)),
    );
    assert_eq!(item.map(Result::unwrap), Some(1));
    assert!(!feeder.is_full());
}

#[test]
fn an_upload_that_its_method_drops_stops_nobody() {
    let (feeder, upload) = opened();
    (0..UPLOAD_ITEMS_MAX).for_each(|_| feed(&feeder, "1"));
    drop(upload);
    assert!(!feeder.is_full());
    feed(&feeder, "2");
    assert!(feeder.shared.state().items.is_empty());
}
