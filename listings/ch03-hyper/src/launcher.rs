//! What the launcher is told of this chapter, and how its words become those
//! of the chapter. The rest of the crate knows no launcher.

use crate::{runtime, server};
use dashboard::{Chapter, Report, Request, say};
use event_client::{Notice, Options, RequestBuilderExt, Timeouts};
use event_stream::Item;
use futures::TryStreamExt;
use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::ControlFlow,
    sync::Arc,
};

/// What the launcher needs to know of this chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ch03-hyper",
    about: "Chapter 3: Server-Sent Events over hyper",
    addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9003)),
    server: |given| {
        let default = server::Options::default();
        let options = server::Options {
            every: given.every,
            heartbeat: given.heartbeat,
            max_readers: given.max_readers_or(default.max_readers),
            ..default
        };
        runtime::run(given.listener, given.stop, |listener, stop| {
            server::run(listener, options, stop, Arc::new(|line| say(line)))
        })
    },
    clients: &[("rust", read)],
    has_guard: false,
};

// ANCHOR: client
/// Reads the stream that is asked for and reports it, until no more is
/// wanted.
///
/// # Errors
/// If the client gives up.
pub fn read(
    request: &Request,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    runtime::block_on(async {
        let http = event_client::http().build()?;
        let stream = http.get(&request.url);
        let mut notices = stream.notices_with(options(request))?;
        while let Some(notice) = notices.try_next().await? {
            if show(&notice, report).is_break() {
                break;
            }
        }
        Ok(())
    })?
}
// ANCHOR_END: client

/// What was asked for on the command line.
#[must_use]
pub fn options(request: &Request) -> Options {
    let timeouts =
        Timeouts { head: request.head_timeout, idle: request.idle_timeout };
    Options::default()
        .with_timeouts(timeouts)
        .with_last_event_id(&*request.last_event_id)
        .with_retried_statuses(request.retried_statuses.iter().copied())
}

/// What a notice looks like in the terminal; `Break` if no more are wanted.
pub fn show(notice: &Notice, report: &mut Report) -> ControlFlow<()> {
    match notice {
        Notice::Connecting(url) => {
            report.note(format_args!("Connecting to {url}"));
        }
        Notice::Head(head) => {
            head.lines().for_each(|line| report.note(line));
        }
        Notice::Open => report.open(),
        Notice::Item(Item::Event(event)) => {
            let id = &event.last_event_id;
            return report.event(&event.event_type, &event.data, id);
        }
        Notice::Lost { why, wait } => {
            let error = format!("{why}; reconnecting in {wait:.1?}");
            report.error(false, &error);
        }
        Notice::Ended { is_unfinished } => {
            let within = if *is_unfinished { " within an event" } else { "" };
            report.error(true, &format!("the server ended the stream{within}"));
        }
        // An item that is no event, and what a newer client may tell.
        _ => {}
    }
    ControlFlow::Continue(())
}
