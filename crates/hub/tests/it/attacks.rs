//! Clients that mean harm: each gets its answer, what it costs is bounded, and others go on.

mod floods;
mod hoards;
mod thefts;
