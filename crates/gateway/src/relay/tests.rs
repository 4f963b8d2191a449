//! The relay under a virtual clock: every rule of the gateway by name, and random schedules.
//!
//! [`rig`] drives one relay as the shell does, with peers played by hand; [`world`] lets models of
//! a client, of successive backends and of the network play them. Both write the relay down and
//! continue from the copy after every event.

mod backend;
mod rig;
mod wire;
mod world;

mod closing;
mod confirming;
mod exactly_once;
mod full;
mod hangs;
mod moving;
mod poison;
mod predecessors;
mod properties;
mod restoring;
mod violations;
