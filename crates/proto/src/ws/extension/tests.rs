//! Every ordered pair of legs is either compatible with the client or refused.

use super::*;

fn offers(field: &str) -> Vec<DeflateOffer> {
    let mut offers = Vec::new();
    read_offers(field.as_bytes(), &mut offers).expect("follows the grammar");
    offers
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn offers_are_passed_on_without_history() {
    for (offered, passed) in [
        ("permessage-deflate", ""),
        ("permessage-deflate; client_no_context_takeover", ""),
        ("permessage-deflate;server_no_context_takeover", ""),
        ("permessage-deflate; client_max_window_bits", "; client_max_window_bits"),
        ("permessage-deflate; client_max_window_bits=15", "; client_max_window_bits"),
        ("permessage-deflate; client_max_window_bits = \"9\"", "; client_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=8", "; server_max_window_bits=8"),
    ] {
        let [offer] = offers(offered)[..] else { panic!("{offered} is one offer") };
        let expected = format!(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover{passed}"
        );
        assert_eq!(written(|out| offer.write(out)), expected);
    }
}

#[test]
fn attack_f9_parameters_that_mean_nothing_decline_the_offer() {
    for bad in [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=abc",
        "server_max_window_bits=08",
        "client_max_window_bits=1",
        "client_max_window_bits=100",
        "server_no_context_takeover=1",
        "client_no_context_takeover=x",
        "mem_level=9",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=9",
        "server_no_context_takeover; server_no_context_takeover",
    ] {
        assert_eq!(offers(&format!("permessage-deflate; {bad}")), [], "{bad}");
        let rescue = format!("permessage-deflate; {bad}, permessage-deflate");
        assert_eq!(offers(&rescue), offers("permessage-deflate"), "{bad}");
    }
    assert_eq!(offers("x-webkit-deflate-frame, foo; bar=1, permessage-bzip2"), []);
}

#[test]
fn a_field_that_breaks_the_grammar_is_an_error_and_a_long_one_too() {
    for bad in
        ["permessage-deflate;", "a b", "a; b=", "a; b=\"c", "a; b=c d", "=", "a; =b", "\"a\""]
    {
        let read = read_offers(bad.as_bytes(), &mut Vec::new());
        assert_eq!(read, Err(ExtensionError::Malformed), "{bad}");
    }
    let many = ["x"; OFFERS_MAX + 1].join(",");
    assert_eq!(read_offers(many.as_bytes(), &mut Vec::new()), Err(ExtensionError::TooMany));
    let most = ["permessage-deflate"; OFFERS_MAX].join(",");
    assert_eq!(offers(&most).len(), OFFERS_MAX);
}

#[test]
fn an_answer_must_fit_an_offer() {
    let agree = |offer: &str, answer: &str| {
        let [offer] = offers(&format!("permessage-deflate{offer}"))[..] else {
            panic!("one offer")
        };
        let answer = format!("permessage-deflate; server_no_context_takeover{answer}");
        read_answer(answer.as_bytes()).and_then(|answer| offer.agree(&answer))
    };
    for (offer, answer, windows) in [
        ("", "", Some((15, 15))),
        ("", "; client_no_context_takeover", Some((15, 15))),
        ("", "; server_max_window_bits=10", Some((10, 15))),
        ("", "; client_max_window_bits=10", None),
        ("; client_max_window_bits", "", Some((15, 15))),
        ("; client_max_window_bits", "; client_max_window_bits=10", Some((15, 10))),
        ("; client_max_window_bits", "; client_max_window_bits", None),
        ("; client_max_window_bits=10", "; client_max_window_bits=11", None),
        ("; client_max_window_bits=10", "; client_max_window_bits=10", Some((15, 10))),
        ("; client_max_window_bits=10", "", Some((15, 15))),
        ("; server_max_window_bits=10", "", None),
        ("; server_max_window_bits=10", "; server_max_window_bits=11", None),
        ("; server_max_window_bits=10", "; server_max_window_bits=9", Some((9, 15))),
        ("", "; unknown=1", None),
    ] {
        let agreed = agree(offer, answer);
        let seen = agreed.ok().map(|deflate| (deflate.server_window(), deflate.client_window()));
        assert_eq!(seen, windows, "{answer} to {offer}: {agreed:?}");
    }
}

#[test]
fn an_answer_with_history_another_extension_or_two_of_them_is_refused() {
    let [offer] = offers("permessage-deflate")[..] else { panic!("one offer") };
    let history = read_answer(b"permessage-deflate").expect("follows the grammar");
    assert_eq!(offer.agree(&history), Err(ExtensionError::ContextTakeover));
    let two = b"permessage-deflate; server_no_context_takeover, x";
    assert_eq!(read_answer(two), Err(ExtensionError::NotOffered));
    assert_eq!(read_answer(b"x-webkit-deflate-frame"), Err(ExtensionError::NotOffered));
    assert_eq!(read_answer(b""), Err(ExtensionError::Malformed));
    assert_eq!(read_answer(b"a; "), Err(ExtensionError::Malformed));
}

#[test]
fn the_client_is_told_the_windows_that_its_backend_named() {
    let deflate = Deflate { server_bits: Some(10), client_bits: Some(15) };
    assert_eq!(
        written(|out| deflate.write_answer(out)),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10; client_max_window_bits=15"
    );
    // A window of 15 bits is not offered again: a backend could answer it with a smaller one.
    assert_eq!(
        written(|out| deflate.write_offer(out)),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10"
    );
}

/// A backend with a mind of its own: answers what it is configured to, sensible or not.
fn backend_answers() -> Vec<String> {
    let mut answers = Vec::new();
    for takeover in ["; server_no_context_takeover", ""] {
        for own in ["", "; client_no_context_takeover"] {
            for server in ["", "; server_max_window_bits=10", "; server_max_window_bits=15"] {
                for client in ["", "; client_max_window_bits=10", "; client_max_window_bits=15"] {
                    answers.push(format!("permessage-deflate{takeover}{own}{server}{client}"));
                }
            }
        }
    }
    answers
}

/// The windows that a backend with this answer writes with and reads with, and whether it keeps
/// history when it writes; worked out from the text, apart from the code under test.
fn meaning(answer: &str) -> (u8, u8, bool) {
    let bits = |name: &str| {
        let value = answer.split("; ").find_map(|param| param.strip_prefix(name));
        value.map_or(15, |bits| bits.parse().expect("a number"))
    };
    let history = !answer.contains("server_no_context_takeover");
    (bits("server_max_window_bits="), bits("client_max_window_bits="), history)
}

#[test]
fn fault_p21_every_pair_of_legs_is_compatible_or_a_mismatch() {
    let client_offers = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
    ];
    let (mut compatible, mut mismatches) = (0, 0);
    for offer in client_offers.map(|offer| offers(offer)[0]) {
        for first in backend_answers() {
            let parsed = read_answer(first.as_bytes()).expect("follows the grammar");
            let Ok(agreed) = offer.agree(&parsed) else { continue };
            let told = written(|out| agreed.write_answer(out));
            let (client_reads, client_writes, _) = meaning(&told);
            for later in backend_answers() {
                let parsed = read_answer(later.as_bytes()).expect("follows the grammar");
                let (backend_writes, backend_reads, history) = meaning(&later);
                let can_talk =
                    !history && backend_writes <= client_reads && client_writes <= backend_reads;
                assert_eq!(agreed.accepts(&parsed).is_ok(), can_talk, "{told} then {later}");
                *(if can_talk { &mut compatible } else { &mut mismatches }) += 1;
            }
            assert_eq!(agreed.accepts(&parsed), Ok(()), "the first backend itself, again");
        }
    }
    assert!(compatible > 100 && mismatches > 100, "{compatible} and {mismatches}");
}
