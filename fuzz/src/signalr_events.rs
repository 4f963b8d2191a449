//! A server's events: they read the same in any pieces, and none is longer than the limit.

use everwire_proto::signalr::events::{EventReader, EventTooLarge};

use crate::bytes::Bytes;

/// An event stream, its limit and the size of its pieces before it.
pub fn signalr_events(input: &[u8]) {
    let mut input = Bytes(input);
    let event_max = usize::from(input.byte());
    let step = usize::from(input.byte()).max(1);
    let whole = read(input.0, event_max, usize::MAX);
    assert_eq!(whole, read(input.0, event_max, step), "pieces of {step} bytes read differently");
    assert!(whole.0.iter().all(|event| event.len() <= event_max));
}

/// All events, and why there are no more.
fn read(stream: &[u8], event_max: usize, step: usize) -> (Vec<Vec<u8>>, Option<EventTooLarge>) {
    let mut reader = EventReader::new(event_max);
    let mut events = Vec::new();
    for mut piece in stream.chunks(step) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(why) => return (events, Some(why)),
            }
        }
        assert!(piece.is_empty(), "all input is used");
    }
    (events, None)
}
