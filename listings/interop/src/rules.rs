//! Rule by rule: what the standard asks of a reader of event streams, and
//! what those do that people use.
//!
//! The fixtures go through each of them, whole, byte by byte and cut at every
//! point; the table says which rule each keeps, and a note for each breach
//! shows the bytes.

mod chromium;
mod list;
mod read;

use crate::peers::{Needs, folder};
use crate::{cargo, rivals, setup, table};
use list::{Rule, rules};
use read::{Ended, Event, Fixture, Read};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A column of the table.
struct Column {
    key: &'static str,
    reader: &'static str,
}

const COLUMNS: [Column; 11] = [
    Column { key: "own", reader: "event-stream" },
    Column { key: "as", reader: "async-sse" },
    Column { key: "ec", reader: "eventsource-client" },
    Column { key: "es", reader: "eventsource-stream" },
    Column { key: "er", reader: "eventsrc" },
    Column { key: "rs", reader: "reqwest-sse" },
    Column { key: "sc", reader: "sse-codec" },
    Column { key: "co", reader: "sse-core" },
    Column { key: "st", reader: "sse-stream" },
    Column { key: "ep", reader: "eventsource-parser" },
    Column { key: "cr", reader: chromium::NAME },
];

/// How somebody keeps a rule, from what counts least to what counts most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// It does not tell.
    Untold,
    Kept,
    /// The caller has to see to it.
    Left,
    Broken,
    /// It ends with an error.
    Error,
    Panics,
}

impl Mark {
    const fn shown(self) -> &'static str {
        match self {
            Self::Untold => "-",
            Self::Kept => "yes",
            Self::Left => "app",
            Self::Broken => "NO",
            Self::Error => "err",
            Self::Panics => "PAN",
        }
    }

    const fn is_breach(self) -> bool {
        matches!(self, Self::Broken | Self::Error | Self::Panics)
    }
}

fn folders() -> [PathBuf; 2] {
    let listings = cargo::root().join("listings");
    [listings.join("event-stream/fixtures"), listings.join("interop/fixtures")]
}

/// What a program printed, once it has ended well.
fn output(command: &mut Command) -> io::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{name}: {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Everybody's reading of every fixture.
fn read_all(fixtures: &[Fixture]) -> io::Result<Vec<Read>> {
    let conform = rivals::build("rust", "conform")?;
    let mut lines = output(Command::new(conform).args(folders()))?;
    let script = folder("parser").join("conform.mjs");
    lines += &output(Command::new("node").arg(script).args(folders()))?;
    let mut reads =
        lines.lines().map(Read::new).collect::<io::Result<Vec<_>>>()?;
    reads.extend(chromium::read(fixtures)?);
    Ok(reads)
}

/// Past this no time is told from another: 2 to the power of 32 milliseconds
/// are 49 days.
const ENDLESS: u64 = 1 << 32;

fn judge(rule: &Rule, fixture: &Fixture, read: &Read) -> Mark {
    match &read.ended {
        Some(Ended::Panic(_)) => return Mark::Panics,
        Some(Ended::Error(_)) => return Mark::Error,
        None => {}
    }
    let (events, last_event_id) = read.complete();
    let cap = |time: Option<u64>| time.map(|time| time.min(ENDLESS));
    let id_differs =
        last_event_id.as_ref().is_some_and(|id| *id != fixture.last_event_id);
    if events != fixture.events
        || cap(read.retry) != cap(fixture.retry)
        || id_differs
    {
        return Mark::Broken;
    }
    let has_only_an_id = fixture.events.is_empty()
        && fixture.retry.is_none()
        && !fixture.last_event_id.is_empty();
    if has_only_an_id && last_event_id.is_none() {
        return Mark::Untold;
    }
    match rule.left {
        Some(part) if read.left().contains(&part) => Mark::Left,
        _ => Mark::Kept,
    }
}

/// How a reader keeps a rule, and what shows it first if it does not.
struct Verdict<'a> {
    mark: Mark,
    breach: Option<(&'a Fixture, &'a Read)>,
}

fn verdict<'a>(
    rule: &Rule,
    fixtures: &'a [Fixture],
    reads: &'a [Read],
    reader: &str,
) -> io::Result<Verdict<'a>> {
    let mut verdict = Verdict { mark: Mark::Untold, breach: None };
    for name in &rule.fixtures {
        let fixture = fixtures.iter().find(|fixture| fixture.name == *name);
        let fixture = fixture.ok_or_else(|| {
            io::Error::other(format!("there is no fixture {name}"))
        })?;
        let reads = reads
            .iter()
            .filter(|read| read.reader == reader && read.fixture == *name);
        let mut count = 0;
        for read in reads {
            count += 1;
            let mark = judge(rule, fixture, read);
            if mark > verdict.mark {
                verdict.mark = mark;
                if mark.is_breach() {
                    verdict.breach = Some((fixture, read));
                }
            }
        }
        if count == 0 {
            let why = format!("{reader} did not read {name}");
            return Err(io::Error::other(why));
        }
    }
    Ok(verdict)
}

/// Text as one line of ASCII.
fn plain(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            c => line.extend(c.escape_default()),
        }
    }
    line
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 3).chain("...".chars()).collect()
}

fn shown(
    events: &[Event],
    retry: Option<u64>,
    last_event_id: Option<&str>,
) -> String {
    let mut parts = Vec::new();
    for Event { event_type, data, last_event_id } in events {
        let mut part = match &**event_type {
            "message" => String::new(),
            "" => "without type ".to_owned(),
            other => plain(other) + " ",
        };
        let _ = write!(part, "\"{}\"", cut(&plain(data), 40));
        if !last_event_id.is_empty() {
            let _ = write!(part, " (ID {})", plain(last_event_id));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        parts.push("no event".to_owned());
    }
    if let Some(retry) = retry {
        parts.push(format!("retry {retry} ms"));
    }
    if let Some(id) = last_event_id {
        let id = if id.is_empty() { "none" } else { id };
        parts.push(format!("ID at the end: {}", plain(id)));
    }
    parts.join(", ")
}

/// What a breach looks like, in few words.
fn came(fixture: &Fixture, read: &Read) -> String {
    let (events, id) = read.complete();
    let id = id.filter(|id| *id != fixture.last_event_id);
    let mut came = match &read.ended {
        None => shown(&events, read.retry, id.as_deref()),
        Some(Ended::Error(error)) => format!("error: {}", plain(error)),
        Some(Ended::Panic(panic)) => format!("panic: {}", plain(panic)),
    };
    if read.ended.is_none() && read.retry.is_none() && fixture.retry.is_some() {
        came += ", no retry";
    }
    match &*read.cut {
        "whole" => came,
        cut => format!("{cut}: {came}"),
    }
}

/// A note for each fixture that shows a breach, in the order of the rows.
fn notes(
    out: &mut String,
    row: usize,
    rule: &Rule,
    verdicts: &[(&'static str, Verdict<'_>)],
) {
    let mut by_fixture = BTreeMap::<_, Vec<_>>::new();
    for (key, verdict) in verdicts {
        if let Some((fixture, read)) = verdict.breach {
            let at = rule.fixtures.iter().position(|it| *it == fixture.name);
            by_fixture.entry(at).or_default().push((key, fixture, read));
        }
    }
    for breaches in by_fixture.values() {
        let (_, fixture, _) = breaches[0];
        let _ = writeln!(out, "\n{row:>2}  {}: {}", rule.text, fixture.name);
        let bytes: String = fixture
            .stream
            .iter()
            .map(|byte| match byte {
                b'"' | b'\'' => char::from(*byte).to_string(),
                _ => byte.escape_ascii().to_string(),
            })
            .collect();
        table::note(out, 4, "bytes  ", &cut(&bytes, 100));
        let id = &fixture.last_event_id;
        let id = (fixture.events.is_empty() && !id.is_empty()).then_some(id);
        let asked =
            shown(&fixture.events, fixture.retry, id.map(String::as_str));
        table::note(out, 4, "asked  ", &asked);
        for (key, fixture, read) in breaches {
            let came = came(fixture, read);
            table::note(out, 4, &format!("{key:<7}"), &came);
        }
    }
}

/// Whether the readers of other people are built. If not, [`report`] builds
/// them, which takes minutes.
#[must_use]
pub fn is_built() -> bool {
    rivals::is_built("rust", "conform")
}

/// A table, and what shows each of its breaches. Both begin with who is who.
#[derive(Debug)]
pub struct Tables {
    /// The table.
    pub table: String,
    /// The bytes.
    pub notes: String,
}

/// The table and its notes.
///
/// # Errors
/// If somebody cannot be built, run or understood.
pub fn report() -> io::Result<Tables> {
    setup::install(Needs::Parser)?;
    let mut fixtures = Vec::new();
    for folder in folders() {
        fixtures.extend(Fixture::all(&folder)?);
    }
    let reads = read_all(&fixtures)?;
    let mut out = String::new();
    for Column { key, reader } in &COLUMNS {
        let mut forms: Vec<_> = reads
            .iter()
            .filter(|read| read.reader == *reader)
            .map(|read| (&*read.version, &*read.form))
            .collect();
        forms.dedup();
        let version = forms.first().map_or("", |(version, _)| version);
        let forms: Vec<_> = forms.iter().map(|(_, form)| *form).collect();
        let forms = forms.join(" and ");
        let name = format!("{reader} {version}");
        let _ = writeln!(out, "{key:<3}  {name:<26} {forms}");
    }
    let mut all_notes = out.clone();
    out += "\nyes: kept; app: left to the application; NO: broken; \
            err: ends with an\nerror; PAN: panics; -: not to be seen\n\n";
    let _ = write!(out, "{:<36}", "rule, and its section in 9.2");
    for Column { key, .. } in &COLUMNS {
        let _ = write!(out, " {key:>3}");
    }
    out += "\n";
    let mut counts = [[0_usize; 2]; COLUMNS.len()];
    for (row, rule) in (1..).zip(&rules()) {
        let Rule { section, text, .. } = rule;
        let section = section.trim_start_matches("9.2.");
        let _ = write!(out, "{row:>2} {section} {text:<31}");
        let mut verdicts = Vec::new();
        for (Column { key, reader }, counts) in COLUMNS.iter().zip(&mut counts)
        {
            let verdict = verdict(rule, &fixtures, &reads, reader)?;
            let _ = write!(out, " {:>3}", verdict.mark.shown());
            counts[usize::from(verdict.mark.is_breach())] += 1;
            verdicts.push((*key, verdict));
        }
        out += "\n";
        notes(&mut all_notes, row, rule, &verdicts);
    }
    let _ = write!(out, "{:<36}", "rules broken");
    for [_, broken] in counts {
        let _ = write!(out, " {broken:>3}");
    }
    Ok(Tables { table: out + "\n", notes: all_notes })
}
