//! What backplanes promise, held against each of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

mod memory;
