//! A property that cannot fail says nothing. Here are decoders, encoders and
//! parsers with one fault each, and the corpus finds every one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::request::{self, HEAD_TOO_LARGE};
use event_stream::{Decoder, FieldError, Item};
use fuzz::{
    TARGETS, corpus,
    decoder::{self, decode},
    reading::{Reading, Setting},
    request::{Outcome, parse},
    response::{self, read},
    round_trip::{self, Sent, encode},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many inputs of the target's find the fault.
#[track_caller]
fn found(target: &str, fault: &str, check: impl Fn(&[u8])) {
    let target = TARGETS.iter().find(|it| it.name == target).unwrap();
    let mut inputs = (target.seeds)().unwrap();
    inputs.extend(corpus::read(target.name).unwrap());
    let is_found = inputs
        .iter()
        .any(|input| catch_unwind(AssertUnwindSafe(|| check(input))).is_err());
    assert!(is_found, "{}: no input finds {fault}", target.name);
}

fn pieces(pieces: &[Vec<u8>]) -> Vec<&[u8]> {
    pieces.iter().map(Vec::as_slice).collect()
}

/// Each piece, changed.
fn each(given: &[&[u8]], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    given.iter().map(|piece| change(piece)).collect()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = behind;
        } else {
            replaced.push(rest[0]);
            rest = &rest[1..];
        }
    }
    replaced
}

// ANCHOR: decoders
type Decode = fn(&Setting, &[&[u8]]) -> Reading;

const DECODERS: &[(&str, Decode)] = &[
    ("text made of each piece by itself", |setting, given| {
        let given = each(given, |piece| {
            String::from_utf8_lossy(piece).into_owned().into_bytes()
        });
        decode(setting, &pieces(&given))
    }),
    ("the CR at the end of a piece is forgotten", |setting, given| {
        let mut after_cr = false;
        let mut changed = Vec::new();
        for piece in given.iter().filter(|piece| !piece.is_empty()) {
            if after_cr && piece.starts_with(b"\n") {
                changed.push(b"\n".to_vec());
            }
            after_cr = piece.ends_with(b"\r");
            changed.push(piece.to_vec());
        }
        decode(setting, &pieces(&changed))
    }),
    ("an unfinished event is dispatched at the end", |setting, given| {
        decode(setting, &[given, &[b"\n\n"]].concat())
    }),
    // ANCHOR_END: decoders
    ("a BOM is known in one piece only", |setting, given| {
        let cut = given.first().is_some_and(|first| first.len() < 3);
        let bom: &[u8] = if cut { b"\xEF\xBB\xBF" } else { b"" };
        decode(setting, &[&[bom], given].concat())
    }),
    ("every BOM is taken off", |setting, given| {
        let given = each(given, |piece| replace(piece, b"\xEF\xBB\xBF", b""));
        decode(setting, &pieces(&given))
    }),
    ("LF CR is one line end", |setting, given| {
        let given = each(given, |piece| replace(piece, b"\n\r", b"\n"));
        decode(setting, &pieces(&given))
    }),
    ("U+2028 ends a line", |setting, given| {
        let given = each(given, |piece| replace(piece, b"\xE2\x80\xA8", b"\n"));
        decode(setting, &pieces(&given))
    }),
    ("NUL is taken out", |setting, given| {
        let given = each(given, |piece| replace(piece, b"\0", b""));
        decode(setting, &pieces(&given))
    }),
    ("names are read in any case", |setting, given| {
        let given = each(given, |piece| replace(piece, b"Data", b"data"));
        decode(setting, &pieces(&given))
    }),
    ("a sign is part of a number", |setting, given| {
        let given =
            each(given, |piece| replace(piece, b"retry: +", b"retry: "));
        decode(setting, &pieces(&given))
    }),
    ("a tab is taken off like a space", |setting, given| {
        let given = each(given, |piece| replace(piece, b":\t", b":"));
        decode(setting, &pieces(&given))
    }),
    ("values are trimmed", |setting, given| {
        let mut reading = decode(setting, given);
        for item in &mut reading.items {
            if let Item::Event(event) = item {
                event.data = event.data.trim_matches(' ').to_owned();
            }
        }
        reading
    }),
    ("comments are not told of", |setting, given| {
        let mut reading = decode(setting, given);
        reading.items.retain(|item| !matches!(item, Item::Comment(_)));
        reading
    }),
    ("an ID without data is lost", |setting, given| {
        let mut reading = decode(setting, given);
        reading.items.retain(|item| !matches!(item, Item::LastEventId(_)));
        reading
    }),
    ("the ID of the connection before is forgotten", |setting, given| {
        decode(&Setting { last_event_id: "", ..*setting }, given)
    }),
    ("a limit one byte too high", |setting, given| {
        let limit = setting.limit + 1;
        let mut reading = decode(&Setting { limit, ..*setting }, given);
        if let Some(exceeded) = &mut reading.exceeded {
            exceeded.limit -= 1;
        }
        reading
    }),
    ("no limit", |setting, given| {
        let limit = Decoder::DEFAULT_LIMIT;
        decode(&Setting { limit, ..*setting }, given)
    }),
    ("the place of the error counted in its piece", |setting, given| {
        let mut reading = decode(setting, given);
        if let (Some(exceeded), Some(first)) =
            (&mut reading.exceeded, given.first())
        {
            exceeded.offset %= first.len().max(1) as u64 + 1;
        }
        reading
    }),
];

#[test]
fn every_broken_decoder_is_found() {
    for (fault, decode) in DECODERS {
        let check = |input: &[u8]| decoder::check_with(input, decode);
        found("decoder", fault, check);
    }
}

type Encode = fn(&Sent, &mut Vec<u8>) -> Result<(), FieldError>;

/// An event whose data is written like this; the rest of it as it should be.
fn with_data(
    sent: &Sent,
    out: &mut Vec<u8>,
    lines: impl Fn(&str) -> String,
) -> Result<(), FieldError> {
    let mut sent = sent.clone();
    let Sent::Event { data, .. } = &mut sent else {
        return encode(&sent, out);
    };
    let data = std::mem::take(data);
    encode(&sent, out)?;
    out.truncate(out.len() - "data: \n\n".len());
    out.extend_from_slice(lines(&data).as_bytes());
    out.push(b'\n');
    Ok(())
}

/// The event without what would make it refused.
fn without(sent: &Sent, taken_out: &[char]) -> Sent {
    let mut sent = sent.clone();
    if let Sent::Event { event_type, id, .. } = &mut sent {
        for text in [event_type, id].into_iter().flatten() {
            *text = text.replace(taken_out, "");
        }
    }
    sent
}

const ENCODERS: &[(&str, Encode)] = &[
    ("data is written as it is", |sent, out| {
        with_data(sent, out, |data| format!("data: {data}\n"))
    }),
    ("data is split at LF only", |sent, out| {
        with_data(sent, out, |data| {
            format!("data: {}\n", data.replace('\n', "\ndata: "))
        })
    }),
    ("CRLF in data is two line ends", |sent, out| {
        with_data(sent, out, |data| {
            format!("data: {}\n", data.replace(['\r', '\n'], "\ndata: "))
        })
    }),
    ("there is no space after the colon", |sent, out| {
        with_data(sent, out, |data| {
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            format!("data:{}\n", data.replace('\n', "\ndata:"))
        })
    }),
    ("empty data is not written", |sent, out| {
        if matches!(sent, Sent::Event { data, .. } if data.is_empty()) {
            out.push(b'\n');
            return Ok(());
        }
        encode(sent, out)
    }),
    ("a CR in a type or an ID is taken out", |sent, out| {
        encode(&without(sent, &['\r']), out)
    }),
    ("an LF in a type or an ID is taken out", |sent, out| {
        encode(&without(sent, &['\n']), out)
    }),
    ("a NUL in an ID is taken out", |sent, out| {
        encode(&without(sent, &['\0']), out)
    }),
    ("a comment with line ends becomes several", |sent, out| {
        if let Sent::Comment(text) = sent {
            out.extend_from_slice(format!(": {text}\n\n").as_bytes());
            return Ok(());
        }
        encode(sent, out)
    }),
    ("a heartbeat is an event", |sent, out| {
        if let Sent::Heartbeat = sent {
            out.extend_from_slice(b"data: heartbeat\n\n");
            return Ok(());
        }
        encode(sent, out)
    }),
    ("the wait is rounded up", |sent, out| {
        if let Sent::Retry(time) = sent {
            let time = time.as_millis() + 1;
            out.extend_from_slice(format!("retry: {time}\n\n").as_bytes());
            return Ok(());
        }
        encode(sent, out)
    }),
];

#[test]
fn every_broken_encoder_is_found() {
    for (fault, encode) in ENCODERS {
        let check = |input: &[u8]| round_trip::check_with(input, encode);
        found("round_trip", fault, check);
    }
}

type Parse = fn(&[&[u8]]) -> Outcome;

const REQUEST_PARSERS: &[(&str, Parse)] = &[
    ("an end across two pieces is missed", |given| {
        let mut head = Vec::new();
        for piece in given {
            let searched = head.len();
            head.extend_from_slice(piece);
            match request::parse(&head, searched + 2)? {
                None => {}
                some => return Ok(some),
            }
        }
        Ok(None)
    }),
    ("a head may be of any length", |given| match parse(given) {
        Err(HEAD_TOO_LARGE) => Ok(None),
        outcome => outcome,
    }),
    ("a line may go on in the next", |given| {
        parse(&[&replace(&given.concat(), b"\r\n ", b" ")])
    }),
    ("a space before a colon is passed over", |given| {
        parse(&[&replace(&given.concat(), b" :", b":")])
    }),
    ("a CR is passed over", |given| {
        parse(&[&replace(&given.concat(), b"\r", b"")])
    }),
    ("NUL is passed over", |given| {
        parse(&[&replace(&given.concat(), b"\0", b"")])
    }),
    ("two spaces are one", |given| {
        parse(&[&replace(&given.concat(), b"  ", b" ")])
    }),
    ("blank lines in front are passed over", |given| {
        parse(&[given.concat().trim_ascii_start()])
    }),
    ("the second of two IDs is passed over", |given| {
        let field = b"Last-Event-ID: 2";
        parse(&[&replace(&given.concat(), field, b"X: 2")])
    }),
    ("the second of two hosts is passed over", |given| {
        let hosts = b"Host: a\r\nHost: a\r\n";
        parse(&[&replace(&given.concat(), hosts, b"Host: a\r\n")])
    }),
    ("a length may have a sign", |given| {
        parse(&[&replace(&given.concat(), b": +1", b": 1")])
    }),
    ("a coding nobody knows is passed over", |given| {
        let field = b"Transfer-Encoding: gzip";
        parse(&[&replace(&given.concat(), field, b"X: y")])
    }),
];

#[test]
fn every_broken_request_parser_is_found() {
    for (fault, parse) in REQUEST_PARSERS {
        let check = |input: &[u8]| fuzz::request::check_with(input, parse);
        found("request", fault, check);
    }
}

type Read = fn(&[&[u8]]) -> response::Reading;

const RESPONSE_PARSERS: &[(&str, Read)] = &[
    ("chunks are not taken out of their framing", |given| {
        read(&[&replace(&given.concat(), b"Transfer-Encoding", b"X")])
    }),
    ("a length wins over chunks", |given| {
        let both = b"Transfer-Encoding: Chunked\r\nContent-Length";
        read(&[&replace(&given.concat(), both, b"Content-Length")])
    }),
    ("sizes are decimal", |given| {
        read(&[&replace(&given.concat(), b"\r\n0A;", b"\r\n0;")])
    }),
    ("interim responses are final", |given| {
        read(&[&replace(&given.concat(), b" 103 ", b" 200 ")])
    }),
    ("a CR is passed over", |given| {
        read(&[&replace(&given.concat(), b"\r", b"")])
    }),
    ("each piece is a response", |given| read(&given[..given.len().min(1)])),
    ("what is behind the end is body", |given| {
        let mut reading = read(given);
        reading.body.append(&mut reading.behind);
        reading
    }),
    ("what is broken is the end", |given| {
        let mut reading = read(given);
        reading.has_ended |= std::mem::take(&mut reading.is_malformed);
        reading
    }),
    ("a connection that closes ends any body", |given| {
        let mut reading = read(given);
        reading.ends_with_connection = true;
        reading
    }),
    ("a coding is passed over", |given| {
        read(&[&replace(&given.concat(), b"Content-Encoding", b"X")])
    }),
];

#[test]
fn every_broken_response_parser_is_found() {
    for (fault, read) in RESPONSE_PARSERS {
        let check = |input: &[u8]| response::check_with(input, read);
        found("response", fault, check);
    }
}
