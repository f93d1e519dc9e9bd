//! What came of a soak, as text that the book can show.

use harness::{grouped, machine};

use crate::{
    ledger::Counts,
    proxy::{Fault, Way},
    roles::{self, Chapter},
    run::{Held, Options, Outcome, name},
    usage::{Trend, Usage},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    io, process,
    time::Duration,
};

/// The samples that are shown.
const ROWS: usize = 11;

/// Where, when, with what, and how.
///
/// # Errors
/// If the system, or rustc, does not tell.
pub fn header(options: &Options, node: Option<&str>) -> io::Result<String> {
    let date = machine::date();
    let computer = machine::machine()?;
    let (system, compiler) = (machine::system(), machine::compiler()?);
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let node = node.map_or_else(
        || "none: chapter 5's client does not read".to_owned(),
        ToOwned::to_owned,
    );
    let (every, heartbeat) = (roles::EVERY, roles::HEARTBEAT);
    Ok(format!(
        "date      {date}\n\
         machine   {computer}\n\
         system    {system}\n\
         compiler  {compiler}, profile {profile}\n\
         node      {node}\n\
         pace      an event every {every:?}, a heartbeat after {heartbeat:?}\n\
         seed      {}\n",
        options.seed,
    ))
}

/// All that there is to say of it.
#[must_use]
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    // A `String` takes whatever is written to it.
    let _ = write_all(&mut text, outcome);
    text
}

fn write_all(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let readers = outcome.groups.iter().map(|group| group.readers.len());
    let total: Counts = outcome
        .groups
        .iter()
        .flat_map(|group| &group.readers)
        .map(|(_, reader)| reader.counts())
        .fold(Counts::default(), |mut sum, counts| {
            sum += counts;
            sum
        });
    writeln!(
        out,
        "{} readers, {} servers; {} s of faults, {} s until all had caught up",
        readers.sum::<usize>(),
        outcome.groups.len(),
        outcome.time.as_secs(),
        outcome.caught_up.as_secs(),
    )?;
    writeln!(
        out,
        "{} events: missing {}, twice {}, out of order {}, otherwise wrong {}",
        grouped(total.events),
        total.gaps,
        total.doubles,
        total.late,
        total.wrong,
    )?;
    write_readers(out, outcome)?;
    write_faults(out, outcome)?;
    write_lost(out, outcome)?;
    if Usage::of(process::id()).is_none() {
        writeln!(out, "\nmemory and descriptors: not measured on this system")?;
    } else {
        for held in Held::ALL {
            write_held(out, outcome, held)?;
        }
    }
    let mistakes = outcome.mistakes();
    if mistakes.is_empty() {
        writeln!(out, "\nNothing went wrong that must not.")?;
    } else {
        writeln!(out, "\nWent wrong, and must not: {}", mistakes.len())?;
        for mistake in mistakes.iter().take(20) {
            writeln!(out, "  {mistake}")?;
        }
    }
    Ok(())
}

/// A row for each server.
fn write_readers(out: &mut String, outcome: &Outcome) -> fmt::Result {
    writeln!(
        out,
        "\n{:<11}{:>6}{:>8}{:>9}{:>9}{:>6}{:>8}{:>6}{:>8}{:>8}",
        "server",
        "kills",
        "readers",
        "streams",
        "events",
        "wrong",
        "cut off",
        "told",
        "wait, s",
        "behind",
    )?;
    for group in &outcome.groups {
        let mut counts = Counts::default();
        let (mut kills, mut opened) = (0, 0);
        let (mut wait, mut behind) = (Duration::ZERO, None);
        for (_, reader) in &group.readers {
            counts += reader.counts();
            kills += reader.kills;
            opened += reader.opened;
            wait = wait.max(reader.longest);
            behind = behind.max(reader.behind);
        }
        let wrong = counts.gaps + counts.doubles + counts.late + counts.wrong;
        let behind = behind.map_or_else(|| "-".to_owned(), seconds);
        writeln!(
            out,
            "{:<11}{:>6}{:>8}{:>9}{:>9}{:>6}{:>8}{:>6}{:>8}{:>8}",
            name(group.chapter, group.is_killed),
            group.server.kills,
            kills,
            grouped(opened),
            grouped(counts.events),
            wrong,
            group.server.cut_off,
            counts.told,
            seconds(wait),
            behind,
        )?;
    }
    Ok(())
}

/// What the network did.
fn write_faults(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let tally = &outcome.tally;
    let of = |fault: Fault| {
        grouped(tally.struck.get(&fault).copied().unwrap_or_default())
    };
    writeln!(
        out,
        "\n{} connections; {} of them while the server was away",
        grouped(tally.connections),
        grouped(tally.away)
    )?;
    writeln!(out, "{:<22}{:>12}{:>12}", "fault", "response", "request")?;
    for (what, fault) in [
        ("delay", Fault::Delay as fn(Way) -> Fault),
        ("trickle", Fault::Trickle),
        ("cut with FIN", Fault::Fin),
        ("cut with RST", Fault::Reset),
        ("half-open", Fault::HalfOpen),
    ] {
        let (down, up) = (of(fault(Way::Down)), of(fault(Way::Up)));
        writeln!(out, "{what:<22}{down:>12}{up:>12}")?;
    }
    writeln!(out, "{:<22}{:>12}{:>12}", "slow reader", of(Fault::Pause), "-")?;
    writeln!(
        out,
        "{:<22}{:>12}{:>12}",
        "reset at once",
        "-",
        of(Fault::Refuse)
    )?;
    writeln!(out, "half-open and never left by the reader: {}", tally.unnoticed)
}

/// What clients say of a connection that is lost, in the words of HTTP
/// libraries and systems, and what it comes to.
const WORDS: [(&str, &[&str]); 4] = [
    ("the server ended the stream", &["server ended the stream"]),
    (
        "closed too early",
        &["cut", "closed before", "other side closed", "terminated"],
    ),
    ("reset", &["reset", "ECONNRESET", "EPIPE", "Broken pipe", "aborted"]),
    ("nothing came in time", &["in time"]),
];

/// What the clients said of the connections that they lost.
fn write_lost(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let mut rows: BTreeMap<usize, BTreeMap<Chapter, u64>> = BTreeMap::new();
    let mut others: BTreeMap<&str, u64> = BTreeMap::new();
    for (client, reader) in outcome.groups.iter().flat_map(|it| &it.readers) {
        for (message, count) in &reader.lost {
            let row = WORDS.iter().position(|(_, words)| {
                words.iter().any(|word| message.contains(word))
            });
            if row.is_none() {
                *others.entry(message).or_default() += count;
            }
            let row = rows.entry(row.unwrap_or(WORDS.len())).or_default();
            *row.entry(*client).or_default() += count;
        }
    }
    write!(out, "\n{:<28}", "a client said")?;
    for client in Chapter::ALL {
        write!(out, "{client:>9}")?;
    }
    writeln!(out)?;
    for (row, counts) in rows {
        let what = WORDS.get(row).map_or("something else", |(what, _)| what);
        write!(out, "{what:<28}")?;
        for client in Chapter::ALL {
            let count = counts.get(&client).copied().unwrap_or_default();
            write!(out, "{:>9}", grouped(count))?;
        }
        writeln!(out)?;
    }
    for (message, count) in others {
        writeln!(out, "  {count} times: {message}")?;
    }
    Ok(())
}

/// What the processes held that were not killed: each server, the largest of
/// each chapter's clients, and the soak with its network.
fn write_held(out: &mut String, outcome: &Outcome, held: Held) -> fmt::Result {
    let (what, shown): (_, fn(u64) -> String) = match held {
        Held::Memory => ("memory, MiB", tenths),
        Held::Descriptors => ("descriptors", |count| count.to_string()),
    };
    let (servers, clients) = ("a server of", "the largest client of");
    writeln!(out, "\n{what:<16}{servers:<30}{clients}")?;
    let mut row = |first: &str, cells: Vec<String>| {
        write!(out, "{first:<14}")?;
        cells.iter().try_for_each(|cell| write!(out, "{cell:>6}"))?;
        writeln!(out)
    };
    let names = Chapter::ALL.map(|chapter| chapter.to_string());
    let soak = "soak".to_owned();
    row("", [&names[..], &names, &[soak]].concat())?;
    let Some(last) = outcome.samples.len().checked_sub(1) else {
        return Ok(());
    };
    let rows = outcome.samples.len().min(ROWS);
    for number in 0..rows {
        let sample = &outcome.samples[number * last / (rows - 1).max(1)];
        let minute = sample.at.as_secs_f64() / 60.0;
        let cells = held.of(sample).map(|cell| cell.map_or("-".into(), shown));
        row(&format!("{minute:.1} min"), cells.into())?;
    }
    let trends = outcome.trends(held);
    for (what, of) in [
        ("first third", (|trend| trend.first) as fn(&Trend) -> u64),
        ("last third", |trend| trend.last),
        ("allowed", |trend| trend.allowed),
    ] {
        let cells = trends.iter().map(|trend| {
            trend.as_ref().map_or("-".into(), |trend| shown(of(trend)))
        });
        row(what, cells.collect())?;
    }
    Ok(())
}

/// KiB in MiB.
fn tenths(kib: u64) -> String {
    let tenths = (kib * 10).div_ceil(1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
