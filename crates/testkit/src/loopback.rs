//! An address of its own for every peer that may be restarted.
//!
//! A backend that is killed and started again must find its port free. On 127.0.0.1 an outgoing
//! connection of any other test may have been given it meanwhile; the rest of 127.0.0.0/8 is never
//! used as a source, so there a port once chosen stays ours.

use std::{
    net::Ipv4Addr,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// An address that no other peer of this or any other test process uses.
///
/// 10 bits of it come from the process' id and 13 from a count, all above 127.128.0.0.
pub fn unique_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let count = NEXT.fetch_add(1, Ordering::Relaxed) & 0x1FFF;
    let host = (process::id() & 0x3FF) << 13 | count;
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() & 0xFF00_0000 | 0x80_0000 | host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_loopback_and_differ() {
        let (one, two) = (unique_address(), unique_address());
        assert!(one.is_loopback() && two.is_loopback());
        assert_ne!(one, two);
        assert_ne!(one, Ipv4Addr::LOCALHOST);
    }
}
