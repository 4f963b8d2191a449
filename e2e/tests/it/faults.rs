//! The fault catalogue, row by row: what is broken how, and what a client may notice of it.

mod compressed;
mod half_open;
mod hang;
mod mid_message;
mod outage;
mod overflow;
mod partition;
mod refused_leg;
mod restart;
mod restart_codes;
mod rolling;
