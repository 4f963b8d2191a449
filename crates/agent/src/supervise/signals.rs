//! What the system tells this process that is meant for its child.

use std::io;

use rustix::{
    process::{Signal, getpgrp},
    stdio::stdin,
    termios::tcgetpgrp,
};
use tokio::signal::unix::{self, SignalKind, signal};

/// TERM, INT, QUIT and HUP, as they come.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// Whether a child of this process has this signal already: what is typed at a terminal goes to all
/// processes in its foreground. Such a child decides for itself, as an interactive program does that
/// ends only what it was busy with.
pub(super) fn reaches_child_too(signal: Signal) -> bool {
    let is_typed = signal == Signal::INT || signal == Signal::QUIT;
    is_typed && tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == getpgrp())
}
