//! The last that a client is told, and how its socket is closed.

use std::{pin::Pin, task::Context};

use bytes::Bytes;
use everwire_proto::{
    signalr::{
        handshake::{HandshakeError, HandshakeResponse},
        message::HubMessage,
        negotiate::Transport,
    },
    time::Time,
    ws::{
        close::{Close, CloseCode},
        frame::Opcode,
    },
};
use tokio::io::AsyncWrite;

use super::{Ending, Input, Task, control};
use crate::{
    connection::{Link, Own},
    end::{End, Farewell},
    frames::{encode, frame_text},
};

impl Task {
    /// Says goodbye.
    pub(super) fn tell(&self, farewell: Farewell, code: CloseCode, now: Time) {
        let mut wire = self.connection.wire();
        let speech = wire.speech.take();
        let last = match (farewell, speech) {
            (Farewell::Close(close), Some(speech)) => {
                encode(&HubMessage::Close(close), speech).ok()
            }
            (Farewell::Handshake(answer), _) => Some(self.handshake(&answer)),
            // Before its handshake a client understands nothing but an answer to that.
            (Farewell::Close(_), None) if self.raw.is_none() => {
                Some(self.handshake(&HandshakeResponse::refused(&HandshakeError::Canceled)))
            }
            _ => None,
        };
        last.into_iter().for_each(|frame| wire.push_own(Own::Passing(frame)));
        if self.connection.transport == Transport::WebSockets {
            let close = control(Opcode::Close, &Close::new(code, "").payload());
            wire.push_own(Own::Passing(close));
        }
        wire.close(now);
    }

    fn handshake(&self, answer: &HandshakeResponse) -> Bytes {
        frame_text(&answer.to_bytes(), self.connection.framing())
    }

    /// The client's Close frame: answered with its code, or with 1000 where it has none.
    pub(super) fn client_closes(&mut self, close: &Close, now: Time) {
        if self.ending.is_none() {
            let code = close.code.unwrap_or(CloseCode::NORMAL);
            self.tell(Farewell::Nothing, code, now);
            let end = Box::new(Ending { end: End::Left(None), client_closed: true, until: None });
            self.ending = Some(end);
        }
        if let Some(ending) = &mut self.ending {
            ending.client_closed = true;
        }
    }

    /// Hangs up on a client that broke the rules, once it has been told. What it says cannot be
    /// understood any more, an answer to the Close neither; but it has to be read to its end: a socket
    /// that is dropped with bytes unread takes the Close back.
    pub(super) fn hang_up(&mut self, cx: &mut Context<'_>) {
        let mut wire = self.connection.wire();
        if !self.is_refused() || !wire.outgoing.is_empty() {
            return;
        }
        match (&wire.link, &mut self.input) {
            // The socket's other half is shut down with the link.
            (Link::Tcp(_), _) => {}
            (Link::Carried, Input::Carried(stream)) => {
                if AsyncWrite::poll_shutdown(Pin::new(stream), cx).is_pending() {
                    return;
                }
            }
            _ => return,
        }
        wire.link = Link::HungUp;
    }
}
