//! A SignalR client: reconnecting, stateful, JSON and MessagePack.
//!
//! ```no_run
//! use everwire_client::{Answer, Client};
//!
//! # async fn chat() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Client::builder("http://localhost:5000/chat")
//!     .stateful_reconnect()
//!     .on("ReceiveMessage", |user: String, text: String| println!("{user}: {text}"))
//!     .on("WhatTimeIsIt", || async { Answer("late") })
//!     .connect()
//!     .await?;
//! connection.send("Join", &["lobby"]).await?;
//! let members: Vec<String> = connection.invoke("Members", &["lobby"]).await?;
//! println!("{} are here", members.len());
//! connection.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! What an application holds is a [`Connection`]; one task behind it does what a pure state machine
//! decides, and handlers run in a second one, so that a slow handler stops neither pings nor answers.
//!
//! **When a socket is lost.** With [`stateful_reconnect`](ClientBuilder::stateful_reconnect), and a
//! server that agrees, another socket continues the session at once: nothing is lost or doubled in
//! either direction, and [`Connection::state`] does not change. If that one attempt fails, or the
//! server keeps no sessions, calls in flight fail with [`InvokeError::Lost`] and the
//! [`ReconnectPolicy`] says when to connect anew. The new connection is a stranger to the server:
//! groups must be joined again.
//!
//! **What is limited.** Everything: calls in flight, what waits for handlers, items of a stream that
//! nobody takes, the size of a message ([`Limits`]); how long each step may take ([`Timing`]); bytes
//! that are not yet written or acknowledged, for which [`Connection::send`] waits. A server that is
//! not read, because handlers or a stream are full, waits as well, and for no longer than the server
//! timeout.
//!
//! **How bytes travel.** The server offers transports, and they are tried in its order until one
//! opens: a WebSocket, server-sent events, which carry no MessagePack, long polling.
//! [`transports`](ClientBuilder::transports) narrows the choice, and
//! [`skip_negotiation`](ClientBuilder::skip_negotiation) saves a round trip where the server is known
//! to have WebSockets. Only they can be resumed; on the other two a loss is always a new connection.
//!
//! **Who is who.** With `https` or `wss` a server must have a certificate that the system trusts, or
//! one of the [`root_certificates`](ClientBuilder::root_certificates) that the application adds; there
//! is no way around that. The client shows an [`access_token`](ClientBuilder::access_token), or one
//! that it [asks for](ClientBuilder::access_token_from) when it connects and when one is refused. A
//! server's redirect in its negotiation is followed with the token that came with it; after an HTTP
//! redirect to another host the token stays behind.
//!
//! ```no_run
//! use everwire_client::{Client, Protocol, ReconnectPolicy, TokenPlace, Transport};
//!
//! # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn measure() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Client::builder("https://plant.example/measurements")
//!     .root_certificates(std::fs::read("plant-ca.pem")?)
//!     .access_token_from(|| async { Ok(fresh_token().await?) })
//!     .token_place(TokenPlace::Query)
//!     .protocol(Protocol::MessagePack)
//!     .transports([Transport::WebSockets, Transport::LongPolling])
//!     .reconnect(ReconnectPolicy::unlimited())
//!     .connect()
//!     .await?;
//! let mut values = connection.stream::<f64>("Watch", &["boiler"]).await?;
//! while let Some(value) = values.next().await {
//!     println!("{}", value?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Cookies that a server sets, as balancers do that keep a client at one server, go back to it.
//!
//! **Not here.** HTTP proxies, HTTP/2.
#![forbid(unsafe_code)]

mod address;
mod builder;
mod call;
mod carrier;
mod choice;
mod clock;
mod connection;
mod cookies;
mod dial;
mod dispatch;
mod error;
mod handler;
mod http;
mod net;
mod options;
mod post;
mod reconnect;
mod session;
mod site;
mod state;
mod stream;
mod task;
mod tls;
mod token;
mod upload;

pub use everwire_proto::signalr::{
    Protocol, TransferFormat,
    negotiate::Transport,
    payload::{Arguments, DecodeError, EncodeError, Payload, Timestamp},
};

pub use self::{
    builder::{Client, ClientBuilder},
    connection::Connection,
    error::{
        AddressError, CloseReason, ConnectError, InvokeError, Loss, SendError, TransportError,
    },
    handler::{Answer, Answering, AtOnce, Handler, IntoAnswer, Later},
    options::{Limits, Timing},
    post::post_json,
    reconnect::ReconnectPolicy,
    state::{ConnectionId, State},
    stream::ItemStream,
    token::TokenPlace,
    upload::{CallArguments, Upload, WithUploads},
};
