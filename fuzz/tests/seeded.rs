//! Each target on its seeds, on what fuzzing has found before, and on random variations of both.
//!
//! The random numbers start from a constant, so that a failure repeats.

use std::fs;
use std::path::Path;

/// Variations of each target's inputs.
const VARIATIONS: usize = 4_000;

/// The longest variation in bytes.
const LENGTH_MAX: usize = 1024;

#[test]
fn an_entry_of_the_backplane_is_read_or_refused() {
    check("envelope", everwire_fuzz::envelope);
}

#[test]
fn a_later_leg_carries_the_compression_that_was_agreed() {
    check("extension", everwire_fuzz::extension);
}

#[test]
fn a_backend_gets_one_request_with_one_meaning() {
    check("handshake", everwire_fuzz::handshake);
}

#[test]
fn frames_read_the_same_in_any_segmentation() {
    check("frame", everwire_fuzz::frame);
}

#[test]
fn payload_is_what_lies_in_the_frames() {
    check("payload", everwire_fuzz::payload);
}

#[test]
fn requests_end_where_they_end_in_any_segmentation() {
    check("requests", everwire_fuzz::requests);
}

#[test]
fn a_session_keeps_exactly_what_is_unconfirmed() {
    check("session", everwire_fuzz::session);
}

#[test]
fn hub_messages_in_json_read_the_same_in_any_segmentation() {
    check("signalr_json", everwire_fuzz::signalr_json);
}

#[test]
fn hub_messages_in_messagepack_read_the_same_in_any_segmentation() {
    check("signalr_msgpack", everwire_fuzz::signalr_msgpack);
}

#[test]
fn events_read_the_same_in_any_segmentation() {
    check("signalr_events", everwire_fuzz::signalr_events);
}

#[test]
fn a_hub_handshake_is_read_once_whatever_its_pieces() {
    check("signalr_handshake", everwire_fuzz::signalr_handshake);
}

#[test]
fn a_negotiation_reads_as_it_was_written() {
    check("signalr_negotiate", everwire_fuzz::signalr_negotiate);
}

#[test]
fn attack_s8_nothing_of_another_node_does_harm() {
    check("hub_nodes", everwire_fuzz::hub_nodes);
}

#[test]
fn a_publication_reaches_clients_of_any_encoding() {
    check("signalr_publication", everwire_fuzz::signalr_publication);
}

fn check(target: &str, body: fn(&[u8])) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "fuzz/seeds/{target} is empty");
    inputs.iter().for_each(|input| body(input));
    let mut random = Random(1);
    for _ in 0..VARIATIONS {
        let mut input = inputs[random.below(inputs.len())].clone();
        vary(&mut input, &mut random);
        body(&input);
    }
}

/// The committed seeds, and the corpus and the crashes that fuzzing left here.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for kind in ["seeds", "corpus", "artifacts"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
        let mut files: Vec<_> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
        files.sort();
        inputs.extend(files.iter().map(|file| fs::read(file).expect("a file of this folder")));
    }
    inputs
}

/// Changes, inserts, removes or repeats a few bytes.
fn vary(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(4) {
            0 if at < input.len() => input[at] = random.byte(),
            1 => input.insert(at, random.byte()),
            2 if at < input.len() => {
                input.remove(at);
            }
            _ => {
                let until = at + random.below(input.len() - at + 1);
                let part = input[at..until].to_vec();
                input.splice(at..at, part);
            }
        }
        input.truncate(LENGTH_MAX);
    }
}

/// SplitMix64: small, seedable, good enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
