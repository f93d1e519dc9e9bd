//! Every server and every client under the contract.

use std::io;

use contract::{Check, Failure, Outcome, Report, clients, servers};

use crate::peers::{CLIENTS, Peer, Programs, SERVERS};
use crate::{scope, table};

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those that send events.
    Servers,
    /// Those that read them.
    Clients,
}

impl Side {
    /// `servers` or `clients`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Clients => "clients",
        }
    }

    /// All who stand on this side.
    #[must_use]
    pub fn peers(self) -> &'static [Peer] {
        match self {
            Self::Servers => SERVERS,
            Self::Clients => CLIENTS,
        }
    }

    /// The checks of this side, in order.
    #[must_use]
    pub fn checks(self) -> Vec<&'static Check> {
        match self {
            Self::Servers => servers::checks().collect(),
            Self::Clients => clients::checks().collect(),
        }
    }

    /// Holds a peer to those checks that `only` names. What it cannot be held
    /// to is not applicable.
    ///
    /// # Errors
    /// If it cannot be built or, for Chromium, not be started.
    pub fn check(
        self,
        programs: &Programs,
        peer: &Peer,
        only: impl Fn(&str) -> bool,
    ) -> io::Result<Report> {
        let program = programs.find(peer)?;
        let out_of = |name: &str| match self {
            Self::Servers => None,
            Self::Clients => scope::out_of(peer.key, name),
        };
        let within = |name: &str| only(name) && out_of(name).is_none();
        let mut made = match self {
            Self::Servers => servers::check_program(&program, within),
            Self::Clients => clients::check(&program, within),
        }
        .results
        .into_iter();
        let mut report = Report::default();
        for check in self.checks() {
            if !only(check.name) {
                continue;
            }
            let outcome = match out_of(check.name) {
                Some(why) => Outcome::NotApplicable(why.into()),
                None => made.next().map_or_else(
                    || Outcome::Failed(Failure::new("it was not made")),
                    |(_, outcome)| outcome,
                ),
            };
            report.results.push((*check, outcome));
        }
        Ok(report)
    }
}

/// What a check found, in a table.
#[must_use]
pub fn cell(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed(_) => "ok",
        Outcome::Advice(_) => "adv",
        Outcome::NotApplicable(_) => "n/a",
        Outcome::Failed(_) => "NO",
    }
}

/// The reports side by side: a row a check, a column a peer.
#[must_use]
pub fn side_by_side(side: Side, reports: &[(&Peer, Report)]) -> String {
    let text = |text: &str| text.to_owned();
    let keys = reports.iter().map(|(peer, _)| text(peer.key));
    let mut rows = vec![[String::new()].into_iter().chain(keys).collect()];
    for check in side.checks() {
        let cells = reports.iter().map(|(_, report)| {
            let outcome = report.outcome(check.name);
            outcome.map_or("-", cell).to_owned()
        });
        rows.push([text(check.name)].into_iter().chain(cells).collect());
    }
    let kept = reports.iter().map(|(_, report)| {
        let outcomes = report.results.iter().map(|(_, outcome)| cell(outcome));
        outcomes.filter(|cell| matches!(*cell, "ok" | "adv")).count()
    });
    let kept = kept.map(|count| count.to_string());
    rows.push([text("kept")].into_iter().chain(kept).collect());
    table::columns(&rows)
}

/// Why something is not kept, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    checks: Vec<&'static str>,
    peers: Vec<&'static str>,
    /// What each of them answered, if it answered at all.
    statuses: Vec<Option<String>>,
    why: String,
    sent: String,
    came: String,
}

impl Note {
    /// `None` if there is nothing to say.
    fn of(
        check: &Check,
        peer: &'static Peer,
        outcome: &Outcome,
    ) -> Option<Self> {
        let (why, sent, came) = match outcome {
            Outcome::Passed(_) => return None,
            Outcome::Advice(why) | Outcome::NotApplicable(why) => {
                (why, &[][..], &[][..])
            }
            Outcome::Failed(Failure { why, sent, came }) => {
                (why, &**sent, &**came)
            }
        };
        // Of what a program complained, its last line tells most.
        let why = match why.split_once("; stderr: ") {
            Some((why, errors)) => match errors.lines().last() {
                Some(last) => format!("{why}, its last words: {last}"),
                None => why.to_owned(),
            },
            None => why.clone(),
        };
        Some(Self {
            checks: vec![check.name],
            peers: vec![peer.key],
            statuses: vec![status(came)],
            why: table::stable(&why),
            sent: table::bytes(sent),
            came: table::bytes(came),
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.why == other.why && self.sent == other.sent
    }
}

/// The status of a response, as it came.
fn status(response: &[u8]) -> Option<String> {
    let line = response.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let digits = line.iter().all(u8::is_ascii_digit);
    digits.then(|| String::from_utf8_lossy(line).into_owned())
}

/// What is not kept, in the order of the checks. Those who fail alike share a
/// note, with what came of the first of them, and the status of each where
/// these differ; so do checks that the same peers fail alike.
#[must_use]
pub fn notes(side: Side, reports: &[(&'static Peer, Report)]) -> String {
    let mut notes: Vec<Note> = Vec::new();
    for check in side.checks() {
        let mut of_check: Vec<Note> = Vec::new();
        for (peer, report) in reports {
            let outcome = report.outcome(check.name);
            let note = outcome.and_then(|it| Note::of(check, peer, it));
            let Some(note) = note else { continue };
            match of_check.iter_mut().find(|other| other.is_like(&note)) {
                Some(other) => {
                    other.peers.extend(note.peers);
                    other.statuses.extend(note.statuses);
                }
                None => of_check.push(note),
            }
        }
        for note in of_check {
            let same = |other: &&mut Note| {
                other.is_like(&note)
                    && other.peers == note.peers
                    && other.statuses == note.statuses
            };
            match notes.iter_mut().find(same) {
                Some(other) => other.checks.extend(note.checks),
                None => notes.push(note),
            }
        }
    }
    let mut text = String::new();
    for Note { checks, peers, statuses, why, sent, came } in notes {
        let checks = checks.join(", ");
        let line = format!("{checks}: {}: {why}", peers.join(", "));
        table::note(&mut text, 0, "", &line);
        let each = if statuses.windows(2).all(|two| two[0] == two[1]) {
            String::new()
        } else {
            let each = peers.iter().zip(&statuses).map(|(peer, status)| {
                format!("{peer} {}", status.as_deref().unwrap_or("none"))
            });
            each.collect::<Vec<_>>().join(", ")
        };
        let parts = [("sent: ", sent), ("came: ", came), ("each: ", each)];
        for (label, bytes) in parts {
            if !bytes.is_empty() {
                table::note(&mut text, 4, label, &bytes);
            }
        }
    }
    text
}
