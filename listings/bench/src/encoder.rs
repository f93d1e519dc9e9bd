//! How long an event takes to become bytes, beside axum's.

use std::io;

use crate::decoder::figure;
use crate::machine;
use crate::plot::{Group, Plot, Scale};
use crate::rivals::{Printed, Quartiles};
use crate::table::{Table, rows};

const INPUTS: [&str; 2] = ["64 bytes", "1 KiB"];

/// Runs the measurement: each encoder `rounds` times, 10,000 events each.
///
/// # Errors
/// If the programs cannot be built, or fail.
pub fn measure(rounds: u32) -> io::Result<String> {
    let header = machine::header(&[], "release")?;
    let printed = Printed::by("encoding", rounds)?;
    let (crates, table) = (printed.versions(), table(&printed));
    Ok(format!(
        "{header}crates    {crates}\n\
         rounds    {rounds}, of 10,000 events, the encoders in turn; medians, \
         and\n    between which the middle half of the rounds lies\n\n{table}"
    ))
}

/// The table: nanoseconds and allocations an event.
#[must_use]
pub fn table(printed: &Printed) -> String {
    let mut names = vec!["ns an event"];
    for input in INPUTS {
        names.extend([input, "half", "allocs"]);
    }
    let mut table = Table::new(&names, 1);
    for cells in printed.lines(&["times", INPUTS[0]]) {
        let Some(name) = cells.first() else { continue };
        let mut row = vec![name.clone()];
        for input in INPUTS {
            let cell = |kind| printed.cell(&[kind, input, name]);
            let times = cell("times").and_then(Quartiles::of);
            let none = || "none".to_owned();
            row.push(times.map_or_else(none, |it| format!("{:.1}", it.median)));
            row.push(times.map_or_else(none, |it| {
                format!("{:.1}–{:.1}", it.lower, it.upper)
            }));
            let count = cell("allocates").map(ToOwned::to_owned);
            row.push(count.unwrap_or_else(none));
        }
        table.row(row);
    }
    table.text()
}

/// The plot of the table, with the name of its file.
#[must_use]
pub fn plot(text: &str) -> (&'static str, String) {
    let figures = rows(text, "ns an event");
    let group = |name: &str, at| Group {
        name: format!("{name} of data"),
        figures: figures.iter().map(|row| figure(row, at)).collect(),
    };
    let plot = Plot {
        id: "plot-encoder".to_owned(),
        title: "Time to encode an event".to_owned(),
        desc: "Nanoseconds for each event, and for each further reader of \
               one. The figures are those of the table below."
            .to_owned(),
        unit: "ns".to_owned(),
        scale: Scale::Linear,
        line: None,
        groups: vec![group(INPUTS[0], 1), group(INPUTS[1], 4)],
    };
    ("encoder", plot.svg())
}
