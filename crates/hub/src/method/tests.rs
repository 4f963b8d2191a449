use std::sync::Arc;

use everwire_proto::signalr::payload::Payload;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Hub, Identity, connection::Connection, upload::Upload};

fn anyone() -> Identity {
    Identity::default()
}

fn context(canceled: &CancellationToken) -> Context {
    let hub = Hub::builder().build().unwrap();
    Context::new(hub, Arc::new(Connection::unconnected()), canceled.clone(), Turn::default())
}

fn arguments(json: &'static str) -> Arguments {
    Arguments::parse(Protocol::Json, json.as_bytes().into()).unwrap()
}

fn found(methods: &Methods, target: &str) -> MethodId {
    match methods.find(target, &anyone()) {
        Found::Method(id, _) => id,
        other => panic!("{target}: {other:?}"),
    }
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.to_bytes(Protocol::Json).unwrap().to_vec()).unwrap()
}

/// Calls a method to its end: its items, then its result or error, as a client sees them.
async fn call(methods: &Methods, target: &str, json: &'static str) -> Vec<String> {
    let detail = methods.detail();
    let id = found(methods, target);
    let begun =
        methods.begin(id, &arguments(json), context(&CancellationToken::new()), Protocol::Json);
    let mut seen = Vec::new();
    match begun.map(|begun| begun.work) {
        Ok(Work::Answer(answer)) => match answer.await {
            Ok(result) => seen.push(text(&result)),
            Err(failure) => seen.push(failure.text(target, detail).into()),
        },
        Ok(Work::Stream(mut items)) => {
            while let Some(item) = items.next().await {
                seen.push(item.map_or_else(
                    |failure| failure.text(target, detail).into(),
                    |item| text(&item),
                ));
            }
        }
        Err(failure) => seen.push(failure.text(target, detail).into()),
    }
    seen
}

async fn check(builder: MethodsBuilder, target: &str, json: &'static str, expected: &[&str]) {
    let methods = builder.build().unwrap();
    assert_eq!(call(&methods, target, json).await, expected);
}

#[derive(Debug, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[tokio::test]
async fn a_method_may_return_a_result_or_what_cannot_fail() {
    let methods = || {
        Methods::builder()
            .method("Nothing", |_: Context| async {})
            .method("Fine", |_: Context| async { Ok(()) })
            .method("Plain", |_: Context, text: String| async move { text })
            .method("Mirror", |_: Context, it: Point| async move { Ok(Point { x: it.y, y: it.x }) })
            .method("Parse", |_: Context, text: String| async move {
                let number: u8 = text.parse()?;
                if number == 0 {
                    return Err(HubError::new("Not zero."));
                }
                Ok(number)
            })
            .method("Opaque", |_: Context, it: Opaque| async move { it })
            .method("Count", |_: Context, all: Untouched| async move { all.0.count() })
    };
    check(methods(), "nothing", "[]", &["null"]).await;
    check(methods(), "fine", "[]", &["null"]).await;
    check(methods(), "PLAIN", r#"["hi"]"#, &[r#""hi""#]).await;
    check(methods(), "Mirror", r#"[{"x":1,"y":2}]"#, &[r#"{"x":2,"y":1}"#]).await;
    check(methods(), "Parse", r#"["7"]"#, &["7"]).await;
    check(methods(), "Opaque", "[[1.50, null]]", &["[1.50, null]"]).await;
    check(methods(), "Count", "[1,[2],3]", &["3"]).await;
    let failed = "An unexpected error occurred invoking 'Parse' on the server.";
    check(methods(), "Parse", r#"["300"]"#, &[failed]).await;
    let told = format!("{failed} HubException: Not zero.");
    check(methods(), "Parse", r#"["0"]"#, &[&told]).await;
    let shown = format!("{failed} ParseIntError: number too large to fit in target type");
    check(methods().error_detail(ErrorDetail::Shown), "Parse", r#"["300"]"#, &[&shown]).await;
}

#[tokio::test]
async fn arguments_must_be_those_of_the_method() {
    let methods = |detail| {
        let add = |_: Context, a: i32, b: i32| async move { a + b };
        Methods::builder().method("Add", add).error_detail(detail)
    };
    let failed = "Failed to invoke 'Add' due to an error on the server.";
    check(methods(ErrorDetail::Hidden), "Add", "[1]", &[failed]).await;
    check(methods(ErrorDetail::Hidden), "Add", r#"[1,"2"]"#, &[failed]).await;
    let count = format!(
        "{failed} InvalidDataException: Invocation provides 3 argument(s) but target expects 2."
    );
    check(methods(ErrorDetail::Shown), "Add", "[1,2,3]", &[&count]).await;
    let types = format!(
        "{failed} InvalidDataException: Error binding arguments. Make sure that the types of the \
         provided values match the types of the hub method being invoked."
    );
    check(methods(ErrorDetail::Shown), "Add", r#"[1,"2"]"#, &[&types]).await;
}

#[tokio::test]
async fn a_method_takes_up_to_eight_parameters() {
    let methods = Methods::builder().method(
        "All",
        |_: Context, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8| async move {
            vec![a, b, c, d, e, f, g, h]
        },
    );
    check(methods, "all", "[1,2,3,4,5,6,7,8]", &["[1,2,3,4,5,6,7,8]"]).await;
}

#[tokio::test]
async fn a_stream_may_be_written_in_each_of_its_forms() {
    let methods = || {
        Methods::builder()
            .stream("Plain", |_: Context, n: u32| stream::iter(0..n).map(Ok))
            .stream("Fallible", |_: Context, n: u32| {
                if n > 9 {
                    return Err(HubError::unexpected("InvalidOperationException", "Too many."));
                }
                Ok(stream::iter(0..n).map(Ok))
            })
            .stream("Later", |_: Context, n: u32| async move { Ok(stream::iter(0..n).map(Ok)) })
            .stream("Channel", |_: Context, n: u32| {
                let (tx, rx) = mpsc::channel(16);
                (0..n).for_each(|number| tx.try_send(Ok(number)).unwrap());
                rx
            })
            .stream("Produce", |_: Context, n: u32| {
                produce(move |out| async move {
                    for number in 0..n {
                        out.send(number).await?;
                        if number == 2 {
                            return Err(HubError::new("Enough."));
                        }
                    }
                    Ok(())
                })
            })
            .error_detail(ErrorDetail::Shown)
    };
    for form in ["Plain", "Fallible", "Later", "Channel", "Produce"] {
        check(methods(), form, "[2]", &["0", "1"]).await;
    }
    let failed = "An unexpected error occurred invoking 'Fallible' on the server. \
                  InvalidOperationException: Too many.";
    check(methods(), "Fallible", "[10]", &[failed]).await;
    let enough = "An error occurred on the server while streaming results. HubException: Enough.";
    check(methods(), "Produce", "[9]", &["0", "1", "2", enough]).await;
}

#[tokio::test]
async fn uploads_and_arguments_may_be_mixed() {
    let concat = |_: Context,
                  first: String,
                  mut left: Upload<String>,
                  between: String,
                  mut right: Upload<u32>| async move {
        let mut text = first;
        while let Some(item) = left.next().await {
            text.push_str(&item?);
        }
        text.push_str(&between);
        while let Some(item) = right.next().await {
            text.push_str(&item?.to_string());
        }
        Ok(text)
    };
    let methods = Methods::builder().method("Concat", concat).build().unwrap();
    let Found::Method(id, signature) = methods.find("concat", &anyone()) else { panic!() };
    assert_eq!(signature, Signature { answers: Answers::Once, arguments: Some(2), uploads: 2 });
    let arguments = arguments(r#"["<","|"]"#);
    let Begun { work, feeders } =
        methods.begin(id, &arguments, context(&CancellationToken::new()), Protocol::Json).unwrap();
    feeders[1].feed(Payload::encode(Protocol::Json, &7).unwrap());
    feeders[0].feed(Payload::encode(Protocol::Json, "a").unwrap());
    feeders[0].feed(Payload::encode(Protocol::MessagePack, "b").unwrap());
    drop(feeders);
    let Work::Answer(answer) = work else { panic!() };
    assert_eq!(text(&answer.await.unwrap()), r#""<ab|7""#);
}

#[tokio::test]
async fn a_panic_fails_its_call_alone() {
    let methods = || {
        Methods::builder()
            .method("Now", |_: Context| {
                if true {
                    panic!("at once");
                }
                async {}
            })
            .method("Soon", |_: Context| async {
                if true {
                    panic!("soon");
                }
            })
            .stream("Stream", |_: Context| {
                stream::iter(0..2).map(|n: u32| if n == 1 { panic!("{n}") } else { Ok(n) })
            })
    };
    let failed = |name| format!("An unexpected error occurred invoking '{name}' on the server.");
    check(methods(), "Now", "[]", &[&failed("Now")]).await;
    check(methods(), "Soon", "[]", &[&failed("Soon")]).await;
    let streaming = "An error occurred on the server while streaming results.";
    check(methods(), "Stream", "[]", &["0", streaming]).await;
}

#[tokio::test]
async fn a_canceled_stream_ends_and_drops_what_it_was() {
    struct Told(Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&dropped);
    let methods = Methods::builder()
        .stream("Endless", move |_: Context| {
            let told = Told(Arc::clone(&told));
            stream::pending::<Result<u32, HubError>>().inspect(move |_| {
                let _ = &told;
            })
        })
        .build()
        .unwrap();
    let canceled = CancellationToken::new();
    let context = context(&canceled);
    let id = found(&methods, "Endless");
    let begun = methods.begin(id, &arguments("[]"), context, Protocol::Json).unwrap();
    let Work::Stream(mut items) = begun.work else { panic!() };
    canceled.cancel();
    assert!(items.next().await.is_none());
    assert!(dropped.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test]
async fn a_method_is_told_that_it_is_canceled_and_ends_as_it_likes() {
    let methods = Methods::builder()
        .method("Wait", |cx: Context| async move {
            cx.canceled().await;
            "cleaned up"
        })
        .build()
        .unwrap();
    let canceled = CancellationToken::new();
    let context = context(&canceled);
    let id = found(&methods, "Wait");
    let begun = methods.begin(id, &arguments("[]"), context, Protocol::Json).unwrap();
    let Work::Answer(answer) = begun.work else { panic!() };
    canceled.cancel();
    assert_eq!(text(&answer.await.unwrap()), r#""cleaned up""#);
}

#[test]
fn a_method_goes_by_its_names_in_any_case() {
    let methods = Methods::builder()
        .method("SendMessage", |_: Context| async {})
        .method("Größe", |_: Context| async {})
        .alias("sendmessage", "say")
        .build()
        .unwrap();
    for target in ["SendMessage", "SENDMESSAGE", "sendMessage", "Say"] {
        assert_eq!(methods.name(found(&methods, target)), Some("SendMessage"), "{target}");
    }
    assert_eq!(methods.name(found(&methods, "GRÖßE")), Some("Größe"));
    for target in ["", "SendMessag", "SendMessages", "S\u{17f}endMessage"] {
        assert_eq!(methods.find(target, &anyone()), Found::Nothing, "{target}");
    }
}

#[test]
fn a_method_is_for_those_whom_all_its_policies_allow() {
    let methods = Methods::builder()
        .method("Ban", |_: Context| async {})
        .authorize("ban", |client| client.claims.has("role", "admin"))
        .authorize("Ban", |client| client.user.is_some())
        .authorize_hub(|client| client.claims.first("blocked").is_none())
        .build()
        .unwrap();
    let mut client = anyone();
    assert!(methods.admits(&client));
    assert_eq!(methods.find("Ban", &client), Found::Forbidden);
    client.claims.add("role", "admin");
    assert_eq!(methods.find("Ban", &client), Found::Forbidden);
    client.user = Some("anna".into());
    assert!(matches!(methods.find("Ban", &client), Found::Method(..)));
    client.claims.add("blocked", "");
    assert!(!methods.admits(&client));
}

#[test]
fn mistakes_with_methods_are_told_when_they_are_built() {
    let twice = Methods::builder()
        .method("Echo", |_: Context, text: String| async move { text })
        .stream("ECHO", |_: Context| stream::iter([Ok(1)]));
    let error = twice.build().unwrap_err();
    assert_eq!(error, MethodsError::Duplicate("ECHO".into()));
    let nobody = Methods::builder().authorize("Echo", |_| false);
    assert_eq!(nobody.build().unwrap_err(), MethodsError::Unknown("Echo".into()));
    let nothing = Methods::builder().alias("Echo", "Say");
    assert_eq!(nothing.build().unwrap_err(), MethodsError::Unknown("Echo".into()));
}
