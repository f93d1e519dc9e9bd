//! How long an event takes to become bytes, beside axum's.

use std::io;

use crate::decoder::figure;
use crate::machine::wrap;
use crate::plot::{Group, Plot, Scale};
use crate::rivals::{Printed, Quartiles, Race};
use crate::table::{Table, rows};

const INPUTS: [&str; 2] = ["64 bytes", "1 KiB"];

/// Runs the measurement: each encoder `rounds` times, 1,000 events each.
///
/// # Errors
/// If the programs cannot be built, or fail.
pub fn measure(rounds: u32) -> io::Result<String> {
    let timed = Race::run("encoding", "release", &[&rounds.to_string()])?;
    let counted = Race::run("allocations", "release", &["encoders"])?;
    let mut text = timed.header()?;
    wrap(
        &mut text,
        &format!(
            "rounds    {rounds} of 1,000 events, the encoders in another order \
             each, each once to warm up and then timed; medians, and between \
             which the middle half of the rounds lies"
        ),
    );
    text.push('\n');
    text.push_str(&table(&timed.printed, &counted.printed));
    Ok(text)
}

/// The table: nanoseconds and allocations an event.
#[must_use]
pub fn table(timed: &Printed, counted: &Printed) -> String {
    let mut names = vec!["ns an event"];
    for input in INPUTS {
        names.extend([input, "half", "allocs"]);
    }
    let mut table = Table::new(&names, 1);
    for cells in timed.lines(&["times", INPUTS[0]]) {
        let Some(name) = cells.first() else { continue };
        let mut row = vec![name.clone()];
        for input in INPUTS {
            let samples = timed.samples(&["times", input, name]);
            row.extend(match Quartiles::of(samples) {
                Some(Quartiles { lower, median, upper }) => {
                    [format!("{median:.1}"), format!("{lower:.1}–{upper:.1}")]
                }
                None => ["none", "none"].map(ToOwned::to_owned),
            });
            let of_1000 = counted.samples(&["allocates", input, name]);
            row.push(match of_1000[..] {
                [of_1000] => format!("{:.1}", of_1000 / 1000.0),
                _ => "none".to_owned(),
            });
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
