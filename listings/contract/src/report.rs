//! What a check found, as a table for people and as JSON for programs.

use std::fmt::{self, Write as _};

use event_stream::drives_a_terminal;
use serde_json::{Value, json};

use crate::http::Field;

// ANCHOR: check
/// What is checked, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// A short name, unique among the checks of its side.
    pub name: &'static str,
    /// What a server or client must do, in one sentence.
    pub rule: &'static str,
    /// Where that is written: a section of a standard, or "this book's
    /// contract" where only this book asks for it.
    pub source: &'static str,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule was kept. The remark, often empty, says what was not seen.
    Passed(String),
    /// Nothing is broken, and this would be better.
    Advice(String),
    /// The check could not be made, for this reason.
    NotApplicable(String),
    /// The rule was broken.
    Failed(Failure),
}

/// How a rule was broken: enough to repeat it by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What was wrong, in one sentence.
    pub why: String,
    /// The first bytes sent.
    pub sent: Vec<u8>,
    /// The first bytes that came.
    pub came: Vec<u8>,
}
// ANCHOR_END: check

/// Passed if the rule was kept, else failed.
pub(crate) fn kept(kept: bool, failure: impl FnOnce() -> Failure) -> Verdict {
    if kept { Ok(Outcome::passed()) } else { Err(failure()) }
}

/// A row of a table of checks: the check and its code.
pub(crate) const fn row<R: Copy>(
    name: &'static str,
    rule: &'static str,
    source: &'static str,
    run: R,
) -> (Check, R) {
    (Check { name, rule, source }, run)
}

impl Failure {
    /// A failure without bytes to show.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), ..Self::default() }
    }
}

impl Outcome {
    /// The rule was kept, and there is nothing to add.
    #[must_use]
    pub fn passed() -> Self {
        Self::Passed(String::new())
    }
}

/// What a check returns: `?` on a [`Failure`] ends it as failed.
pub(crate) type Verdict = Result<Outcome, Failure>;

/// The checks of one server or client, in order, and what they found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each check with its outcome.
    pub results: Vec<(Check, Outcome)>,
}

/// A report that does not hold. It shows itself as the table and what is
/// wrong with it, since a test prints `Debug`.
pub struct Broken {
    report: Report,
    reasons: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, check: Check, verdict: Verdict) {
        let mut outcome = verdict.unwrap_or_else(Outcome::Failed);
        let why = outcome.why_mut();
        *why = visible(why);
        self.results.push((check, outcome));
    }

    /// What the check of this name found.
    #[must_use]
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        let found = self.results.iter().find(|(check, _)| check.name == name);
        found.map(|(_, outcome)| outcome)
    }

    /// Whether a check failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.results.iter().any(|(_, o)| matches!(o, Outcome::Failed(_)))
    }

    // ANCHOR: hold
    /// For tests: every check must pass, but for those named in `exempt`,
    /// each with its reason. A check that could not be made does not pass,
    /// and an exemption that is not needed is an error too: so the list can
    /// only shrink.
    ///
    /// # Errors
    /// With the table, and each reason why it does not hold.
    pub fn hold(self, exempt: &[(&str, &str)]) -> Result<(), Broken> {
        let mut reasons = Vec::new();
        for (check, outcome) in &self.results {
            let name = check.name;
            let exempt = exempt.iter().any(|(exempt, _)| *exempt == name);
            let kept =
                matches!(outcome, Outcome::Passed(_) | Outcome::Advice(_));
            match (kept, exempt) {
                (true, false) | (false, true) => {}
                (true, true) => {
                    reasons.push(format!("{name} passes: exempt it no more"));
                }
                (false, false) => reasons.push(format!("{name} must pass")),
            }
        }
        for (name, _) in exempt {
            if self.outcome(name).is_none() {
                reasons.push(format!("{name} is exempt, and no such check"));
            }
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Broken { report: self, reasons })
    }
    // ANCHOR_END: hold

    /// One JSON object a check, each on a line:
    /// `{"check","result","why","sent","came","rule","source"}`, where
    /// `result` is `passed`, `advice`, `not applicable` or `failed`, and
    /// `sent` and `came` stand only in a failure.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let mut lines = String::new();
        for (check, outcome) in &self.results {
            let (result, why) = outcome.words();
            let mut object = json!({
                "check": check.name,
                "result": result,
                "why": why,
                "rule": check.rule,
                "source": check.source,
            });
            if let Outcome::Failed(failure) = outcome {
                object["sent"] = Value::from(shown(&failure.sent));
                object["came"] = Value::from(shown(&failure.came));
            }
            lines.push_str(&object.to_string());
            lines.push('\n');
        }
        lines
    }
}

/// A program's own words, with what would drive a terminal as an escape.
/// Lines stay lines.
fn visible(text: &str) -> String {
    let mut shown = String::new();
    for c in text.trim_end().chars() {
        if c != '\n' && drives_a_terminal(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

impl Outcome {
    fn why_mut(&mut self) -> &mut String {
        match self {
            Self::Passed(why)
            | Self::Advice(why)
            | Self::NotApplicable(why) => why,
            Self::Failed(failure) => &mut failure.why,
        }
    }

    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Passed(remark) => ("passed", remark),
            Self::Advice(advice) => ("advice", advice),
            Self::NotApplicable(why) => ("not applicable", why),
            Self::Failed(failure) => ("failed", &failure.why),
        }
    }
}

/// The table: a line a check, what needs a word below it, then the counts.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.results.iter().map(|(check, _)| check.name.len());
        let width = names.max().unwrap_or_default();
        let mut counts = [0; 4];
        for (check, outcome) in &self.results {
            counts[match outcome {
                Outcome::Passed(_) => 0,
                Outcome::Advice(_) => 1,
                Outcome::NotApplicable(_) => 2,
                Outcome::Failed(_) => 3,
            }] += 1;
            let (result, why) = outcome.words();
            let result = match outcome {
                Outcome::Failed(_) => "FAILED",
                _ => result,
            };
            writeln!(f, "{:width$}  {result}", check.name)?;
            wrapped(f, "", why)?;
            if let Outcome::Failed(failure) = outcome {
                if !failure.sent.is_empty() {
                    wrapped(f, "sent: ", &shown(&failure.sent))?;
                    wrapped(f, "came: ", &shown(&failure.came))?;
                }
                wrapped(f, "rule: ", check.rule)?;
                wrapped(f, "from: ", check.source)?;
            }
        }
        let [passed, advice, not_applicable, failed] = counts;
        write!(
            f,
            "{} check{}: {passed} passed, {advice} advice, {not_applicable} \
             not applicable, {failed} failed",
            self.results.len(),
            if self.results.len() == 1 { "" } else { "s" }
        )
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract does not hold\n{}", self.report)?;
        for reason in &self.reasons {
            write!(f, "\n- {reason}")?;
        }
        Ok(())
    }
}

/// The rules of these checks as a Markdown table.
#[must_use]
pub fn rules<'a>(checks: impl IntoIterator<Item = &'a Check>) -> String {
    let mut table = String::from("| Check | Rule | Source |\n|---|---|---|\n");
    for Check { name, rule, source } in checks {
        // A `String` takes whatever is written to it.
        let _ = writeln!(table, "| `{name}` | {rule} | {source} |");
    }
    table
}

/// What stands in place of a value that may be a secret.
pub(crate) const HIDDEN: &str = "(not shown)";

impl Report {
    /// Takes the values of these fields out of everything that is shown, in
    /// case it was sent, or sent back.
    pub(crate) fn hide(&mut self, fields: &[Field]) {
        // A value may have a scheme before what is secret, and quotes. What is
        // as short as a word stands where nobody has put it.
        let words = fields.iter().flat_map(|Field { value, .. }| {
            let secret = value.rsplit(' ').next().unwrap_or_default();
            let escaped = value.escape_debug().to_string();
            [value.clone(), escaped, secret.to_owned()]
        });
        let words: Vec<_> = words.filter(|word| word.len() >= 4).collect();
        let lines = fields.iter().map(|Field { name, value }| {
            (format!("{name}: {value}"), format!("{name}: {HIDDEN}"))
        });
        let lines: Vec<_> = lines.collect();
        let hide = |text: &mut Vec<u8>| {
            for (line, shown) in &lines {
                replace(text, line.as_bytes(), shown.as_bytes());
            }
            for word in &words {
                replace(text, word.as_bytes(), HIDDEN.as_bytes());
            }
        };
        for (_, outcome) in &mut self.results {
            if let Outcome::Failed(failure) = outcome {
                hide(&mut failure.sent);
                hide(&mut failure.came);
            }
            let why = outcome.why_mut();
            let mut text = std::mem::take(why).into_bytes();
            hide(&mut text);
            *why = String::from_utf8_lossy(&text).into_owned();
        }
    }
}

/// Puts `to` for each `from` in `text`, and for the start of one at its end,
/// where it may have been cut.
fn replace(text: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    if from.is_empty() {
        return;
    }
    let mut rest = &text[..];
    let mut done = Vec::new();
    while let Some(at) = rest.windows(from.len()).position(|w| w == from) {
        done.extend([&rest[..at], to].concat());
        rest = &rest[at + from.len()..];
    }
    // Of the shortest starts, any text may have one.
    let cut = (4..from.len()).rev().find(|n| rest.ends_with(&from[..*n]));
    match cut {
        Some(cut) => {
            done.extend([&rest[..rest.len() - cut], to].concat());
        }
        None => done.extend(rest),
    }
    *text = done;
}

/// How many bytes of each direction a failure shows.
pub(crate) const SHOWN: usize = 400;

/// Bytes as text: controls and all that is not ASCII escaped, cut to
/// [`SHOWN`].
pub(crate) fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".into();
    }
    let kept = &bytes[..bytes.len().min(SHOWN)];
    let mut text = String::new();
    for byte in kept {
        match byte {
            b'"' | b'\'' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    if kept.len() < bytes.len() {
        text.push('…');
    }
    text
}

/// Writes `text` indented, with `label` before it, in lines of at most 78
/// columns; a word longer than that is cut.
fn wrapped(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    let width = 74 - label.len();
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.chars().count() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        while line.chars().count() + word.len() > width {
            let rest = word.split_off(width - line.chars().count());
            line.extend(word);
            lines.push(std::mem::take(&mut line));
            word = rest;
        }
        line.extend(word);
    }
    lines.push(line);
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "      " };
        writeln!(f, "    {label:0$}{line}", label.len().min(6))?;
    }
    Ok(())
}
