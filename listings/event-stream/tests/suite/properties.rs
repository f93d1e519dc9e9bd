//! What holds for every input.

use crate::{
    reference,
    said::{Said, decode, items},
};
use event_stream::{Comment, Decoder, Event, HEARTBEAT, Retry};
use proptest::{
    collection::vec,
    option,
    prelude::{
        Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof,
        proptest,
    },
    sample::Index,
};
use std::time::Duration;

/// Bytes that the format cares about, and pieces of what it cares about, more
/// often than chance would bring them.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 28] = [
        b"\n",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r",
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b": ",
        b" ",
        b"\0",
        b"data",
        b"data: x",
        b"data:",
        b"id",
        b"id: 1",
        b"event: t",
        b"event",
        b"retry: 5",
        b"retry:",
        b"9",
        b"x",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xBB",
        b"\xE2\x82",
        b"\xF0\x9F\x98",
        b"\x80",
    ];
    let piece = prop_oneof![
        9 => proptest::sample::select(pieces.map(<[u8]>::to_vec).to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The stream in pieces, some of them empty.
fn cut<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> =
        cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in cuts.into_iter().chain([stream.len()]) {
        pieces.push(&stream[start..end]);
        start = end;
    }
    pieces
}

#[derive(Clone, Debug)]
enum Sent {
    Event {
        data: String,
        event_type: Option<String>,
        id: Option<String>,
        retry: Option<u64>,
    },
    Comment(String),
    Retry(u64),
    Heartbeat,
}

/// Text in which line ends, colons, spaces and a BOM are frequent.
fn text() -> impl Strategy<Value = String> {
    let common = ['\r', '\n', ':', ' ', '\0', '\u{FEFF}', '\u{2028}', 'é'];
    let character =
        prop_oneof![proptest::sample::select(common.to_vec()), any::<char>(),];
    vec(character, 0..12).prop_map(|text| text.into_iter().collect())
}

fn without(refused: &'static [char]) -> impl Strategy<Value = String> {
    text().prop_map(move |text| text.replace(refused, "-"))
}

fn sent() -> impl Strategy<Value = Sent> {
    let line = || without(&['\r', '\n']);
    let event = (
        text(),
        option::of(line()),
        option::of(without(&['\r', '\n', '\0'])),
        option::of(any::<u64>()),
    );
    prop_oneof![
        3 => event.prop_map(|(data, event_type, id, retry)| Sent::Event {
            data, event_type, id, retry,
        }),
        1 => line().prop_map(Sent::Comment),
        1 => any::<u64>().prop_map(Sent::Retry),
        1 => Just(Sent::Heartbeat),
    ]
}

/// Writes what was sent, and says what a reader is to read.
fn write(sent: &[Sent]) -> (Vec<u8>, Vec<Said>) {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    let mut last_event_id = String::new();
    for sent in sent {
        match sent {
            Sent::Event { data, event_type, id, retry } => {
                let mut event = Event::new(data);
                if let Some(retry) = retry {
                    let retry = Duration::from_millis(*retry);
                    event = event.with_retry(retry);
                    expected.push(Said::Retry(retry));
                }
                if let Some(event_type) = event_type {
                    event = event.with_type(event_type).unwrap();
                }
                if let Some(id) = id {
                    event = event.with_id(id).unwrap();
                    last_event_id.clone_from(id);
                }
                event.encode(&mut stream);
                expected.push(Said::event(
                    event.event_type(),
                    &data.replace("\r\n", "\n").replace('\r', "\n"),
                    &last_event_id,
                ));
            }
            Sent::Comment(text) => {
                Comment::new(text).unwrap().encode(&mut stream);
                expected.push(Said::Comment(text.clone()));
            }
            Sent::Retry(milliseconds) => {
                let time = Duration::from_millis(*milliseconds);
                Retry::new(time).encode(&mut stream);
                expected.push(Said::Retry(time));
            }
            Sent::Heartbeat => {
                stream.extend_from_slice(HEARTBEAT.as_bytes());
                expected.push(Said::Comment("heartbeat".into()));
            }
        }
    }
    (stream, expected)
}

/// Eight times as many cases as usual: each is short.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 8, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_back(
        sent in vec(sent(), 0..8),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        let (stream, expected) = write(&sent);
        prop_assert_eq!(items(cut(&stream, &cuts)), expected);
    }

    #[test]
    fn cuts_change_neither_items_nor_error(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..8),
        limit in 0..24_usize,
    ) {
        let decode = |pieces: Vec<&[u8]>| {
            decode(&mut Decoder::with_limit(limit), pieces)
        };
        let whole = decode(vec![&stream]);
        prop_assert_eq!(decode(cut(&stream, &cuts)), whole.clone());
        prop_assert_eq!(decode(stream.chunks(1).collect()), whole);
    }

    #[test]
    fn the_reference_decoder_agrees(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        let expected = reference::decode(&stream);
        prop_assert_eq!(items(cut(&stream, &cuts)), expected);
    }

    #[test]
    fn without_comments_all_else_is_the_same(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..8),
        limit in 0..24_usize,
    ) {
        let decode = |limit, pieces: Vec<&[u8]>| {
            decode(&mut Decoder::with_limit(limit).without_comments(), pieces)
        };
        let mut expected = reference::decode(&stream);
        expected.retain(|said| !matches!(said, Said::Comment(_)));
        let usual = Decoder::DEFAULT_LIMIT;
        prop_assert_eq!(decode(usual, cut(&stream, &cuts)), (expected, None));
        let whole = decode(limit, vec![&stream]);
        prop_assert_eq!(decode(limit, cut(&stream, &cuts)), whole.clone());
        prop_assert_eq!(decode(limit, stream.chunks(1).collect()), whole);
    }

    #[test]
    fn no_bytes_panic(
        stream in vec(any::<u8>(), 0..200),
        limit in any::<usize>(),
    ) {
        decode(&mut Decoder::with_limit(limit), [&*stream]);
        prop_assert_eq!(items([&*stream]), reference::decode(&stream));
    }
}
