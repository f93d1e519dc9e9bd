//! The plots, drawn from the tables: what is not printed cannot be drawn.

use crate::delay::Timetable;
use crate::plot::{Figure, Group, Measured, Plot, Scale, Whose};
use crate::table::{number, rows};

/// A plot's name, and what is drawn of a transcript.
type Draw = (&'static str, fn(&str) -> Plot);

/// The plots of a transcript, each with the name of its file.
#[must_use]
pub fn plots(transcript: &str, text: &str) -> Vec<(&'static str, String)> {
    let draw: &[Draw] = match transcript {
        "servers-idle" => {
            &[("servers-memory", memory), ("servers-heartbeat", heartbeat)]
        }
        "servers-load" => &[("servers-load", load)],
        "servers-delay" => &[("servers-delay", delay)],
        _ => &[],
    };
    draw.iter().map(|(name, draw)| (*name, draw(text).svg())).collect()
}

/// Whose a server is, by its name.
fn whose(name: &str) -> Whose {
    match name.split(' ').next() {
        Some(super::LEAST) => Whose::Floor,
        _ if name.starts_with("ch0") => Whose::Ours,
        _ => Whose::Theirs,
    }
}

/// A figure from a row: its cell for the median, and that for the spread,
/// which there is none of where it was measured once.
/// What has no figure says so in short.
fn figure(row: &[impl AsRef<str>], median: usize, ends: usize) -> Figure {
    let cell = |index: usize| row.get(index).map(AsRef::as_ref);
    let name = cell(0).unwrap_or_default().to_owned();
    let measured = cell(median).and_then(|text| {
        let both = cell(ends).and_then(|text| text.split_once(" to "));
        let spread = both
            .and_then(|(least, most)| Some((number(least)?, number(most)?)));
        let once = cell(ends).is_some_and(|text| text == "once");
        (once || spread.is_some()).then_some(())?;
        Some(Measured { median: number(text)?, spread, text: text.to_owned() })
    });
    let whose = whose(&name);
    let measured = measured.ok_or_else(|| why(cell(row.len() - 1)));
    Figure { name, whose, measured }
}

/// In short, why there is no figure.
fn why(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    match text.split_once(':') {
        Some((reader, _)) if reader.starts_with("reader ") => {
            format!("fails at {reader}")
        }
        Some((what @ ("not measured" | "not tried"), _)) => what.to_owned(),
        _ => "none".to_owned(),
    }
}

/// Rows under headings, one for each count of readers.
fn by_readers(text: &str, title: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows(text, title) {
        let count = row.get(1).map_or("", |cell| cell);
        let name = format!("{count} readers");
        let figure = figure(&row, 2, 3);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => add(group, figure),
            None => groups.push(Group { name, figures: vec![figure] }),
        }
    }
    groups
}

/// A server whose rounds went both ways has two rows: the figure counts. Its
/// name says how many rounds that is of.
fn add(group: &mut Group, figure: Figure) {
    let name = |one: &Figure| {
        let name = one.name.split_once(" (").map(|(name, _)| name.to_owned());
        name.unwrap_or_else(|| one.name.clone())
    };
    let same = |one: &&mut Figure| name(one) == name(&figure);
    match group.figures.iter_mut().find(same) {
        Some(one) if one.measured.is_err() => *one = figure,
        Some(_) => {}
        None => group.figures.push(figure),
    }
}

fn memory(text: &str) -> Plot {
    Plot {
        id: "plot-servers-memory".to_owned(),
        title: "Memory that a reader adds to a server".to_owned(),
        desc: "KiB for each idle reader, by server and number of readers. \
               The figures are those of the table below."
            .to_owned(),
        unit: "KiB a reader".to_owned(),
        scale: Scale::Linear,
        line: None,
        groups: by_readers(text, "memory"),
    }
}

fn heartbeat(text: &str) -> Plot {
    Plot {
        id: "plot-servers-heartbeat".to_owned(),
        title: "Processor time of a heartbeat".to_owned(),
        desc: "Microseconds of a server's processor time for each heartbeat \
               that a reader is given, by server and number of readers. The \
               figures are those of the table below."
            .to_owned(),
        unit: "µs a heartbeat".to_owned(),
        scale: Scale::Linear,
        line: None,
        groups: by_readers(text, "processor"),
    }
}

fn load(text: &str) -> Plot {
    let group = |title: &str| {
        let mut group = Group { name: title.to_owned(), figures: Vec::new() };
        for row in rows(text, title) {
            add(&mut group, figure(&row, 2, 3));
        }
        group
    };
    let titles = text.lines().filter_map(|line| {
        let (title, _) = line.split_once("  ")?;
        title.ends_with(" readers").then_some(title)
    });
    Plot {
        id: "plot-servers-load".to_owned(),
        title: "Events delivered for a second of processor time".to_owned(),
        desc: "Events that reach readers for each second of the server's \
               processor time, by number of readers and server. More is \
               better. The figures are those of the tables below."
            .to_owned(),
        unit: "events a second of processor time".to_owned(),
        scale: Scale::Linear,
        line: None,
        groups: titles.map(group).collect(),
    }
}

fn delay(text: &str) -> Plot {
    let groups = Timetable::ALL.into_iter().filter_map(|timetable| {
        let title = timetable.title();
        let mut group = Group { name: title.to_owned(), figures: Vec::new() };
        for row in rows(text, title) {
            add(&mut group, figure(&row, 4, 5));
        }
        (!group.figures.is_empty()).then_some(group)
    });
    Plot {
        id: "plot-servers-delay".to_owned(),
        title: "How late events come".to_owned(),
        desc: "The delay in milliseconds that 99 of 100 events have at most, \
               by kind of timetable and server, on a scale on which each step \
               is ten times as much. The figures are those of the tables \
               below."
            .to_owned(),
        unit: "milliseconds".to_owned(),
        scale: Scale::Log,
        line: None,
        groups: groups.collect(),
    }
}
