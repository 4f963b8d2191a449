//! What backplanes promise, held against each of them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod journal;
mod memory;
mod redis;
mod server;
