//! What decoders and encoders allocate, for each stream and for each event:
//! lines for `bench`. To count is to be slower, so it is a program of its own
//! in which nobody is timed.

use allocation_counter::measure;
use peers::{
    clock::Around,
    contestants::contestants,
    encoders::{ENCODERS, texts},
    inputs::{Cut, inputs},
};
use std::{convert::Infallible, env, hint::black_box, process::ExitCode};

/// The allocations of the work, without those that prepare it.
fn count<E>(run: impl FnOnce(Around<'_>) -> Result<(), E>) -> Result<u64, E> {
    let mut count = 0;
    run(&mut |work| count = measure(work).count_total)?;
    Ok(count)
}

/// Of a second reading of the stream, when each buffer has its size.
fn decoders(names: &[String]) -> Result<(), String> {
    for input in inputs() {
        if !names.is_empty() && !names.iter().any(|name| name == input.name) {
            continue;
        }
        let once = input.chunks(Cut::Bytes(1460));
        let twice = [&once[..], &once[..]].concat();
        for contestant in contestants() {
            if !contestant.is_decoder()
                || contestant.check(&once, &input.events).is_err()
            {
                continue;
            }
            let first = count(|around| contestant.run(&once, around))?;
            let both = count(|around| contestant.run(&twice, around))?;
            let (stream, name) = (input.name, contestant.name);
            println!("allocates\t{stream}\t{name}\t{}", both - first);
        }
    }
    Ok(())
}

/// Of the second half of some events.
fn encoders() {
    for (stream, size) in [("64 bytes", 64), ("1 KiB", 1024)] {
        let texts = texts(2000, size);
        for (name, encode) in ENCODERS {
            let count = |texts| {
                let Ok(count) = count(|around| {
                    let mut see = |bytes: &[u8]| {
                        black_box(bytes);
                    };
                    encode(texts, &mut see, around);
                    Ok::<_, Infallible>(())
                });
                count
            };
            let more = count(texts) - count(&texts[..1000]);
            println!("allocates\t{stream}\t{name}\t{more}");
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((of, names)) if of == "decoders" => decoders(names),
        Some((of, [])) if of == "encoders" => {
            encoders();
            Ok(())
        }
        _ => Err("usage: allocations decoders [STREAM …] | \
                  allocations encoders"
            .to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
