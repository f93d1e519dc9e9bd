//! The contract holds itself: a peer with a fault fails the check of that name
//! and no other, so no check is there that cannot fail. (That a good peer
//! passes them all is in `chapter.rs`.)
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use contract::servers::Target;
use contract::{Outcome, Program, Report, clients, servers};

fn peer(fault: &str, role: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_contract-peer"))
        .arg("--fault")
        .arg(fault)
        .arg(role)
}

/// An exemption must be needed, and must name a check; what is not exempt
/// must pass, and a check that could not be made does not.
#[test]
fn a_report_holds_only_if_its_exemptions_are_true() {
    let report = |fault: &str| {
        servers::check_program(&peer(fault, "server"), |name| name == "status")
    };
    let why = "for the test";
    report("").hold(&[]).unwrap();
    report("status").hold(&[("status", why)]).unwrap();
    for (fault, exempt, says) in [
        ("status", &[][..], "status must pass"),
        ("", &[("status", why)], "status passes"),
        ("", &[("nothing", why)], "no such check"),
    ] {
        let broken = format!("{:?}", report(fault).hold(exempt).unwrap_err());
        assert!(broken.contains(says), "{broken}");
    }
    let args = ["--addr", "127.0.0.1:0", "--every", "10ms"];
    let server = peer("", "server").spawn(&args).unwrap();
    let url = server.url(Instant::now() + Duration::from_secs(10)).unwrap();
    let target = Target::new(url);
    let of_process = |name: &str| name == "departed-reader";
    let not_made = servers::check(&target, of_process);
    assert!(!not_made.failed());
    not_made.hold(&[]).unwrap_err();
    // One cause is told once, whatever is exempt.
    drop(server);
    let obstructed = servers::check(&target, of_process);
    assert!(obstructed.failed());
    let broken = obstructed.hold(&[("departed-reader", why)]).unwrap_err();
    let broken = format!("{broken:?}");
    assert!(broken.contains("cannot connect"), "{broken}");
    assert_eq!(broken.lines().count(), 3, "{broken}");
}

const FIXTURES: &[&str] = &[
    "fixtures",
    "fixtures-in-pieces",
    "fixtures-in-chunks",
    "fixtures-in-chunks-in-pieces",
];
/// The checks that take seconds, or much of the processor. They are made for
/// their own faults and for the good peer.
const HEAVY: [&str; 7] = [
    "stalled-reader",
    "slow-head",
    "retry",
    "retry-zero",
    "retry-huge",
    "quiet-end",
    "away",
];

/// Faults that more than their own check must see, or none can.
type Wider = [(&'static str, &'static [&'static str])];

const SERVERS: &Wider = &[
    // The first request is refused: also by each process of its own.
    ("status", &["status", "heartbeat", "departed-reader", "stop"]),
    // It takes no twentieth, so no hundredth.
    ("many-readers", &["many-readers", "departed-reader", "stop"]),
    // These are advice, which cannot fail.
    ("no-buffering", &[]),
    ("no-transform", &[]),
    // Named for what they do.
    ("blank-line-late", &["first-event"]),
    ("in-twos", &["first-event"]),
    ("body-late", &["body"]),
    ("gzip-held", &["first-event"]),
];

const CLIENTS: &Wider = &[
    // CR is dropped: seen however the stream is sent.
    ("fixtures", FIXTURES),
    // UTF-8 is decoded piece by piece, and chunks are pieces.
    (
        "fixtures-in-chunks",
        &["fixtures-in-chunks", "fixtures-in-chunks-in-pieces"],
    ),
    // It takes whatever comes.
    ("type", &["type", "type-fields"]),
    // Named for what it does.
    ("bad-framing-again", &["bad-framing"]),
];

/// More faults of a server: other ways to fail the same check.
const MORE: &[&str] = &["blank-line-late", "in-twos", "body-late", "gzip-held"];

fn names(
    checks: impl Iterator<Item = &'static str>,
    more: &[&'static str],
) -> Vec<&'static str> {
    checks.chain(more.iter().copied()).collect()
}

/// Runs every fault, several at once, and collects what is wrong.
fn each_fault_fails_its_check(
    faults: &[&str],
    wider: &Wider,
    run: impl Fn(&str, &dyn Fn(&str) -> bool) -> Report + Sync,
) {
    // One side after the other: dozens of clients would hold up the servers,
    // whose faults are a matter of time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(String::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(name) =
                    faults.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let wider = wider.iter().find(|(fault, _)| fault == name);
                    let expected = wider
                        .map_or(vec![*name], |(_, checks)| checks.to_vec());
                    let report = run(name, &|check| match () {
                        () if FIXTURES.contains(name) => {
                            FIXTURES.contains(&check)
                        }
                        () if FIXTURES.contains(&check) => false,
                        () => check == *name || !HEAVY.contains(&check),
                    });
                    let failed: Vec<_> = report
                        .results
                        .iter()
                        .filter(|(_, o)| matches!(o, Outcome::Failed(_)))
                        .map(|(check, _)| check.name)
                        .collect();
                    let advised = matches!(
                        report.outcome(name),
                        Some(Outcome::Advice(_))
                    );
                    if failed != expected || advised != expected.is_empty() {
                        let wrong = &mut *wrong.lock().unwrap();
                        writeln!(wrong, "\n== the fault {name}:\n{report}")
                            .unwrap();
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_fault_of_a_server_fails_its_check() {
    each_fault_fails_its_check(
        &names(servers::checks().map(|check| check.name), MORE),
        SERVERS,
        |fault, only| servers::check_program(&peer(fault, "server"), only),
    );
}

#[test]
fn each_fault_of_a_client_fails_its_check() {
    each_fault_fails_its_check(
        &names(
            clients::checks().map(|check| check.name),
            &["bad-framing-again"],
        ),
        CLIENTS,
        |fault, only| clients::check(&peer(fault, "client"), only),
    );
}

/// What is unusual and allowed fails nothing.
#[test]
fn a_server_may_have_its_ways() {
    for way in [
        "early-hints",
        "lf-cr",
        "cr-cr-lf",
        "colon-lf",
        "in-pairs",
        "irregular",
        "position-first",
        "nginx",
        "gzip",
    ] {
        let report = servers::check_program(&peer(way, "server"), |check| {
            !HEAVY.contains(&check)
        });
        assert!(!report.failed(), "{way}:\n{report}");
        for check in ["no-buffering", "long-head"] {
            let is_not_asked = matches!(
                report.outcome(check),
                Some(Outcome::NotApplicable(_))
            );
            assert_eq!(is_not_asked, way == "nginx", "{way}:\n{report}");
        }
    }
}
