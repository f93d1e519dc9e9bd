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
    name: "ch01-sockets",
    about: "Chapter 1: Server-Sent Events over std::net",
    addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9001)),
    server: |given| {
        let default = server::Options::default();
        let pace = server::Options {
            every: given.every,
            heartbeat: given.heartbeat,
            max_readers: given.max_readers_or(default.max_readers),
            ..default
        };
        server::run(
            &given.listener,
            &pace,
            &given.stop,
            Arc::new(|line| say(line)),
        )
    },
    clients: &[("rust", read)],
    has_guard: false,
};

// ANCHOR: read
fn read(request: &Request, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let timeouts = client::Timeouts {
        head: request.head_timeout,
        idle: request.idle_timeout,
    };
    let rules = Reconnection::new(client::seed())
        .with_last_event_id(&*request.last_event_id)
        .with_retried_statuses(request.retried_statuses.iter().copied());
    client::read_with(&request.url, rules, timeouts, |notice| {
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
// ANCHOR_END: read
