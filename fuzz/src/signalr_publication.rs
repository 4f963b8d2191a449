//! Publications from outside: no input panics, and what is read can be sent to any client or is
//! refused as a whole.

use everwire_proto::signalr::Protocol;
use everwire_proto::signalr::message::HubMessage;
use everwire_proto::signalr::publication::{Form, Publication};

use crate::bytes::Bytes;

/// A request's body in each form.
pub fn signalr_publication(input: &[u8]) {
    let mut input = Bytes(input);
    let form = match input.byte() % 3 {
        0 => Form::Object(Protocol::Json),
        1 => Form::Object(Protocol::MessagePack),
        _ => Form::Encoded,
    };
    let Ok(Publication { target, arguments }) = Publication::read(form, input.0) else { return };
    assert!(!target.is_empty());
    let count = arguments.count();
    let message = HubMessage::call(target, arguments);
    for protocol in Protocol::ALL {
        let Ok(bytes) = protocol.encode(&message) else { continue };
        let mut reader = everwire_proto::signalr::Reader::new(protocol, usize::MAX);
        match reader.next(&mut &bytes[..]) {
            Ok(Some(HubMessage::Invocation(sent))) if form != Form::Encoded => {
                assert_eq!(sent.call.arguments.count(), count);
            }
            // What is given in both encodings may differ; its publisher says what each one is.
            Ok(Some(HubMessage::Invocation(_))) => {}
            other => panic!("a client reads {other:?}"),
        }
    }
}
