//! How a SignalR connection begins: what a stranger says is read once, whatever its pieces, and
//! what is answered reads as it was meant.

use everwire_proto::signalr::TransferFormat;
use everwire_proto::signalr::handshake::{
    HANDSHAKE_MAX, HandshakeReader, HandshakeRequest, HandshakeResponse,
};
use everwire_proto::signalr::negotiate::{
    NegotiateRequest, NegotiateResponse, NegotiateVersion, StatefulReconnect,
};

use crate::bytes::Bytes;

/// A handshake from a client and one from a server, and what follows them.
pub fn signalr_handshake(input: &[u8]) {
    let mut input = Bytes(input);
    let step = usize::from(input.byte()).max(1);
    let bytes = input.0;
    let request = |step| opened(bytes, step, HandshakeReader::request);
    assert_eq!(request(usize::MAX), request(step), "pieces of {step} bytes read differently");
    let response = |step| opened(bytes, step, HandshakeReader::response);
    assert_eq!(response(usize::MAX), response(step), "pieces of {step} bytes read differently");
    let Some(Ok((request, _))) = request(step) else { return };
    match request.agree(&[TransferFormat::Text, TransferFormat::Binary]) {
        Ok(spoken) => {
            let written = HandshakeRequest::new(spoken).to_bytes();
            let read = HandshakeReader::default().request(&mut &written[..]);
            let read = read.expect("valid").expect("whole");
            assert_eq!(read.agree(&[spoken.protocol.transfer_format()]), Ok(spoken));
        }
        Err(error) => {
            let response = HandshakeResponse::from(&error);
            let written = response.to_bytes();
            assert!(written.len() <= 8 * HANDSHAKE_MAX, "a refusal is near what it refuses");
            if written.len() <= HANDSHAKE_MAX {
                let read = HandshakeReader::default().response(&mut &written[..]);
                assert_eq!(read, Ok(Some(response)));
            }
        }
    }
}

type Read<T, E> = fn(&mut HandshakeReader, &mut &[u8]) -> Result<Option<T>, E>;

/// What is read, and how much follows it; `None` if the bytes end before that.
fn opened<T, E>(bytes: &[u8], step: usize, read: Read<T, E>) -> Option<Result<(T, usize), E>> {
    let mut reader = HandshakeReader::default();
    let mut left = bytes.len();
    for mut piece in bytes.chunks(step) {
        left -= piece.len();
        match read(&mut reader, &mut piece) {
            Ok(None) => assert!(piece.is_empty(), "all input is used"),
            Ok(Some(opened)) => return Some(Ok((opened, left + piece.len()))),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

/// A query on the first line, an answer after it.
pub fn signalr_negotiate(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (query, body) = input.split_at(end);
    let query = String::from_utf8_lossy(query);
    let asked = NegotiateRequest::parse(&query, NegotiateVersion::Zero);
    if let Ok(asked) = asked {
        assert!(asked.version <= NegotiateVersion::One);
        let again = NegotiateRequest::parse(asked.query(), NegotiateVersion::One);
        assert_eq!(again.expect("valid").stateful_reconnect, asked.stateful_reconnect);
    }
    let asked = NegotiateRequest {
        version: NegotiateVersion::One,
        stateful_reconnect: StatefulReconnect::On,
    };
    let Ok(response) = NegotiateResponse::parse(body, &asked) else { return };
    let again = NegotiateResponse::parse(&response.to_json(), &asked);
    assert_eq!(again.expect("what is written can be read"), response);
}
