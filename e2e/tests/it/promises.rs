//! What a weak implementation would get wrong, one promise a test.

mod bulk;
mod choice;
mod confirmation;
mod durable;
mod foreign_stacks;
mod http;
mod http_ends;
mod memory;
mod moving;
mod operator;
mod poison;
mod restore;
mod shared_port;
