//! What the launcher is told of this chapter, and how its words become those
//! of the chapter. The rest of the crate knows no launcher.

use crate::{
    client::{self, Update},
    routes,
    server::{self, App},
};
use axum::http::HeaderValue;
use ch03_hyper::{launcher, runtime};
use dashboard::{Chapter, Report, Request, say};
use futures::StreamExt;
use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    pin::pin,
    sync::Arc,
};

/// Whose pages read from a server that the launcher starts: the book's, and
/// chapter 5's, which read from any chapter. Elsewhere port 3000 is somebody
/// else's.
const BOOK: [&str; 4] = [
    "http://127.0.0.1:3000",
    "http://localhost:3000",
    "http://127.0.0.1:9005",
    "http://localhost:9005",
];

/// What the launcher needs to know of this chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ch04-axum",
    about: "Chapter 4: Server-Sent Events over axum",
    addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9004)),
    server: |given| {
        let default = server::Options::default();
        let options = server::Options {
            every: given.every,
            heartbeat: given.heartbeat,
            max_readers: given.max_readers_or(default.max_readers),
            hosts: given.hosts,
            origins: BOOK
                .map(HeaderValue::from_static)
                .into_iter()
                .chain(server::origins(&given.origins)?)
                .collect(),
            ..default
        };
        runtime::run(given.listener, given.stop, |listener, stop| {
            let app = App::new(options, stop, Arc::new(|line| say(line)));
            routes::run(listener, app)
        })
    },
    clients: &[("rust", read)],
    has_guard: true,
};

fn read(request: &Request, report: &mut Report) -> Result<(), Box<dyn Error>> {
    runtime::block_on(async {
        let options = launcher::options(request);
        let mut feed = pin!(client::feed(&request.url, options)?);
        while let Some(update) = feed.next().await {
            let shown = match update? {
                Update::Event { feed, raw } => {
                    if let Err(error) = feed {
                        report.note(format_args!("Not understood: {error}"));
                    }
                    let id = &raw.last_event_id;
                    report.event(&raw.event_type, &raw.data, id)
                }
                Update::Notice(notice) => launcher::show(&notice, report),
            };
            if shown.is_break() {
                break;
            }
        }
        Ok(())
    })?
}
