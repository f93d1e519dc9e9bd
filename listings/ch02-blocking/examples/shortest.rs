//! The shortest server that streams, and all that the framework does for it.

use std::{io, net::TcpListener, thread, time::Duration};
use touche::{Body, Response, Server};

// ANCHOR: shortest
fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("Server running at http://{}/events", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        thread::spawn(move || {
            let server = Server::builder().from_connections([socket]);
            server.serve_single_thread(|_| {
                let events = (1..).map(|n| {
                    thread::sleep(Duration::from_millis(100));
                    format!("id: {n}\ndata: Hello, {n}\n\n")
                });
                Response::builder()
                    .header("content-type", "text/event-stream")
                    .body(Body::from_iter(events))
            })
        });
    }
    Ok(())
}
// ANCHOR_END: shortest
