//! Backend to client: whole messages, as soon as they are whole, and never half of one.

use serde::{Deserialize, Serialize};

use everwire_proto::{
    session::outbox::Outbox,
    ws::{
        frame::Violation,
        intake::{Event, Intake, Limits, Sender},
        output::Output,
    },
};

/// The way from the backend to the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Downlink {
    pub(super) intake: Intake,
    pub(super) outbox: Outbox,
    pub(super) output: Output,
    /// Answers to restored messages, which the client has already.
    swallow: Option<Box<Swallow>>,
}

/// Messages that are read and not passed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Swallow {
    left: u32,
    outbox: Outbox,
}

impl Downlink {
    pub(super) fn new(deflate: bool) -> Self {
        let outbox = Outbox::default();
        Self {
            intake: Intake::new(Sender::Server, deflate),
            output: Output::new(&outbox),
            outbox,
            swallow: None,
        }
    }

    /// Memory held for messages, in bytes.
    pub(super) fn charged(&self) -> usize {
        let swallow = self.swallow.as_ref().map_or(0, |swallow| swallow.outbox.charged());
        self.outbox.charged() + self.intake.charged() + self.output.charged() + swallow
    }

    /// Whether no more may be taken from the backend for now; what is held whole is finished.
    pub(super) fn is_full(&self, buffer_max: usize) -> bool {
        let last_held = self.outbox.is_empty() && !self.intake.is_mid_runs();
        !last_held && self.charged() >= buffer_max
    }

    /// Messages accepted for the client so far.
    pub(super) fn accepted(&self) -> u64 {
        self.outbox.last()
    }

    /// A leg has begun; its first `swallow` messages are not for the client.
    pub(super) fn begin_leg(&mut self, swallow: u32) {
        self.intake = self.intake.anew();
        if swallow > 0 && self.swallow.is_none() {
            self.swallow = Some(Box::new(Swallow { left: swallow, outbox: Outbox::default() }));
        }
    }

    /// Whether answers to restored messages are still awaited.
    pub(super) fn is_swallowing(&self) -> bool {
        self.swallow.as_ref().is_some_and(|swallow| swallow.left != ALL)
    }

    /// Reads on from what the backend sent; swallowed messages give no event.
    pub(super) fn next(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<Event>, Violation> {
        while let Some(swallow) = &mut self.swallow {
            let event = self.intake.next(input, &mut swallow.outbox, limits)?;
            forget(&mut swallow.outbox);
            match event {
                Some(Event::Message) if swallow.left == 1 => self.swallow = None,
                Some(Event::Message) if swallow.left == ALL => {}
                Some(Event::Message) => swallow.left -= 1,
                event => return Ok(event),
            }
        }
        self.intake.next(input, &mut self.outbox, limits)
    }

    /// The client gets what is complete, and nothing that comes from here on.
    pub(super) fn close_to_client(&mut self) {
        if !self.outbox.is_exposed() {
            self.outbox.abort();
        }
        self.swallow = Some(Box::new(Swallow { left: ALL, outbox: Outbox::default() }));
    }

    /// The leg has ended; gives whether the client was left with half a message.
    pub(super) fn end_leg(&mut self) -> bool {
        self.swallow = self.swallow.take().filter(|swallow| swallow.left == ALL);
        let cut = self.outbox.is_exposed() && self.output.is_mid_message();
        if !cut {
            self.outbox.abort();
        }
        self.intake = self.intake.anew();
        cut
    }

    /// Lets the open message stream through where it alone fills the buffer.
    pub(super) fn expose_if_full(&mut self, buffer_max: usize) {
        if self.swallow.is_none()
            && self.intake.is_mid_runs()
            && !self.outbox.is_exposed()
            && self.outbox.is_empty()
            && self.charged() >= buffer_max
        {
            self.outbox.expose();
        }
    }

    /// The client took `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.output.wrote(&self.outbox, count);
        self.outbox.release_through(self.output.written());
        if self.outbox.is_exposed() && self.outbox.is_empty() {
            self.output.release_exposed(&mut self.outbox);
        }
    }

    /// Forgets what has come and what will: there is nobody to take it.
    pub(super) fn discard(&mut self) {
        self.outbox.abort();
        self.outbox.release_through(u64::MAX);
        self.output = Output::new(&self.outbox);
        self.close_to_client();
    }
}

fn forget(outbox: &mut Outbox) {
    outbox.release_through(u64::MAX);
    outbox.expose();
    outbox.release_exposed(outbox.readable_end());
}

/// Everything is swallowed: the client is gone or has been told goodbye.
const ALL: u32 = u32::MAX;
