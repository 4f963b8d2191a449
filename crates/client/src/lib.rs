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
//! **Not here.** TLS: an `https` address is refused with a reason. Server-sent events and long
//! polling: every server that this client is for has WebSockets.
#![forbid(unsafe_code)]

mod address;
mod builder;
mod call;
mod clock;
mod connection;
mod dial;
mod dispatch;
mod error;
mod handler;
mod http;
mod reconnect;
mod session;
mod state;
mod stream;
mod task;
mod token;
mod upload;

pub use everwire_proto::signalr::{
    Protocol,
    payload::{Arguments, DecodeError, EncodeError, Payload, Timestamp},
};

pub use self::{
    builder::{Client, ClientBuilder, Limits, Timing},
    connection::Connection,
    error::{AddressError, CloseReason, ConnectError, InvokeError, Loss, SendError},
    handler::{Answer, Answering, AtOnce, Handler, IntoAnswer, Later},
    reconnect::ReconnectPolicy,
    state::{ConnectionId, State},
    stream::ItemStream,
    upload::{CallArguments, Upload, WithUploads},
};
