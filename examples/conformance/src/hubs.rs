//! The hubs that the official client's tests call.

mod complex;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
};

use anyhow::Result;
use everwire_backplane::{Bus, Channel};
use everwire_hub::{
    ClientRequest, Cluster, Context, Hub, HubBuilder, HubConfig, HubError, Redirect, Upload,
    config::Origins, method::Opaque,
};
use everwire_proto::signalr::negotiate::Transport;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::{echo, rooms, token::Tokens};

/// All hubs, and who may come in.
#[derive(Clone)]
pub(crate) struct Hubs {
    /// The methods, over all transports.
    pub(crate) test: Hub,
    /// The same without WebSockets.
    pub(crate) without_websockets: Hub,
    /// A hub for who has a token.
    pub(crate) authorized: Hub,
    /// A hub that lets nobody stay.
    pub(crate) uncreatable: Hub,
    /// Connections without a hub protocol.
    pub(crate) echo: Hub,
    /// Groups, users, ends.
    pub(crate) rooms: Hub,
    /// Nobody connects here: clients are told to negotiate at the test hub.
    pub(crate) elsewhere: Hub,
    pub(crate) tokens: Arc<Tokens>,
}

/// The nodes that serve the hubs together with this one, if there are any.
#[derive(Default)]
pub(crate) struct Others {
    /// By which they find each other's connections.
    pub(crate) cluster: Option<Cluster>,
    /// Over which they talk.
    pub(crate) bus: Option<Arc<dyn Bus>>,
}

impl Others {
    /// A hub that these nodes have in common.
    fn share(&self, mut hub: HubBuilder, name: &str) -> Result<Hub> {
        if let Some(cluster) = &self.cluster {
            hub = hub.cluster(cluster, name);
        }
        if let Some(bus) = &self.bus {
            hub = hub.backplane(Arc::clone(bus), Channel::new(name)?);
        }
        Ok(hub.build()?)
    }
}

impl Hubs {
    /// The hubs, served together with others.
    pub(crate) fn new(tokens: &Arc<Tokens>, others: &Others) -> Result<Self> {
        let shared = |hub: HubBuilder, name: &str| others.share(hub, name);
        let without_websockets = HubConfig {
            transports: vec![Transport::ServerSentEvents, Transport::LongPolling],
            ..config()
        };
        Ok(Self {
            test: shared(test_methods().config(config()), "test")?,
            without_websockets: shared(
                test_methods().config(without_websockets),
                "without websockets",
            )?,
            authorized: shared(
                identified(tokens)
                    .authorize_hub(|client| client.user.is_some())
                    .method("Echo", |_: Context, message: String| async { message }),
                "authorized",
            )?,
            uncreatable: shared(
                Hub::builder().config(config()).connected(|_| async {
                    Err(invalid_operation("This hub cannot be had.".into()))
                }),
                "uncreatable",
            )?,
            echo: shared(echo::connections(config()), "echo")?,
            rooms: shared(rooms::methods(identified(tokens)), "rooms")?,
            elsewhere: shared(elsewhere(), "elsewhere")?,
            tokens: Arc::clone(tokens),
        })
    }

    /// All of them.
    pub(crate) const fn all(&self) -> [&Hub; 7] {
        [
            &self.test,
            &self.without_websockets,
            &self.authorized,
            &self.uncreatable,
            &self.echo,
            &self.rooms,
            &self.elsewhere,
        ]
    }

    /// How many nodes serve the hubs and answer each other, as far as this one knows.
    pub(crate) async fn nodes(&self) -> usize {
        let mut fewest = usize::MAX;
        for hub in self.all() {
            let others = hub.nodes().len();
            let unreached = hub.all().count().await.unreached;
            fewest = fewest.min(1 + others.saturating_sub(unreached));
        }
        fewest
    }

    /// Sends all clients away, and waits until they have gone.
    pub(crate) async fn stop(&self) {
        let all = self.all();
        all.iter().for_each(|hub| hub.stop());
        for hub in all {
            hub.stopped().await;
        }
    }
}

/// Errors in full, and pages of all origins: it is [`edge`](crate::edge) that answers for those.
fn config() -> HubConfig {
    HubConfig { detailed_errors: true, origins: Origins::Any, ..HubConfig::default() }
}

/// A hub that asks its clients who they are.
fn identified(tokens: &Arc<Tokens>) -> HubBuilder {
    let tokens = Arc::clone(tokens);
    Hub::builder().config(config()).authenticate(move |request| {
        let identity = tokens.identify(&request);
        async move { identity }
    })
}

/// A hub that has clients negotiate at the test hub below the `baseUrl` of their query, each time
/// with another number.
fn elsewhere() -> HubBuilder {
    let redirects = Arc::new(AtomicU64::new(1));
    Hub::builder().config(config()).redirect(move |request, _| {
        let number = redirects.fetch_add(1, Relaxed);
        async move {
            let base = request.parameter("baseUrl")?;
            Some(Redirect::to(format!("{base}/testHub?numRedirects={number}")))
        }
    })
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomObject {
    name: String,
    value: i32,
}

fn test_methods() -> HubBuilder {
    let builder = Hub::builder()
        .method("Echo", |_: Context, message: String| async { message })
        .method("InvokeWithString", |cx: Context, message: String| async move {
            cx.caller().send("Message", &[message])?;
            Ok(())
        })
        .method("SendCustomObject", |cx: Context, object: CustomObject| async move {
            cx.caller().send("CustomObject", &[object])?;
            Ok(())
        })
        .method("ThrowException", |_: Context, message: String| async {
            Err::<(), _>(invalid_operation(message))
        })
        .method("EchoComplexObject", |_: Context, object: Opaque| async { object })
        .method("SendComplexObject", |_: Context| async { complex::object() });
    requests(streams(builder))
}

fn streams(builder: HubBuilder) -> HubBuilder {
    builder
        .stream("Stream", |_: Context| stream::iter(["a", "b", "c"].map(Ok)))
        .stream("EmptyStream", |_: Context| stream::empty::<Result<i32, HubError>>())
        .stream("InfiniteStream", |cx: Context| {
            let telling = StreamCanceled(cx);
            stream::poll_fn(move |_| {
                let _kept = &telling;
                Poll::<Option<Result<(), HubError>>>::Pending
            })
        })
        .stream("StreamThrowException", |_: Context, message: String| failing(message))
        .method("StreamingConcat", |_: Context, mut parts: Upload<String>| async move {
            let mut whole = String::new();
            while let Some(part) = parts.next().await {
                whole.push_str(&part?);
            }
            Ok(whole)
        })
}

/// What a connection knows of the request that it began with.
fn requests(builder: HubBuilder) -> HubBuilder {
    builder
        .method(
            "GetCallerConnectionId",
            |cx: Context| async move { cx.connection_id().to_string() },
        )
        .method("GetActiveTransportName", |cx: Context| async move { Ok(cx.transport()) })
        .method("GetNumRedirects", |cx: Context| async move {
            let redirects = cx.request().parameter("numRedirects").unwrap_or_default();
            Ok(redirects.parse::<u32>()?)
        })
        .method("GetHeader", |cx: Context, name: String| async move { header(&cx, &name) })
        .method("GetContentTypeHeader", |cx: Context| async move { header(&cx, "content-type") })
        .method("GetCookie", |cx: Context, name: String| async move {
            cookie(cx.request(), &name).map(str::to_owned)
        })
}

fn header(cx: &Context, name: &str) -> Option<String> {
    cx.request().header(name).map(str::to_owned)
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(request: &'a ClientRequest, name: &str) -> Option<&'a str> {
    let cookies = request.header("cookie")?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(there, _)| *there == name).map(|(_, value)| value)
}

/// A stream that does not even begin.
fn failing(message: String) -> Result<impl Stream<Item = Result<(), HubError>>, HubError> {
    Err::<stream::Empty<_>, _>(invalid_operation(message))
}

fn invalid_operation(message: String) -> HubError {
    HubError::unexpected("InvalidOperationException", message)
}

/// Tells its caller that a stream is no longer wanted.
struct StreamCanceled(Context);

impl Drop for StreamCanceled {
    fn drop(&mut self) {
        let told = self.0.caller().send("StreamCanceled", &());
        if let Err(error) = told {
            tracing::warn!(%error, "a client was not told that its stream is canceled");
        }
    }
}
