//! How long an event takes to become bytes, beside axum's.

use std::io;

use crate::decoder::figure;
use crate::plot::{Group, Plot, Scale};
use crate::rivals::{Printed, Quartiles, Race};
use crate::table::wrap;
use crate::table::{Table, rows};

const INPUTS: [&str; 2] = ["64 bytes", "1 KiB"];

/// Whose time is the unit of the ratios.
const UNIT: &str = "memcpy";

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
             which the middle half of the rounds lies; times: over memcpy's of \
             the same round"
        ),
    );
    text.push('\n');
    text.push_str(&table(&timed.printed, &counted.printed));
    Ok(text)
}

/// The tables: nanoseconds an event, as multiples of memcpy's of the same
/// round too, and allocations.
#[must_use]
pub fn table(timed: &Printed, counted: &Printed) -> String {
    let mut names = vec!["ns an event"];
    for input in INPUTS {
        names.extend([input, "half", "times"]);
    }
    let mut nanos = Table::new(&names, 1);
    let names = [&["allocations an event"], &INPUTS[..]].concat();
    let mut allocations = Table::new(&names, 1);
    for cells in timed.lines(&["times", INPUTS[0]]) {
        let Some(name) = cells.first() else { continue };
        let mut row = vec![name.clone()];
        let mut counts = vec![name.clone()];
        for input in INPUTS {
            let samples = |name| timed.samples(&["times", input, name]);
            let (own, unit) = (samples(name), samples(UNIT));
            let ratios = own.iter().zip(unit).map(|(own, unit)| own / unit);
            let ratio = Quartiles::of(ratios.collect()).map(|it| it.median);
            row.extend(match Quartiles::of(own) {
                Some(Quartiles { lower, median, upper }) => [
                    ns(median),
                    format!("{}–{}", ns(lower), ns(upper)),
                    ratio.map_or_else(|| "none".to_owned(), ns),
                ],
                None => ["none"; 3].map(ToOwned::to_owned),
            });
            let of_1000 = counted.samples(&["allocates", input, name]);
            counts.push(match of_1000[..] {
                [of_1000] => format!("{:.1}", of_1000 / 1000.0),
                _ => "none".to_owned(),
            });
        }
        nanos.row(row);
        allocations.row(counts);
    }
    format!("{}\n{}", nanos.text(), allocations.text())
}

/// To three digits, but no further than one behind the point.
fn ns(value: f64) -> String {
    let digits = usize::from(value < 99.95);
    format!("{value:.digits$}")
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
