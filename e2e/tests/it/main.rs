//! The real binary between clients and servers that are not ours, each a process of its own.
//!
//! Every test is named after the promise it holds, those of a catalogue after their row:
//! `fault_p4_…` a fault, `pred_p3_…` a predecessor's defect, `attack_f2_…` bad input. What a test
//! needs besides cargo it asks for with `need!`; `cargo xtask test` installs it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails, with its reason"
)]

mod agent;
mod attacks;
mod cluster;
mod controls;
mod faults;
mod fleet;
mod predecessors;
mod promises;
mod signalr;
mod stage;
mod status;
