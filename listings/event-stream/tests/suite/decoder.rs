//! What fixtures cannot show: the limit, the ID across connections, and when
//! an item comes out.

use crate::{
    reference,
    said::{Said, decode, items},
};
use event_stream::{Decoder, Item, LimitExceeded, MessageEvent};
use std::slice;

/// The error of a stream, which must be the same however it is cut.
#[track_caller]
fn exceeded(limit: usize, stream: &[u8]) -> Option<LimitExceeded> {
    let whole = decode(&mut Decoder::with_limit(limit), [stream]);
    for size in 1..stream.len() {
        let pieces =
            decode(&mut Decoder::with_limit(limit), stream.chunks(size));
        assert_eq!(pieces, whole, "in pieces of {size}");
    }
    whole.1
}

fn at(limit: usize, offset: u64) -> LimitExceeded {
    LimitExceeded { limit, offset }
}

#[test]
fn an_item_comes_out_with_its_last_byte() {
    let stream = b": c\nretry: 1\nid: 1\n\nevent: t\r\ndata: x\r\n\r";
    let ends = [3, 12, 19, stream.len() - 1];
    let mut decoder = Decoder::new();
    for (at, mut byte) in stream.chunks(1).enumerate() {
        let item = decoder.next(&mut byte).unwrap();
        assert_eq!(item.is_some(), ends.contains(&at), "at byte {at}");
    }
}

#[test]
fn a_chunk_without_bytes_changes_nothing() {
    let chunks = ["", "data: x\r", "", "\n\r", "", "\ndata: y\n", "", "\n"];
    assert_eq!(
        items(chunks.map(str::as_bytes)),
        [Said::event("message", "x", ""), Said::event("message", "y", "")]
    );
}

#[test]
fn data_of_one_line_is_borrowed_from_the_chunk() {
    let chunk = b"data: Hello\n\n".as_slice();
    let mut rest = chunk;
    let mut decoder = Decoder::new();
    let Ok(Some(Item::Event(event))) = decoder.next(&mut rest) else {
        panic!("an event")
    };
    assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
}

/// Short chunks, and the first bytes of long ones, are searched in registers,
/// what follows by `memchr2`; a tab stops the one and is none to the other.
/// Text is checked with all that follows it. So each end must be found
/// wherever it stands, and the text around it, cut characters and bad ones
/// included.
#[test]
fn lines_of_every_length_end_where_they_do() {
    for end in ["\n", "\r", "\r\n"] {
        for length in 0..80 {
            let x = "x".repeat(length);
            let y = "é".repeat(length / 2);
            let stream = format!(
                ":{x}{end}{end}data: {x}{end}{end}event: {x}{end}\t{x}{end}\
                 data: {y}{end}data: {x}{end}{end}: {x}{end}data:{x}\u{1}{end}{end}"
            );
            let mut stream = stream.into_bytes();
            let bad = stream.len() - 2 * end.len() - 1;
            for bad_byte in [0x01, 0x8A, 0x8D, 0x0B, 0xC3] {
                stream[bad] = bad_byte;
                let expected = reference::decode(&stream);
                for size in [1, 7, 8, 9, 17, 64, stream.len()] {
                    let said = items(stream.chunks(size));
                    assert_eq!(said, expected, "{length} in {size}s");
                }
            }
        }
    }
}

/// The cut costs a copy of what came before it, and no more.
#[test]
fn what_lies_behind_the_cut_of_a_block_is_borrowed_from_the_chunk() {
    let stream = b"id: 1\nevent: note\ndata: Hello\n\n";
    let id_ends = 6;
    for end in 1..=id_ends {
        let (mut one, mut two) = stream.split_at(end);
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut one), Ok(None));
        let chunk = two.as_ptr_range();
        let Ok(Some(Item::Event(event))) = decoder.next(&mut two) else {
            panic!("an event")
        };
        assert_eq!(event.last_event_id, "1");
        assert!(chunk.contains(&event.event_type.as_ptr()), "cut at {end}");
        assert!(chunk.contains(&event.data.as_ptr()), "cut at {end}");
    }
}

/// A block says some of it in one chunk and some in the next, and says it
/// again: what comes later counts, against the limit as well.
#[test]
fn a_field_that_comes_again_counts_alone_wherever_the_cut_is() {
    let blocks: [(&[u8], Said); 5] = [
        (b"event: old\nevent\ndata: x\n\n", Said::event("message", "x", "")),
        (b"event: old\nevent: t\ndata: x\n\n", Said::event("t", "x", "")),
        (b"event: \xFF\nevent: t\ndata: x\n\n", Said::event("t", "x", "")),
        (b"id: old\nid: 1\ndata: x\n\n", Said::event("message", "x", "1")),
        (b"id: old\nid\ndata: x\n\n", Said::event("message", "x", "")),
    ];
    for (stream, said) in blocks {
        for cut in 0..=stream.len() {
            let (one, two) = stream.split_at(cut);
            let read = items([one, two]);
            assert_eq!(read, slice::from_ref(&said), "cut at {cut}");
        }
        let longest = stream.split(|byte| *byte == b'\n').map(<[u8]>::len);
        let longest = longest.max().unwrap();
        assert_eq!(exceeded(longest + 3, stream), None);
    }
    // Held when the last line comes: "old", which `event` then replaces.
    let stream = b"event: old\nevent\ndata: 12345\n\n";
    assert_eq!(exceeded(11, stream), None);
    assert_eq!(exceeded(10, stream), Some(at(10, 11 + 6 + 10)));
}

/// CR and LF are one line end, and neither is lost where a chunk ends.
#[test]
fn crlf_ends_lines_wherever_the_cut_is() {
    let event = "id: 1\r\nevent: t\r\ndata: x\r\ndata\r\n\r\n";
    let stream = [event, "\r\n", event, ": c\r\n\r\n", event].concat();
    let said = Said::event("t", "x\n", "1");
    let expected =
        [&said, &said, &Said::Comment("c".into()), &said].map(Clone::clone);
    for size in 1..stream.len() {
        let pieces = stream.as_bytes().chunks(size);
        assert_eq!(items(pieces), expected, "in pieces of {size}");
    }
}

/// What a reader compares items with may live longer than they do.
#[test]
fn an_item_lives_as_long_as_is_asked_of_it() {
    fn shorter<'a>(item: Item<&'static str>, _: &'a str) -> Item<&'a str> {
        item
    }
    let expected = [Item::Comment("hello"), Item::LastEventId("7")];
    let (mut decoder, mut found) = (Decoder::new(), 0);
    let mut chunk: &[u8] = b": hello\nid: 7\n\n";
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        let local = String::new();
        assert_eq!(item, shorter(expected[found], &local));
        found += 1;
    }
    assert_eq!(found, expected.len());
}

#[test]
fn text_behind_bad_bytes_is_borrowed_from_the_chunk_too() {
    let chunk = b"data: \xFF\n\n: \xFF\n\ndata: \xC3\xA9\n\ndata: \xC3";
    let mut decoder = Decoder::new();
    let mut items = decoder.items(chunk);
    let mut borrowed = 0;
    while let Some(item) = items.next().unwrap() {
        let (Item::Event(MessageEvent { data: text, .. })
        | Item::Comment(text)) = item
        else {
            panic!("{item:?}")
        };
        if chunk.as_ptr_range().contains(&text.as_ptr()) {
            assert_eq!(text, "é");
            borrowed += 1;
        } else {
            assert_eq!(text, "\u{FFFD}");
        }
    }
    assert_eq!(borrowed, 1);
}

/// A block is looked at as a whole, and again line by line where that finds
/// bytes that are not UTF-8.
#[test]
fn a_bad_line_leaves_the_lines_before_it_as_they_are() {
    let stream: &[u8] = b"id: 1\nevent: e\ndata: one\ndata: \xFF\n\n\
        id: 2\xFF\ndata: two\n\n";
    for cut in 0..=stream.len() {
        let (one, two) = stream.split_at(cut);
        assert_eq!(
            items([one, two]),
            [
                Said::event("e", "one\n\u{FFFD}", "1"),
                Said::event("message", "two", "2\u{FFFD}"),
            ]
        );
    }
}

#[test]
fn the_string_changes_at_the_blank_line_and_not_before() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.last_event_id(), "");
    decode(&mut decoder, [b"id: 1\n\nid: 2\ndata: x\n".as_slice()]);
    assert_eq!(decoder.last_event_id(), "1");
    decode(&mut decoder, [b"\n".as_slice()]);
    assert_eq!(decoder.last_event_id(), "2");
}

#[test]
fn a_new_connection_carries_the_id_of_the_one_before() {
    let mut decoder = Decoder::new().with_last_event_id("7");
    assert_eq!(decoder.last_event_id(), "7");
    let stream = b"data: a\n\nid: 8\ndata: b\n\nid\n\ndata: c\n\n";
    assert_eq!(
        decode(&mut decoder, [stream.as_slice()]).0,
        [
            Said::event("message", "a", "7"),
            Said::event("message", "b", "8"),
            Said::Id(String::new()),
            Said::event("message", "c", ""),
        ]
    );
}

#[test]
fn an_endless_line_fails_at_the_limit() {
    let mut decoder = Decoder::with_limit(1000);
    let mut fed = 0;
    let error = loop {
        match decoder.next(&mut b"data: endless ".as_slice()) {
            Ok(item) => assert_eq!(item, None),
            Err(error) => break error,
        }
        fed += 14;
        assert!(fed <= 1000, "the decoder holds {fed} bytes");
    };
    assert_eq!(error, LimitExceeded { limit: 1000, offset: 1000 });
    assert_eq!(
        error.to_string(),
        "an event is larger than 1000 bytes (at byte 1000 of the stream); \
         raise the limit if events may be this large"
    );
}

#[test]
fn after_the_error_every_call_fails_likewise() {
    let mut decoder = Decoder::with_limit(4);
    let error = decoder.next(&mut b"data: x".as_slice()).unwrap_err();
    for mut later in [b"".as_slice(), b"\n", b"\n\ndata: x\n\n"] {
        assert_eq!(decoder.next(&mut later), Err(error));
    }
}

#[test]
fn an_event_of_exactly_the_limit_passes() {
    assert_eq!(exceeded(7, b"data: x\n\n"), None);
    assert_eq!(exceeded(6, b"data: x\n\n"), Some(at(6, 6)));
    assert_eq!(exceeded(0, b"\r\n\n\r"), None);
    assert_eq!(exceeded(0, b"\n:\n"), Some(at(0, 1)));
}

#[test]
fn data_type_and_id_count_until_the_blank_line() {
    // Held when the last line comes: "aaa" and LF and "bbb".
    let stream = b"data: aaa\ndata: bbb\ndata: c\n\n";
    assert_eq!(exceeded(14, stream), None);
    assert_eq!(exceeded(13, stream), Some(at(13, 20 + 6)));
    // Held when the last line comes: "tt" and "iii".
    let stream = b"event: tt\nid: iii\ndata: x\n\n";
    assert_eq!(exceeded(12, stream), None);
    assert_eq!(exceeded(11, stream), Some(at(11, 18 + 6)));
}

#[test]
fn a_block_starts_with_the_whole_limit_again() {
    let stream = b"event: t\nid: 1\ndata: x\n\n".repeat(50);
    assert_eq!(exceeded(9, &stream), None);
}

#[test]
fn the_id_of_an_earlier_block_does_not_count() {
    let stream = b"id: 12345\n\nid: 1\n\ndata: 123\n\n";
    assert_eq!(exceeded(9, stream), None);
}

#[test]
fn lines_that_leave_nothing_behind_never_add_up() {
    let mut decoder = Decoder::with_limit(16);
    let lines = b"foo: bar\n: heartbeat\nretry: 5\nid: \0\nnonsense\n";
    for _ in 0..10_000 {
        let (said, error) = decode(&mut decoder, [lines.as_slice()]);
        assert_eq!((said.len(), error), (2, None));
    }
}

#[test]
fn a_comment_is_skipped_whatever_ends_it() {
    for end in ["\n", "\r", "\r\n"] {
        let stream =
            format!("{end}: a{end}{end}:{end}: b{end}data: x{end}{end}");
        for cut in 0..=stream.len() {
            let (one, two) = stream.as_bytes().split_at(cut);
            let mut decoder = Decoder::new().without_comments();
            let (said, error) = decode(&mut decoder, [one, two]);
            let expected = [Said::event("message", "x", "")];
            assert_eq!((&said[..], error), (&expected[..], None), "{end:?}");
        }
    }
}

#[test]
fn a_comment_that_is_skipped_may_be_of_any_length() {
    let mut decoder = Decoder::with_limit(7).without_comments();
    let pieces = ["data: x\n:", " never", " ending", "\r", "\n: one\n\n: "];
    for _ in 0..100 {
        assert_eq!(
            decode(&mut decoder, pieces.map(str::as_bytes)),
            (vec![Said::event("message", "x", "")], None)
        );
        assert_eq!(decode(&mut decoder, [b"\n".as_slice()]).0, []);
    }
}

#[test]
fn empty_lines_of_data_add_up() {
    // Six of them are five LFs, to which the seventh would add `data`.
    assert_eq!(exceeded(8, b"data\n".repeat(6).as_slice()), None);
    assert_eq!(
        exceeded(8, b"data\n".repeat(9).as_slice()),
        Some(at(8, 6 * 5 + 3))
    );
}

#[test]
fn the_offset_counts_a_bom_and_what_only_looked_like_one() {
    assert_eq!(exceeded(4, b"\xEF\xBB\xBFdata: x\n\n"), Some(at(4, 7)));
    assert_eq!(exceeded(1, b"\xEF\xBBdata: x\n\n"), Some(at(1, 1)));
    assert_eq!(exceeded(1, b"\xEF\xBB\n"), Some(at(1, 1)));
}

#[test]
fn the_offset_is_that_of_the_stream_and_not_of_the_event() {
    let mut stream = b"data: a\n\n".repeat(10);
    stream.extend(b"data: too long\n\n");
    assert_eq!(exceeded(10, &stream), Some(at(10, 90 + 10)));
}

/// What stands behind the last blank line is dropped, and can be seen.
#[test]
fn an_unfinished_event_can_be_seen() {
    for (stream, is_unfinished) in [
        ("", false),
        ("\n", false),
        ("data: a\n\n", false),
        ("data: a\r\r", false),
        ("data: a\r\n\r", false),
        ("id: 1\n\n", false),
        (": comment", false),
        (": comment\n", false),
        ("data: a\n\n: comm", false),
        ("\u{feff}", false),
        ("data: a\n", true),
        ("data: a\r", true),
        ("data: a", true),
        ("d", true),
        ("data: a\n\nid: 7\n", true),
        ("data: a\n\nevent: b\n", true),
        ("data: a\n: comment\n", true),
        ("data: a\n: comm", true),
        ("data: a\n\ndata: b\n\ndat", true),
    ] {
        for comments in [true, false] {
            for piece in [1, 2, 3, 100] {
                let mut decoder = Decoder::new();
                if !comments {
                    decoder = decoder.without_comments();
                }
                for mut chunk in stream.as_bytes().chunks(piece) {
                    while decoder.next(&mut chunk).unwrap().is_some() {}
                }
                let found = decoder.is_unfinished();
                assert_eq!(found, is_unfinished, "{stream:?} by {piece}");
                // A blank line more gives it out, where there is data.
                let mut end = &b"\n\n"[..];
                let mut events = 0;
                while let Some(item) = decoder.next(&mut end).unwrap() {
                    events += usize::from(matches!(item, Item::Event(_)));
                }
                let last = stream.rsplit("\n\n").next().unwrap();
                let has_data = last.contains("data: ") && is_unfinished;
                assert_eq!(events, usize::from(has_data), "{stream:?}");
                assert!(!decoder.is_unfinished(), "{stream:?} by {piece}");
            }
        }
    }
}
