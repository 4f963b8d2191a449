//! Plain requests: whoever cuts the bytes, they end at the same places, or are refused alike.

use everwire_proto::ws::upgrade::RequestScan;

/// The first byte says how long the pieces are, the rest is what a client sends.
pub fn requests(input: &[u8]) {
    let Some((piece, sent)) = input.split_first() else { return };
    let at_once = follow(sent, sent.len().max(1));
    assert_eq!(follow(sent, usize::from(*piece).max(1)), at_once);
    if let Err(status) = at_once {
        assert!((400..500).contains(&status), "{status}");
    }
}

/// The places at which requests end, or the status of the refusal.
fn follow(sent: &[u8], piece: usize) -> Result<Vec<usize>, u16> {
    let (mut scan, mut ends) = (RequestScan::default(), Vec::new());
    let (mut at, mut known) = (0, 0);
    while at < sent.len() {
        known = sent.len().min(known.max(at) + piece);
        let in_head = scan.is_in_head();
        let taken = if in_head {
            scan.head(&sent[at..known]).map(Option::unwrap_or_default)
        } else {
            scan.body(&sent[at..known])
        };
        let taken = taken.map_err(|refusal| refusal.status)?;
        assert!(taken <= known - at, "more than there is");
        at += taken;
        if taken > 0 && scan.is_in_head() {
            ends.push(at);
        }
        if taken == 0 && known == sent.len() {
            break;
        }
    }
    Ok(ends)
}
