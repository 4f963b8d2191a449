//! The fleet: managers that are killed, restarted and cut off, each a process of its own, and instances
//! on stock clients, on agents beside programs, and scripted by the hundred.

mod alone;
mod bridges;
mod disk;
mod killed;
mod nodes;
mod once;
mod patience;
mod programs;
mod rolling;
mod stage;
mod storm;
mod takeover;
mod watchers;
