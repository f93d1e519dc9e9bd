//! What a check found, as a table for people and as JSON for programs.

use std::fmt;

use event_stream::drives_a_terminal;
use serde_json::{Value, json};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, fill};

use crate::http::{Field, HIDDEN, SHOWN};

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

/// Why nothing can be checked, or nothing more: there is no such server, it
/// serves no event stream, the program does not start. It is one cause, and
/// told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is in the way, in one sentence.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

/// The checks of one server or client, in order, and what they found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each check with its outcome. Of those that an obstacle prevented, the
    /// first has failed, and the others are not applicable.
    pub results: Vec<(Check, Outcome)>,
    /// What was in the way, if anything.
    pub obstacle: Option<Obstacle>,
}

/// Is told each result as soon as it is known.
pub(crate) type Told<'a> = &'a mut (dyn FnMut(&Check, &Outcome) + Send);

/// Results as they come: each is made fit to be shown, told, and kept.
pub(crate) struct Results<'a> {
    report: Report,
    /// Fields whose values are not shown.
    secrets: &'a [Field],
    told: Told<'a>,
}

impl<'a> Results<'a> {
    pub(crate) fn new(secrets: &'a [Field], told: Told<'a>) -> Self {
        Self { report: Report::default(), secrets, told }
    }

    pub(crate) fn add(&mut self, check: Check, verdict: Verdict) {
        let mut outcome = verdict.unwrap_or_else(Outcome::Failed);
        let why = outcome.why_mut();
        *why = self.fit(why);
        if let Outcome::Failed(Failure { sent, came, .. }) = &mut outcome {
            for bytes in [sent, came] {
                hide(bytes, self.secrets);
            }
        }
        (self.told)(&check, &outcome);
        self.report.results.push((check, outcome));
    }

    /// Text that a terminal may show, and anybody read.
    fn fit(&self, text: &str) -> String {
        let mut text = visible(text).into_bytes();
        hide(&mut text, self.secrets);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Ends before these checks. Nobody is told of them one by one.
    pub(crate) fn stop<'c>(
        mut self,
        obstacle: Obstacle,
        checks: impl IntoIterator<Item = &'c Check>,
    ) -> Report {
        let Obstacle { why, advice } = obstacle;
        let (why, advice) = (self.fit(&why), self.fit(&advice));
        let mut checks = checks.into_iter();
        if let Some(first) = checks.next() {
            let failed = Outcome::Failed(Failure::new(&why));
            let see = format!("not made: see `{}`", first.name);
            let rest = checks
                .map(|check| (*check, Outcome::NotApplicable(see.clone())));
            let results = &mut self.report.results;
            results.extend([(*first, failed)].into_iter().chain(rest));
        }
        self.report.obstacle = Some(Obstacle { why, advice });
        self.report
    }

    /// The results in the order of `checks`.
    pub(crate) fn in_order_of<'c>(
        mut self,
        checks: impl Iterator<Item = &'c Check>,
    ) -> Report {
        let names: Vec<_> = checks.map(|check| check.name).collect();
        self.report.results.sort_by_key(|(check, _)| {
            names.iter().position(|name| *name == check.name)
        });
        self.report
    }

    pub(crate) fn report(self) -> Report {
        self.report
    }
}

/// A report that does not hold. It shows itself as the table and what is
/// wrong with it, since a test prints `Debug`.
pub struct Broken {
    report: Report,
    reasons: Vec<String>,
}

impl Report {
    /// What the check of this name found.
    #[must_use]
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        let found = self.results.iter().find(|(check, _)| check.name == name);
        found.map(|(_, outcome)| outcome)
    }

    /// Whether a check failed, or an obstacle was met.
    #[must_use]
    pub fn failed(&self) -> bool {
        let failed = |(_, o): &(_, _)| matches!(o, Outcome::Failed(_));
        self.obstacle.is_some() || self.results.iter().any(failed)
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
        if self.obstacle.is_some() {
            return Err(Broken { report: self, reasons });
        }
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

    /// The table's last line: how many checks, and what became of them.
    #[must_use]
    pub fn counts(&self) -> String {
        let mut counts = [0; 4];
        for (_, outcome) in &self.results {
            counts[match outcome {
                Outcome::Passed(_) => 0,
                Outcome::Advice(_) => 1,
                Outcome::NotApplicable(_) => 2,
                Outcome::Failed(_) => 3,
            }] += 1;
        }
        let [passed, advice, not_applicable, failed] = counts;
        let count = self.results.len();
        let s = if count == 1 { "" } else { "s" };
        format!(
            "{count} check{s}: {passed} passed, {advice} advice, \
             {not_applicable} not applicable, {failed} failed"
        )
    }
}

impl Check {
    /// The table's row of this check: its name, filled up to `width`, what it
    /// found, and below that what needs a word. Each line has its end.
    #[must_use]
    pub fn row(&self, outcome: &Outcome, width: usize) -> String {
        let (result, why) = outcome.words();
        let mut row = match outcome {
            Outcome::Failed(_) => format!("{:width$}  FAILED\n", self.name),
            _ => format!("{:width$}  {result}\n", self.name),
        };
        row += &wrapped("", why);
        if let Outcome::Failed(failure) = outcome {
            if !failure.sent.is_empty() {
                row += &wrapped("sent: ", &shown(&failure.sent));
                row += &wrapped("came: ", &shown(&failure.came));
            }
            row += &wrapped("rule: ", self.rule);
            row += &wrapped("from: ", self.source);
        }
        row
    }

    /// What it found, as a JSON object on one line:
    /// `{"check","result","why","sent","came","rule","source"}`, where
    /// `result` is `passed`, `advice`, `not applicable` or `failed`, and
    /// `sent` and `came` stand only in a failure.
    #[must_use]
    pub fn to_json_line(&self, outcome: &Outcome) -> String {
        let (result, why) = outcome.words();
        let mut object = json!({
            "check": self.name,
            "result": result,
            "why": why,
            "rule": self.rule,
            "source": self.source,
        });
        if let Outcome::Failed(failure) = outcome {
            object["sent"] = Value::from(shown(&failure.sent));
            object["came"] = Value::from(shown(&failure.came));
        }
        format!("{object}\n")
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

/// Its name, and below it the rule and its source.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = wrapped("rule: ", self.rule);
        let from = wrapped("from: ", self.source);
        write!(f, "{}\n{rule}{}", self.name, from.trim_end())
    }
}

/// What was in the way, and below it what to do.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.why, wrapped("", &self.advice).trim_end())
    }
}

/// The table: a row a check, then the counts; or the obstacle.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(obstacle) = &self.obstacle {
            return obstacle.fmt(f);
        }
        let names = self.results.iter().map(|(check, _)| check.name.len());
        let width = names.max().unwrap_or_default();
        for (check, outcome) in &self.results {
            f.write_str(&check.row(outcome, width))?;
        }
        f.write_str(&self.counts())
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

/// Takes the values of these fields out of what is shown, in case they were
/// sent, or sent back.
fn hide(text: &mut Vec<u8>, fields: &[Field]) {
    for Field { name, value } in fields {
        let line = format!("{name}: {value}");
        let shown = format!("{name}: {HIDDEN}");
        replace(text, line.as_bytes(), shown.as_bytes());
    }
    for Field { value, .. } in fields {
        // A value may have a scheme before what is secret, and quotes. What is
        // as short as a word stands where nobody has put it.
        let secret = value.rsplit(' ').next().unwrap_or_default();
        let escaped = value.escape_debug().to_string();
        for word in [value, &*escaped, secret] {
            if word.len() >= 4 {
                replace(text, word.as_bytes(), HIDDEN.as_bytes());
            }
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

/// `text` indented, with `label` before it, in lines of at most 78 columns; a
/// word longer than that is cut. Nothing for an empty text.
fn wrapped(label: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let first = format!("    {label}");
    let options = Options::new(78)
        .initial_indent(&first)
        .subsequent_indent("          ")
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    fill(text, options) + "\n"
}
