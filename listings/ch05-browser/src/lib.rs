//! Chapter 5: Server-Sent Events in the browser, and the page's server.
//!
//! - [`clock`]: a stream that needs no memory.
//! - [`lab`]: what was posted, sent back as an event stream.
//! - [`server`]: the page's files, and the routes that it needs.
//! - [`client`]: the page's code outside a browser.

pub mod client;
pub mod clock;
pub mod lab;
pub mod server;

use ch03_hyper::runtime;
use dashboard::{Chapter, say};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

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
            book: BOOK.map(str::to_owned).into(),
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
