//! How long an event takes to become bytes, and how long each further reader
//! of it: lines for `bench`, which makes a table of them.

use peers::{
    clock::{Clock, shuffled},
    encoders::{ENCODERS, Encode, encoded, texts},
    inputs::Words,
    version,
};
use std::{convert::Infallible, env, hint::black_box, process::ExitCode};

/// How many events are timed together.
const COUNT: u16 = 1000;

/// Whether it made of each text what it should.
fn check(encode: Encode, texts: &'static [String]) -> Result<(), String> {
    let mut expected = texts.iter().map(|text| encoded(text));
    let (mut right, mut all) = (0, 0);
    let mut see = |bytes: &[u8]| {
        right += usize::from(expected.next().is_some_and(|it| it == bytes));
        all += 1;
    };
    encode(texts, &mut see, &mut |work| work());
    match (right, all) {
        (right, all) if right == all && all == texts.len() => Ok(()),
        _ => Err(format!("{right} of {} events", texts.len())),
    }
}

/// Encodes events once, for a profiler that looks at the encoder only.
fn once(size: &str, name: &str) -> Option<()> {
    let (_, encode) = ENCODERS.iter().find(|(it, _)| *it == name)?;
    let texts = texts(COUNT.into(), size.parse().ok()?);
    let mut see = |bytes: &[u8]| {
        black_box(bytes);
    };
    encode(texts, &mut see, &mut |work| work());
    println!("of\t{COUNT}");
    Some(())
}

/// Times everybody once, round by round.
fn race(
    name: &str,
    size: usize,
    rounds: u32,
    clock: &mut Clock,
) -> Result<(), String> {
    let texts = texts(COUNT.into(), size);
    for (name, encode) in ENCODERS {
        check(encode, texts).map_err(|why| format!("{name} wrote {why}"))?;
    }
    let mut samples = [const { Vec::new() }; ENCODERS.len()];
    let mut words = Words::new();
    for _ in 0..rounds {
        for at in shuffled(ENCODERS.len(), &mut words) {
            let Ok(took) = clock.time(|around| {
                let mut see = |bytes: &[u8]| {
                    black_box(bytes);
                };
                ENCODERS[at].1(black_box(texts), &mut see, around);
                Ok::<_, Infallible>(())
            });
            let each = took.as_secs_f64() * 1e9 / f64::from(COUNT);
            samples[at].push(each.to_string());
        }
    }
    for ((who, _), samples) in ENCODERS.iter().zip(samples) {
        println!("times\t{name}\t{who}\t{}", samples.join(" "));
    }
    Ok(())
}

const USAGE: &str = "usage: encoding ROUNDS | encoding --once SIZE ENCODER";

fn all(rounds: u32) -> Result<(), String> {
    for name in ["axum", "sse-stream"] {
        println!("version\t{name}\t{}", version(name));
    }
    let mut clock = Clock::default();
    for (name, size) in [("64 bytes", 64), ("1 KiB", 1024)] {
        race(name, size, rounds, &mut clock)?;
    }
    println!("clock\t{}", clock.runs);
    if let Some(faults) = clock.faults {
        println!("faults\t{faults}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--once", size, encoder] => {
            once(size, encoder).ok_or_else(|| USAGE.to_owned())
        }
        [rounds] => rounds.parse().map_err(|_| USAGE.to_owned()).and_then(all),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("encoding: {why}");
            ExitCode::FAILURE
        }
    }
}
