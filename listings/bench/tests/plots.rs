//! Plots are well-formed, and show what the transcripts have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::{env, fs};

use bench::plot::{Figure, Group, Measured, Plot, Scale, Whose};
use bench::servers::shown;
use bench::table::{self, Table};
use roxmltree::{Document, Node};

fn figure(name: &str, whose: Whose, three: [f64; 3]) -> Figure {
    let [least, median, most] = three;
    let text = format!("{median:.1}");
    let spread = Some((least, most));
    let measured = Ok(Measured { median, spread, text });
    Figure { name: name.to_owned(), whose, measured }
}

fn plot(scale: Scale) -> Plot {
    let refused = Figure {
        name: "a<b & \"c\"".to_owned(),
        whose: Whose::Theirs,
        measured: Err("refused at 6,634".to_owned()),
    };
    let group = |name: &str| Group {
        name: name.to_owned(),
        figures: vec![
            figure("floor", Whose::Floor, [10.0, 10.0, 10.0]),
            figure("ours", Whose::Ours, [30.0, 40.0, 90.0]),
            figure("eventsource-stream", Whose::Theirs, [90.0, 400.0, 410.0]),
            refused.clone(),
        ],
    };
    Plot {
        id: "plot-test".to_owned(),
        title: "A test".to_owned(),
        desc: "What is < is escaped.".to_owned(),
        unit: "times the floor".to_owned(),
        scale,
        line: Some((10.0, "the floor".to_owned())),
        groups: vec![group("100 readers"), group("1,000 readers")],
    }
}

fn attribute(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

fn with_class<'a>(
    svg: &'a Document<'a>,
    class: &'a str,
) -> impl Iterator<Item = Node<'a, 'a>> {
    svg.descendants().filter(move |node| {
        let classes = node.attribute("class").unwrap_or_default();
        classes.split(' ').any(|one| one == class)
    })
}

#[test]
fn a_plot_is_a_picture_with_a_name_and_a_description() {
    for scale in [Scale::Linear, Scale::Log] {
        let text = plot(scale).svg();
        assert!(text.lines().all(|line| !line.trim().is_empty()));
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        let svg = Document::parse(&text).unwrap();
        let root = svg.root_element();
        assert_eq!(root.attribute("role"), Some("img"));
        let named_by = root.attribute("aria-labelledby").unwrap();
        let texts = named_by.split(' ').map(|id| {
            let is_it = |node: &Node<'_, '_>| node.attribute("id") == Some(id);
            svg.descendants().find(is_it).unwrap().text().unwrap()
        });
        assert!(texts.eq(["A test", "What is < is escaped."]));
        let none = with_class(&svg, "plot-none").next().unwrap();
        assert_eq!(none.text(), Some("refused at 6,634"));
        let names = with_class(&svg, "plot-name").filter_map(|n| n.text());
        assert_eq!(names.last(), Some("a<b & \"c\""));
    }
}

/// Twice the value is twice as long, or a step further; and all of it is
/// within the picture.
#[test]
fn where_a_figure_is_drawn() {
    let text = plot(Scale::Linear).svg();
    let svg = Document::parse(&text).unwrap();
    let widths: Vec<_> = ["plot-floor", "plot-ours", "plot-theirs"]
        .map(|class| with_class(&svg, class).next().unwrap())
        .map(|bar| attribute(bar, "width"))
        .into();
    assert!((widths[1] / widths[0] - 4.0).abs() < 0.2, "{widths:?}");
    assert!((widths[2] / widths[1] - 10.0).abs() < 0.5, "{widths:?}");

    let text = plot(Scale::Log).svg();
    let svg = Document::parse(&text).unwrap();
    let [floor, ours, theirs] = ["plot-floor", "plot-ours", "plot-theirs"]
        .map(|class| with_class(&svg, class).next().unwrap())
        .map(|mark| attribute(mark, "cx"));
    let step = ours - floor;
    let steps = 10_f64.ln() / 4_f64.ln();
    assert!(((theirs - ours) / step - steps).abs() < 0.1, "{step}");
    for text in svg.descendants().filter(|node| node.has_tag_name("text")) {
        let x = attribute(text, "x");
        assert!((0.0..=360.0).contains(&x), "{:?}", text.text());
    }
}

#[test]
fn a_scale_has_round_numbers() {
    for (most, expected) in [
        (0.7, &["0", "0.2", "0.4", "0.6"][..]),
        (9.0, &["0", "2", "4", "6", "8"]),
        (1.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (1234.0, &["0", "500", "1,000"]),
        (4000.0, &["0", "1,000", "2,000", "3,000", "4,000"]),
    ] {
        let mut plot = plot(Scale::Linear);
        plot.line = None;
        plot.groups.truncate(1);
        let one = figure("one", Whose::Ours, [most, most, most]);
        plot.groups[0].figures = vec![one];
        let text = plot.svg();
        let svg = Document::parse(&text).unwrap();
        let ticks = with_class(&svg, "plot-tick").filter_map(|n| n.text());
        assert_eq!(ticks.collect::<Vec<_>>(), expected, "{most}");
    }
}

/// What a plot shows stands in the transcript; and each value in a row with
/// its name.
#[cfg(unix)] // Elsewhere a checkout may end its lines otherwise.
#[test]
fn the_plots_of_the_servers_are_those_of_their_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["servers-idle", "servers-load", "servers-delay"] {
        let path = folder.join("transcripts").join(name);
        let transcript = fs::read_to_string(path.with_extension("txt"));
        let transcript = transcript.unwrap();
        let plots = shown::plots(name, &transcript);
        assert!(!plots.is_empty(), "{name}");
        for (name, drawn) in plots {
            if env::var_os("UPDATE_TRANSCRIPTS").is_some() {
                assert!(env::var_os("CI").is_none(), "CI writes nothing");
                table::write_plot(name, &drawn).unwrap();
            }
            let path = folder.join("plots").join(name);
            let svg = fs::read_to_string(path.with_extension("svg")).unwrap();
            assert_eq!(svg, drawn, "{name}: UPDATE_TRANSCRIPTS=1 draws it");
            is_right(&drawn, &transcript);
        }
    }
}

fn is_right(drawn: &str, transcript: &str) {
    assert!(drawn.lines().all(|line| !line.trim().is_empty()));
    assert!(drawn.lines().all(|line| line.chars().count() <= 80));
    let svg = Document::parse(drawn).unwrap();
    let texts = |class| -> Vec<&str> {
        with_class(&svg, class).filter_map(|node| node.text()).collect()
    };
    let (names, values) = (texts("plot-name"), texts("plot-value"));
    assert!(names.len() >= 5);
    assert!(names.len() >= values.len());
    for name in names {
        let mut rows = transcript.lines();
        assert!(rows.any(|row| row.starts_with(name)), "{name}");
    }
    for value in values {
        let mut cells = transcript.lines().flat_map(|row| row.split("  "));
        assert!(cells.any(|cell| cell.trim() == value), "{value}");
    }
}

/// A table that has been printed and one that is read are the same.
#[test]
fn a_table_is_read_back() {
    let mut table = Table::new(&["100 readers", "a", "b c"], 1);
    let rows = [
        &["raw Python", "1,234.5", "1 to 2"][..],
        &[
            "ch01",
            "fails: a long text that goes on and on, over the end of \
                   its line, into the next, and ends there",
        ],
        &["x", "-", "3"],
    ];
    for row in rows {
        table.row(row.iter().map(|&cell| cell.to_owned()));
    }
    let text = format!("$ x\n100 readers are in a line\n\n{}", table.text());
    let text = format!("{text}\nother  table\nx  9\n");
    assert_eq!(table::rows(&text, "100 readers"), rows);
    assert_eq!(table::number("1,234.5"), Some(1234.5));
    assert_eq!(table::number("3 to 4"), Some(3.0));
    assert_eq!(table::number("-"), None);
}
