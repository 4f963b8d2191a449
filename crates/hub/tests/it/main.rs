//! The hub from outside: real sockets on loopback, scripted clients.

mod broadcast;
mod ends;
mod methods;
mod peer;
mod requests;
mod stateful;
