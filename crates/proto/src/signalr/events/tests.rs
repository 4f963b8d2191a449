//! Events in whatever pieces they come.

use proptest::{collection::vec, prelude::*};

use super::*;

/// The events of a stream that comes in these pieces.
fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut reader = EventReader::new(1 << 20);
    let mut events = Vec::new();
    for mut piece in pieces {
        while let Some(data) = reader.next(&mut piece).unwrap() {
            events.push(String::from_utf8(data).unwrap());
        }
        assert!(piece.is_empty(), "all input is used");
    }
    events
}

fn whole(stream: &str) -> Vec<String> {
    events([stream.as_bytes()])
}

#[test]
fn an_event_is_its_lines_of_data() {
    for (stream, wanted) in [
        ("data: a\r\n\r\n", vec!["a"]),
        ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
        ("data: a\rdata: b\r\r", vec!["a\nb"]),
        ("data:a\r\ndata\r\ndata:  b\r\n\r\n", vec!["a\n\n b"]),
        ("data\n\n", vec![""]),
        ("data: a: b\n\n", vec!["a: b"]),
        ("data: unfinished\n", vec![]),
        ("data: unfinished", vec![]),
    ] {
        assert_eq!(whole(stream), wanted, "{stream:?}");
    }
}

#[test]
fn what_is_no_data_is_read_over() {
    for stream in [
        ":\r\ndata: a\r\n\r\n",
        "\u{feff}data: a\n\n",
        "event: x\nid: 1\nretry: 5\n: data: b\ndata: a\n\n",
        "\n\n\r\n\r\rdata: a\n\n",
        "database: b\ndat: c\n\ndata: a\n\n",
    ] {
        assert_eq!(whole(stream), ["a"], "{stream:?}");
    }
    assert!(whole("data: a\n\u{feff}\ndata: b\n").is_empty(), "only the first line has a mark");
}

#[test]
fn an_event_up_to_the_limit_is_read_and_no_longer_one() {
    let read = |stream: &str| EventReader::new(10).next(&mut stream.as_bytes());
    assert_eq!(read("data: 1234\n\n"), Ok(Some(b"1234".to_vec())));
    assert_eq!(read("data: 12345\n\n"), Err(EventTooLarge { event_max: 10 }));
    assert_eq!(read("data: 12345"), Err(EventTooLarge { event_max: 10 }));
    assert_eq!(read(":0123456789\n"), Err(EventTooLarge { event_max: 10 }));
    assert_eq!(read("data: 1234\ndata:5\n\n"), Ok(Some(b"1234\n5".to_vec())));
    assert_eq!(read("data: 1234\ndata: 5\n\n"), Err(EventTooLarge { event_max: 10 }));
    let mut reader = EventReader::new(10);
    for _ in 0..1000 {
        let mut input = &b"data: 1\n\n"[..];
        assert_eq!(reader.next(&mut input), Ok(Some(b"1".to_vec())), "the limit is for each");
        assert_eq!(reader.next(&mut input), Ok(None));
    }
}

fn any_stream() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("data"),
        Just(": "),
        Just(":"),
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("x"),
        Just("\u{feff}"),
        Just("\u{1e}"),
    ];
    vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_mean_nothing(stream in any_stream(), cuts in vec(1_usize..9, 1..60)) {
        let mut rest = stream.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let all = whole(&stream);
        prop_assert_eq!(&events(pieces), &all);
        prop_assert_eq!(events(stream.as_bytes().chunks(1)), all);
    }

    /// Written as a hub writes them.
    #[test]
    fn what_a_hub_says_is_read(said in vec("[a-z:\u{1e}\n]{0,20}", 0..10), step in 1_usize..40) {
        let event = |text: &String| {
            let lines = text.split('\n').map(|line| format!("data: {line}\r\n"));
            lines.collect::<String>() + "\r\n"
        };
        let stream: String = std::iter::once(":\r\n".to_owned()).chain(said.iter().map(event)).collect();
        prop_assert_eq!(events(stream.as_bytes().chunks(step)), said);
    }
}
