//! The soak in short: until every fault has struck and everything was killed
//! that is killed. And each fault that somebody has to notice, alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Process, Program};
use futures::future::join_all;
use soak::{
    proxy::{Bounds, Fault, Network, Plan, Proxy, Way},
    random::Random,
    report,
    roles::{self, Chapter, Told},
    run::{self, Options},
};
use std::{
    iter,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;

const EXE: &str = env!("CARGO_BIN_EXE_soak");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

// ANCHOR: short
#[test]
fn every_event_comes_once_and_in_order() {
    let options = Options::short(EXE.into(), 5);
    let outcome = run::run(&options, |line| println!("{line}")).unwrap();
    let text = report::text(&outcome);
    println!("{text}");
    assert_eq!(outcome.mistakes(), [""; 0]);
    for fault in Fault::ALL {
        assert!(outcome.tally.struck.contains_key(&fault), "{fault}");
    }
    assert_eq!(outcome.groups.len(), 10);
    for group in &outcome.groups {
        let kills = group.server.kills;
        assert_eq!(kills > 0, group.is_killed, "{}", group.chapter);
        let mut killed = 0;
        for (client, reader) in &group.readers {
            let counts = reader.counts();
            assert!(counts.is_flawless(), "{client}: {counts:?}");
            assert!(counts.events > 0, "{client}");
            let may_be_told = group.is_killed && group.chapter.forgets();
            assert!(counts.told <= if may_be_told { kills } else { 0 });
            killed += reader.kills;
        }
        assert_eq!(killed > 0, group.is_killed, "{}", group.chapter);
    }
    assert!(text.contains("missing 0, twice 0, out of order 0"));
}
// ANCHOR_END: short

/// A soak that is killed leaves nothing behind.
#[test]
fn every_role_ends_with_its_stdin() {
    let url = "http://127.0.0.1:9/events";
    let of = |chapter: Chapter| {
        let chapter = chapter.to_string();
        let mut all = vec![vec!["server".to_owned(), chapter.clone()]];
        if chapter != "ch05" {
            all.push(vec!["reader".to_owned(), chapter, url.to_owned()]);
        }
        all
    };
    for args in Chapter::ALL.into_iter().flat_map(of) {
        let mut role = Command::new(EXE)
            .args(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        drop(role.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = role.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                role.kill().unwrap();
                panic!("it goes on: {args:?}");
            }
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{args:?}");
    }
}

/// A server, a client and a fault between them.
struct Trio {
    server: Process,
    client: Process,
    network: Network,
    _proxy: Proxy,
    _told: watch::Sender<Option<SocketAddr>>,
}

fn start(program: &Program, args: &[&str]) -> (Process, SocketAddr) {
    let process = program.spawn(args).unwrap();
    let url = process.url(Instant::now() + PATIENCE).unwrap();
    let addr = url.authority.parse().unwrap();
    (process, addr)
}

/// The fault befalls every connection, within its first kilobyte.
async fn trio(server: Chapter, client: Chapter, fault: Fault) -> Trio {
    let exe = Path::new(EXE);
    let (server, addr) = start(&roles::server(exe, server), &[]);
    let (told, upstream) = watch::channel(Some(addr));
    let bounds = Bounds {
        response: 600..1_000,
        pause: PATIENCE..2 * PATIENCE,
        ..Bounds::default()
    };
    let mut random = Random::new(1, 1);
    let plans =
        iter::repeat_with(move || Plan::draw(fault, &bounds, &mut random));
    let network = Network::default();
    let proxy = Proxy::start(network.clone(), upstream, plans).await.unwrap();
    let url = format!("http://{}/events", proxy.addr());
    let client = roles::reader(exe, client).spawn(&[&url]).unwrap();
    Trio { server, client, network, _proxy: proxy, _told: told }
}

// ANCHOR: noticed
/// Both ways, and without a word from anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_leaves_a_half_open_connection() {
    let clients = &Chapter::ALL[..4];
    for fault in [Way::Down, Way::Up].map(Fault::HalfOpen) {
        let trios = clients.iter().map(|it| trio(Chapter::Ch05, *it, fault));
        for trio in join_all(trios).await {
            let deadline = Instant::now() + PATIENCE;
            let message = trio.client.wait_for(deadline, |line| {
                match serde_json::from_str(line).unwrap() {
                    Told::Error { message, .. } => Some(message),
                    _ => None,
                }
            });
            // A head that does not come has words of its own.
            let message = message.unwrap();
            assert!(message.ends_with(" came in time"), "{message}");
            assert!(trio.network.tally().struck[&fault] > 0);
            assert_eq!(trio.network.tally().unnoticed, 0);
        }
    }
}

/// Only Linux tells when there is no room at the other end; elsewhere the send
/// buffer, which is large, has to be full.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_gives_up_a_reader_who_takes_nothing() {
    let servers = [Chapter::Ch03, Chapter::Ch04, Chapter::Ch05];
    let trios = servers.map(|it| trio(it, Chapter::Ch01, Fault::Pause));
    for trio in join_all(trios).await {
        let deadline = Instant::now() + PATIENCE;
        let line = trio.server.wait_for(deadline, |line| {
            soak::keep::is_cut_off(line).then(|| line.to_owned())
        });
        assert!(line.is_some());
    }
}
// ANCHOR_END: noticed
