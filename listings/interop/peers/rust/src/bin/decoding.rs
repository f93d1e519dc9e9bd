//! How long each crate takes to read the same bytes, beside two yardsticks:
//! lines for `bench`, which makes a table of them.
//!
//! Nobody is timed before what it read was held against what is to be read,
//! event by event. Then everybody is timed once, round by round.

use bytes::Bytes;
use peers::{
    Reader, Visitor,
    clock::{Clock, shuffled},
    contestants::{Contestant, contestants},
    for_each_reader,
    inputs::{Cut, Input, Words, inputs},
};
use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Who took longer than this for a first look is timed only once.
const LONG: Duration = Duration::from_millis(200);

const USAGE: &str = "usage: decoding ROUNDS [STREAM …]\n       \
                     decoding --once STREAM CHUNK DECODER";

struct Versions;

impl Visitor for Versions {
    fn visit<R: Reader>(&mut self) {
        if R::CRATE != "event-stream" {
            println!("version\t{}\t{}", R::CRATE, R::version());
        }
    }
}

/// What is known of a contestant.
struct Timed {
    contestant: Contestant,
    /// Why it is not timed; or whether it is only once.
    looked: Result<bool, String>,
    samples: Vec<String>,
}

impl Timed {
    fn new(contestant: Contestant, input: &Input, cut: Cut) -> Self {
        let chunks = input.chunks(cut);
        let start = Instant::now();
        let looked = contestant.check(&chunks, &input.events);
        let looked = looked.map(|()| start.elapsed() > LONG);
        Self { contestant, looked, samples: Vec::new() }
    }
}

fn race(
    input: &Input,
    cut: &str,
    rounds: u32,
    clock: &mut Clock,
) -> Result<(), String> {
    let (name, parsed) = (input.name, Cut::parse(cut).ok_or("no such cut")?);
    let chunks = input.chunks(parsed);
    let mut all: Vec<_> = contestants()
        .into_iter()
        .map(|contestant| Timed::new(contestant, input, parsed))
        .collect();
    let mut words = Words::new();
    for round in 0..rounds {
        for at in shuffled(all.len(), &mut words) {
            let timed = &mut all[at];
            let run = |around: peers::clock::Around<'_>| {
                timed.contestant.run(&chunks, around)
            };
            let took = match timed.looked {
                Ok(false) => clock.time(run)?,
                Ok(true) if round == 0 => clock.time_once(run)?,
                Ok(true) | Err(_) => continue,
            };
            timed.samples.push(took.as_nanos().to_string());
        }
    }
    for Timed { contestant, looked, samples } in all {
        let here = format!("{name}\t{cut}\t{}", contestant.name);
        match looked {
            Err(why) => println!("fails\t{here}\t{why}"),
            Ok(_) => println!("times\t{here}\t{}", samples.join(" ")),
        }
    }
    Ok(())
}

/// Where each stream is cut.
fn cuts(input: &Input) -> &'static [&'static str] {
    match input.name {
        "tokens" => &["64", "1460", "16384", "block"],
        "1 KiB" | "1 MiB" | "heartbeats" | "messages" => {
            &["64", "1460", "16384"]
        }
        _ => &["1460"],
    }
}

fn all(rounds: u32, names: &[&str]) -> Result<(), String> {
    for_each_reader(&mut Versions);
    let mut inputs = inputs();
    let known: Vec<_> = inputs.iter().map(|input| input.name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(format!("no stream `{name}`; there are {known}"));
    }
    inputs.retain(|input| names.is_empty() || names.contains(&input.name));
    let mut clock = Clock::default();
    for input in inputs {
        let (size, count) = (input.size(), input.events.len());
        println!("input\t{}\t{size}\t{count}", input.name);
        for cut in cuts(&input) {
            eprintln!("{}: {cut}", input.name);
            race(&input, cut, rounds, &mut clock)?;
        }
    }
    println!("clock\t{}", clock.runs);
    if let Some(faults) = clock.faults {
        println!("faults\t{faults}");
    }
    Ok(())
}

/// Reads a stream once, for a profiler that looks at `read` only.
fn once(input: &str, cut: &str, decoder: &str) -> Option<()> {
    let inputs = inputs();
    let input = inputs.iter().find(|it| it.name == input)?;
    let contestants = contestants();
    let contestant = contestants.iter().find(|it| it.name == decoder)?;
    let chunks = input.chunks(Cut::parse(cut)?);
    contestant.run(&chunks, &mut |work| work()).ok()?;
    println!("of\t{}", chunks.iter().map(Bytes::len).sum::<usize>());
    Some(())
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--once", input, cut, decoder] => {
            once(input, cut, decoder).ok_or_else(|| USAGE.to_owned())
        }
        [rounds, ref names @ ..] => match rounds.parse() {
            Ok(rounds) => all(rounds, names),
            Err(_) => Err(USAGE.to_owned()),
        },
        [] => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
