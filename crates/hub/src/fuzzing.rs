//! What must hold for any bytes of other nodes, for the fuzz targets: not for applications.

use bytes::Bytes;
use everwire_backplane::NodeId;

use crate::{
    estate::{Entry, Holdings},
    fanout::{
        envelope::{Envelope, read_call},
        request::{
            Request, read_count, read_flag, read_joined, read_members, read_names, read_page,
            read_stays, write_members, write_names, write_page, write_stays,
        },
    },
};

/// What a node hears on a hub's channel: it reads as nothing, or as what reads the same when it is
/// written again.
pub fn heard(bytes: &[u8]) {
    let Ok(envelope) = Envelope::read(&Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(Envelope::read(&envelope.write()), Ok(envelope.clone()));
    if let Envelope::Call { body, .. } = envelope {
        // What it says may be anything; reading it must not take more than there is.
        let _ = read_call(body);
    }
}

/// What a node is asked by another.
pub fn asked(bytes: &[u8]) {
    let Some(request) = Request::read(&Bytes::copy_from_slice(bytes)) else { return };
    let again = Request::read(&request.write()).map(|again| format!("{again:?}"));
    assert_eq!(again, Some(format!("{request:?}")));
}

/// What a node is answered by another, whatever it has asked.
pub fn answered(bytes: &[u8]) {
    let reply = || Bytes::copy_from_slice(bytes);
    if let Some(members) = read_members(reply()) {
        assert_eq!(read_members(write_members(&members)), Some(members));
    }
    if let Some(names) = read_names(reply()) {
        assert_eq!(read_names(write_names(&names)), Some(names));
    }
    if let Some(page) = read_page(reply()) {
        assert_eq!(read_page(write_page(&page)), Some(page));
    }
    if let Some((stays, next)) = read_stays(reply()) {
        assert_eq!(read_stays(write_stays(&stays, next.as_ref())), Some((stays, next)));
    }
    let _ = (read_count(reply()), read_flag(reply()), read_joined(reply()));
}

/// What a node finds written down by another.
pub fn inherited(bytes: &[u8]) {
    let entry = Bytes::copy_from_slice(bytes);
    if let Some(read) = Entry::read(&entry) {
        assert_eq!(Entry::read(&read.write()), Some(read));
    }
    Holdings::default().take(&entry, NodeId::from([1; 12]));
}
