//! Asking one node, and answering.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use crate::{Member, Refusal, mailbox::Mailbox};

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The node's reply.
    Reply(Bytes),
    /// No node of this name is alive.
    NoSuchNode,
    /// The node is there, and nobody on it takes questions of this topic, or too many wait.
    NotTaken,
    /// No reply came in time. The question may have been heard.
    TimedOut,
    /// The question was not sent.
    NotSent(Refusal),
}

/// A question that was asked. Dropping it ends the waiting; the question may still be heard.
pub struct Asking(Pin<Box<dyn Future<Output = Answer> + Send>>);

impl Asking {
    /// The answer is what the future yields.
    pub fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }
}

impl Future for Asking {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Answer> {
        self.0.as_mut().poll(ctx)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}

/// Another node's question.
pub struct Question {
    /// Who asks.
    pub from: Member,
    /// What it asks.
    pub payload: Bytes,
    reply: Reply,
}

type Reply = Box<dyn FnOnce(Option<Bytes>) + Send>;

impl Question {
    pub(crate) fn new(
        from: Member,
        payload: Bytes,
        reply: impl FnOnce(Option<Bytes>) + Send + 'static,
    ) -> Self {
        Self { from, payload, reply: Box::new(reply) }
    }

    /// Answers. A question that is dropped instead ends as [`Answer::TimedOut`] there.
    pub fn answer(self, payload: Bytes) {
        (self.reply)(Some(payload));
    }

    /// Nobody takes it.
    pub(crate) fn refuse(self) {
        (self.reply)(None);
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("from", &self.from).finish_non_exhaustive()
    }
}

/// What other nodes ask. Holds at most [`QUESTIONS_MAX`]; what is asked beyond is not taken.
#[derive(Debug)]
pub struct Questions(Arc<Mailbox<Question>>);

impl Questions {
    /// The next question; `None` when somebody else takes them, or the bus has ended.
    pub async fn next(&mut self) -> Option<Question> {
        std::future::poll_fn(|ctx| self.0.poll_next(ctx)).await
    }
}

impl Stream for Questions {
    type Item = Question;

    fn poll_next(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Question>> {
        self.0.poll_next(ctx)
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The end into which a bus puts the questions of one topic.
#[derive(Debug)]
pub(crate) struct Listener(Arc<Mailbox<Question>>);

impl Listener {
    pub(crate) fn open() -> (Self, Questions) {
        let mailbox = Arc::new(Mailbox::new(QUESTIONS_MAX, QUESTIONS_BYTES_MAX));
        (Self(Arc::clone(&mailbox)), Questions(mailbox))
    }

    /// Passes a question on, or refuses it.
    pub(crate) fn take(&self, question: Question) {
        if let Err(question) = self.accept(question) {
            question.refuse();
        }
    }

    /// Passes a question on, unless nobody reads or too many wait.
    pub(crate) fn accept(&self, question: Question) -> Result<(), Question> {
        let bytes = question.payload.len();
        if self.0.is_closed() || self.0.is_full(bytes) {
            return Err(question);
        }
        // Between the look and the push only this bus pushes, and a reader makes room.
        let _ = self.0.push(question, bytes);
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Questions that wait on one topic: a burst of every node asking about many connections.
pub const QUESTIONS_MAX: usize = 4096;

/// Bytes of questions that wait on one topic.
pub const QUESTIONS_BYTES_MAX: usize = 16 << 20;
