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

fn main() -> ExitCode {
    let mut args = env::args().skip(1).map(|arg| arg.parse());
    let (Some(Ok(rounds)), None) = (args.next(), args.next()) else {
        eprintln!("usage: encoding ROUNDS");
        return ExitCode::FAILURE;
    };
    for name in ["axum", "sse-stream"] {
        println!("version\t{name}\t{}", version(name));
    }
    let mut clock = Clock::default();
    for (name, size) in [("64 bytes", 64), ("1 KiB", 1024)] {
        if let Err(error) = race(name, size, rounds, &mut clock) {
            eprintln!("encoding: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("clock\t{}", clock.runs);
    if let Some(faults) = clock.faults {
        println!("faults\t{faults}");
    }
    ExitCode::SUCCESS
}
