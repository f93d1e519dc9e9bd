//! Plots for a page: SVG, drawn by code from the figures of a transcript.
//!
//! The text is meant to stand in the page itself, inside a `<figure>`. There
//! it takes font and colours from the page, so it is readable in every theme;
//! a crate that draws, such as plotters, writes its own colours and sizes into
//! each element. No line is blank, since one would end the raw HTML that
//! Markdown takes it for. It is as wide as a phone, and scales.
//!
//! Colour is never the only mark: what is ours is filled and named in bold,
//! what is another's is hatched, what both are compared with is an outline.

use std::fmt::{self, Write as _};

/// The width of the drawing, in its own units. At this width a unit is a
/// pixel of CSS: a phone of 390 pixels has about so many beside its margins.
const WIDTH: f64 = 360.0;
/// What a letter takes, about: 12 units high.
const LETTER: f64 = 6.3;
/// From one row to the next.
const ROW: f64 = 19.0;
/// Above the first row of a group.
const HEAD: f64 = 26.0;
/// Between what is beside each other.
const GAP: f64 = 6.0;
/// Below the rows: the scale's numbers, and its name.
const FOOT: f64 = 44.0;

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This book's: filled, its name in bold.
    Ours,
    /// Somebody else's: hatched.
    Theirs,
    /// What the others are compared with, such as a floor: an outline.
    Floor,
}

/// How a figure becomes a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Bars from 0.
    Linear,
    /// Ten times as much is one step on. There is no 0, and so no bar: a mark
    /// stands where its end would be.
    Log,
}

/// A figure of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called, left of it.
    pub name: String,
    /// Whose it is.
    pub whose: Whose,
    /// What was measured; or why there is nothing, in a word or two.
    pub measured: Result<Measured, String>,
}

/// A median and how far the rounds lay apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The median.
    pub median: f64,
    /// The least and the most, drawn as a whisker.
    pub spread: Option<(f64, f64)>,
    /// The median as the transcript has it, right of the bar.
    pub text: String,
}

/// Figures under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The heading.
    pub name: String,
    /// The figures, from above.
    pub figures: Vec<Figure>,
}

/// Groups of figures over one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it is called among the page's elements: letters, digits, hyphens.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What a reader is told who does not see it: what is compared, and what
    /// comes of it.
    pub desc: String,
    /// What the scale counts, such as `µs`.
    pub unit: String,
    /// How a figure becomes a place.
    pub scale: Scale,
    /// A line to compare with: where, and what it is.
    pub line: Option<(f64, String)>,
    /// The groups, from above.
    pub groups: Vec<Group>,
}

/// A scale that is laid over `from..to` of the drawing.
struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn x(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (value - self.least) / (self.most - self.least),
            Scale::Log => {
                let value = value.max(self.least);
                (value / self.least).log10() / (self.most / self.least).log10()
            }
        };
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers along it, few enough for their digits to have room.
    fn ticks(&self) -> Vec<f64> {
        let steps = match self.scale {
            Scale::Linear => {
                let step = round_up(self.most / 5.0);
                let count = (self.most / step + 1e-9).floor();
                let counts = (0_u8..).map(f64::from);
                return counts
                    .take_while(|number| *number <= count)
                    .map(|number| number * step)
                    .collect();
            }
            Scale::Log if self.most / self.least > 900.0 => &[1.0][..],
            Scale::Log => &[1.0, 2.0, 5.0],
        };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.least.log10().floor());
        while decade <= self.most {
            ticks.extend(steps.iter().map(|step| step * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| (self.least..=self.most).contains(tick));
        // Every other one, until there is room for the digits of each.
        while ticks.len() > 6 {
            let mut keep = false;
            ticks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        ticks
    }
}

/// The next of 1, 2, 5, 10, 20, …
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let fits = |step: &&f64| **step * decade >= value * (1.0 - 1e-9);
    steps.iter().find(fits).unwrap_or(&10.0) * decade
}

/// The last of 1, 2, 5, 10, 20, … that is no more.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0];
    let fits = |step: &&f64| **step * decade <= value * (1.0 + 1e-9);
    steps.iter().find(fits).unwrap_or(&1.0) * decade
}

/// Thousands with a comma, and no more digits than a tick has.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.parse() {
        Ok(whole) => crate::table::grouped(whole),
        Err(_) => text.to_owned(),
    }
}

fn width(text: &str) -> f64 {
    let letters = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    f64::from(letters) * LETTER
}

/// Text as XML has it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

impl Plot {
    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.groups.iter().flat_map(|group| &group.figures)
    }

    fn axis(&self) -> Axis {
        let measured =
            || self.figures().filter_map(|f| f.measured.as_ref().ok());
        let ends = measured().flat_map(|one| {
            let (least, most) = one.spread.unwrap_or((one.median, one.median));
            [least.min(one.median), most.max(one.median)]
        });
        let line = self.line.iter().map(|(at, _)| *at);
        let all: Vec<f64> = ends.chain(line).collect();
        let most = all.iter().copied().fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let positive = all.iter().copied().filter(|value| *value > 0.0);
        let least = positive.fold(most, f64::min);
        let names = self.figures().map(|figure| width(&figure.name));
        let values = measured().map(|one| width(&one.text));
        // In bold a name is wider.
        let from = names.fold(0.0, f64::max) * 1.06 + GAP;
        let to = WIDTH - values.fold(0.0, f64::max) - 2.0 * GAP;
        let (least, most) = match self.scale {
            Scale::Linear => (0.0, most),
            Scale::Log => (round_down(least * 0.9), round_up(most * 1.05)),
        };
        Axis { scale: self.scale, least, most, from, to }
    }

    /// The drawing.
    #[must_use]
    pub fn svg(&self) -> String {
        let axis = self.axis();
        let rows: f64 = self
            .groups
            .iter()
            .map(|group| HEAD + group.figures.iter().map(|_| ROW).sum::<f64>())
            .sum();
        let id = &self.id;
        let mut to = String::new();
        add(
            &mut to,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" \
                 viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" \
                 aria-labelledby=\"{id}-title {id}-desc\">",
                rows + FOOT,
            ),
        );
        let (title, desc) = (Text(&self.title), Text(&self.desc));
        add(&mut to, format_args!("<title id=\"{id}-title\">{title}</title>"));
        add(&mut to, format_args!("<desc id=\"{id}-desc\">{desc}</desc>"));
        add(
            &mut to,
            format_args!(
                "<defs><pattern id=\"{id}-hatch\" width=\"5\" height=\"5\" \
                 patternUnits=\"userSpaceOnUse\" \
                 patternTransform=\"rotate(45)\"><path class=\"plot-hatch\" \
                 d=\"M0 0V5\"/></pattern></defs>"
            ),
        );
        self.draw_axis(&mut to, &axis, rows);
        let mut y = 0.0;
        for group in &self.groups {
            put(&mut to, "plot-group", 0.0, y + 16.0, &group.name);
            y += HEAD;
            for figure in &group.figures {
                self.draw(&mut to, &axis, y, figure);
                y += ROW;
            }
        }
        to.push_str("</svg>\n");
        to
    }

    fn draw_axis(&self, to: &mut String, axis: &Axis, bottom: f64) {
        for tick in axis.ticks() {
            let x = axis.x(tick);
            add(
                to,
                format_args!(
                    "<path class=\"plot-grid\" d=\"M{x:.1} {HEAD}V{:.1}\"/>",
                    bottom + 4.0
                ),
            );
            let text = number(tick);
            put(to, "plot-tick", x, bottom + 17.0, &text);
        }
        if let Some((at, name)) = &self.line {
            let x = axis.x(*at);
            add(
                to,
                format_args!(
                    "<path class=\"plot-line\" d=\"M{x:.1} {:.1}V{:.1}\"/>",
                    HEAD - 6.0,
                    bottom + 4.0
                ),
            );
            put(to, "plot-unit", WIDTH, bottom + 36.0, &self.unit);
            put(to, "plot-mark", 0.0, bottom + 36.0, &format!("┆ {name}"));
        } else {
            put(to, "plot-unit", WIDTH, bottom + 36.0, &self.unit);
        }
    }

    fn draw(&self, to: &mut String, axis: &Axis, y: f64, figure: &Figure) {
        let whose = match figure.whose {
            Whose::Ours => "ours",
            Whose::Theirs => "theirs",
            Whose::Floor => "floor",
        };
        let fill = match figure.whose {
            Whose::Theirs => format!(" fill=\"url(#{}-hatch)\"", self.id),
            Whose::Ours | Whose::Floor => String::new(),
        };
        let middle = y + ROW / 2.0;
        let base = middle + 4.2;
        let class = format!("plot-name plot-{whose}-name");
        put(to, &class, axis.from - GAP, base, &figure.name);
        let one = match &figure.measured {
            Ok(one) => one,
            Err(why) => {
                return put(to, "plot-none", axis.from + GAP, base, why);
            }
        };
        let x = axis.x(one.median);
        match self.scale {
            Scale::Linear => {
                let width = (x - axis.from).max(0.6);
                add(
                    to,
                    format_args!(
                        "<rect class=\"plot-{whose}\" x=\"{:.1}\" \
                         y=\"{:.1}\" width=\"{width:.1}\" height=\"11\"\
                         {fill}/>",
                        axis.from,
                        middle - 5.5,
                    ),
                );
            }
            Scale::Log => {
                add(
                    to,
                    format_args!(
                        "<path class=\"plot-lead\" d=\"M{:.1} {middle:.1}\
                         H{x:.1}\"/>",
                        axis.from,
                    ),
                );
                add(
                    to,
                    format_args!(
                        "<circle class=\"plot-{whose}\" cx=\"{x:.1}\" \
                         cy=\"{middle:.1}\" r=\"5\"{fill}/>"
                    ),
                );
            }
        }
        if let Some((least, most)) = one.spread {
            let (least, most) = (axis.x(least), axis.x(most));
            let (up, down) = (middle - 3.0, middle + 3.0);
            let path = format!(
                "M{least:.1} {up:.1}V{down:.1}M{least:.1} {middle:.1}\
                 H{most:.1}M{most:.1} {up:.1}V{down:.1}"
            );
            // Below it one in the colour of the page, wider: a bar may be as
            // light or as dark as the text.
            for class in ["plot-halo", "plot-spread"] {
                let path =
                    format_args!("<path class=\"{class}\" d=\"{path}\"/>");
                add(to, path);
            }
        }
        put(to, "plot-value", WIDTH, base, &one.text);
    }
}

/// Adds a line, broken at spaces where it is longer than a page's listings may
/// be. In a tag a line end is a space. A `String` takes whatever is written
/// to it.
fn add(to: &mut String, line: fmt::Arguments<'_>) {
    let mut length = 0;
    for word in line.to_string().split(' ') {
        let more = word.chars().count() + 1;
        if length > 0 {
            let breaks = length + more > COLUMNS;
            to.push(if breaks { '\n' } else { ' ' });
            length = if breaks { 0 } else { length };
        }
        to.push_str(word);
        length += more;
    }
    to.push('\n');
}

/// Adds text. What is to be read stays in one line.
fn put(to: &mut String, class: &str, x: f64, y: f64, text: &str) {
    add(to, format_args!("<text class=\"{class}\""));
    let text = Text(text);
    let _ = writeln!(to, "x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}

/// The most of a line.
const COLUMNS: usize = 80;
