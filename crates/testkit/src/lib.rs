//! What the tests of Everwire are built from. Nothing here is part of the product.
//!
//! - Saying and checking: [`message`] numbers and hashes, [`checker`] counts what was dropped,
//!   lost, doubled, reordered or torn, and is itself tested against streams that are.
//! - Peers: [`client`] on tungstenite, [`crowd`] of chatting ones, [`scripted`] peers that put any
//!   bytes on the wire, [`foreign`] ones in Node and Python as processes of their own, [`signalr`]
//!   clients and the server that they talk to, [`talker`] for many of them in one process, [`site`]
//!   for where that server is; [`status`] is the status demo and tabs of a browser; [`instance`] is
//!   one of a fleet, and [`versions`] judges what the watchers of its sets were told.
//! - The thing under test: [`everwire`] runs the real binary; [`rivals`] and [`relay`] stand in
//!   its place as controls, which must show the losses that Everwire must not.
//! - Faults beyond signals: [`namespace`] has a link that can be taken down. [`redis`] is a server
//!   of a test's own, to be killed and started again, and [`swallow`] keeps its answers from a node.
//! - Underneath: [`process`] starts, signals and always ends what it started; [`wait`] polls what
//!   can be observed against a deadline, because no test here sleeps to be in time.
//!
//! Deliberately not used: our own WebSocket codec. A mistake of ours must not hide from itself.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a kit for tests: what goes wrong here is a test that fails, with its reason"
)]
#![allow(clippy::needless_pass_by_value, reason = "a value to print is taken as the test has it")]

pub mod checker;
pub mod client;
pub mod crowd;
pub mod everwire;
pub mod foreign;
pub mod http;
pub mod instance;
pub mod loopback;
pub mod message;
pub mod namespace;
pub mod process;
pub mod redis;
pub mod relay;
pub mod rivals;
pub mod scripted;
pub mod signalr;
pub mod site;
pub mod status;
pub mod swallow;
pub mod talker;
pub mod tools;
pub mod versions;
pub mod wait;
