//! What lies in the backplane's streams: anybody with access to the server may have written it.

use bytes::Bytes;
use everwire_backplane::Envelope;

/// The first byte bounds the payload; the rest is an entry.
pub fn envelope(input: &[u8]) {
    let Some((&payload_max, entry)) = input.split_first() else { return };
    let entry = Bytes::copy_from_slice(entry);
    let Ok(envelope) = Envelope::decode(&entry, usize::from(payload_max)) else { return };
    assert!(envelope.payload.len() <= usize::from(payload_max), "larger than allowed");
    assert!(entry.ends_with(&envelope.payload), "the payload is the entry's end");
    assert!(
        envelope.origin.sequence > 0 || !envelope.kind.is_numbered(),
        "number 0 is never given"
    );
    let again = Envelope::decode(&envelope.encode(), usize::from(payload_max));
    assert_eq!(again, Ok(envelope), "what is written is read");
}
