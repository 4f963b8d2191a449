//! The interruptible proxy that came before: each of its proven defects P1 to P25, shown absent.

mod lifecycle;
mod pool;
mod protocol;
mod replay;
