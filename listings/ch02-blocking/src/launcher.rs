//! What the launcher is told of this chapter, and how its words become those
//! of the chapter. The rest of the crate knows no launcher.

use crate::{client, server};
use dashboard::{Chapter, Report, Request, say};
use event_stream::{Item, Reconnection};
use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::ControlFlow,
    sync::Arc,
};

/// What the launcher needs to know of this chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ch02-blocking",
    about: "Chapter 2: Server-Sent Events over a blocking framework",
    addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9002)),
    server: |given| {
        let default = server::Options::default();
        let options = server::Options {
            every: given.every,
            heartbeat: given.heartbeat,
            max_readers: given.max_readers_or(default.max_readers),
            ..default
        };
        server::run(
            &given.listener,
            &options,
            &given.stop,
            Arc::new(|line| say(line)),
        )
    },
    clients: &[("rust", read)],
    has_guard: false,
};

fn read(request: &Request, report: &mut Report) -> Result<(), Box<dyn Error>> {
    // The longer of the two, where both are bounded: it is one time for both.
    let timeout = match (request.head_timeout, request.idle_timeout) {
        (Some(head), Some(idle)) => Some(head.max(idle)),
        _ => None,
    };
    let rules = Reconnection::new(ch01_sockets::client::seed())
        .with_last_event_id(&*request.last_event_id)
        .with_retried_statuses(request.retried_statuses.iter().copied());
    client::read_with(&request.url, rules, timeout, |notice| {
        match notice {
            client::Notice::Connecting(url) => {
                report.note(format_args!("Connecting to {url}"));
            }
            client::Notice::Head(head) => {
                head.lines().for_each(|line| report.note(line));
            }
            client::Notice::Open => report.open(),
            client::Notice::Item(Item::Event(event)) => {
                let id = event.last_event_id;
                return report.event(event.event_type, event.data, id);
            }
            client::Notice::Item(_) | client::Notice::Waiting => {}
            client::Notice::Lost { why, wait } => report
                .error(false, &format!("{why}; reconnecting in {wait:.1?}")),
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
