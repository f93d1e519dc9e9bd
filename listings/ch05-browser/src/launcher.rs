//! What the launcher is told of this chapter, and how its words become those
//! of the chapter. The rest of the crate knows no launcher.

use crate::{client, server};
use ch03_hyper::runtime;
use dashboard::{Chapter, say};
use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

/// The environment variable that names the origins of the book, whose pages
/// may show ours in a frame: instead of the two at port 3000, with white
/// space between them.
pub const BOOK_ORIGINS: &str = "SSE_BOOK_ORIGINS";

/// Whose pages show ours in a frame.
const BOOK: [&str; 2] = ["http://127.0.0.1:3000", "http://localhost:3000"];

/// What the launcher needs to know of this chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ch05-browser",
    about: "Chapter 5: Server-Sent Events in the browser",
    addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9005)),
    server: |given| {
        let default = server::Options::default();
        let options = server::Options {
            every: given.every,
            heartbeat: given.heartbeat,
            max_readers: given.max_readers_or(default.max_readers),
            book: book_origins()?
                .unwrap_or_else(|| BOOK.map(str::to_owned).into()),
            hosts: given.hosts,
            origins: ch04_axum::server::origins(&given.origins)?,
            ..default
        };
        runtime::run(given.listener, given.stop, |listener, stop| {
            server::run(listener, options, stop, Arc::new(|line| say(line)))
        })
    },
    clients: &[("node", client::node), ("rust", client::rust)],
    has_guard: true,
};

/// What [`BOOK_ORIGINS`] says; `None` where it is not set.
fn book_origins() -> io::Result<Option<Vec<String>>> {
    match env::var(BOOK_ORIGINS) {
        Ok(text) => {
            Ok(Some(text.split_whitespace().map(str::to_owned).collect()))
        }
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => {
            let why = format!("{BOOK_ORIGINS}: {error}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}
