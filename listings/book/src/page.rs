//! The page of chapter 5, live in the book: its server runs in this process.
//! It has an address of its own, because a browser trusts by origin, and what
//! the page may do is none of the book's concern.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use ch05_browser::server::{self, Options};
use tokio_util::sync::CancellationToken;

// ANCHOR: page
/// A port for the page, and its address there. Any free port: the chapter's
/// own stays free for the reader who runs the chapter.
///
/// # Errors
/// If the system has none.
pub fn bind() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}/", listener.local_addr()?);
    Ok((listener, url))
}

/// Serves the page until `stop`, for the frames of the book at this port.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    book: u16,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let names = ["127.0.0.1", "localhost"];
    let book = names.map(|name| format!("http://{name}:{book}")).into();
    let options = Options { book, ..Options::default() };
    // Its lines are for who runs the chapter. The terminal is the book's.
    server::run(listener, options, stop, Arc::new(|_| {})).await
}
// ANCHOR_END: page
