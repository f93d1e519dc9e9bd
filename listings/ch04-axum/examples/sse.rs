//! The shortest stream over axum, with axum's own means.

use axum::{
    Router,
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use futures::{Stream, stream};
use std::{convert::Infallible, io, time::Duration};
use tokio::{net::TcpListener, time::sleep};

// ANCHOR: sse
#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Server running at http://{}/events", listener.local_addr()?);
    let app = Router::new().route("/events", get(events));
    axum::serve(listener, app).await
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let greetings = stream::unfold(1, async |number| {
        sleep(Duration::from_millis(100)).await;
        let event = Event::default()
            .id(number.to_string())
            .data(format!("Hello! This is event {number}"));
        Some((Ok(event), number + 1))
    });
    Sse::new(greetings).keep_alive(KeepAlive::default())
}
// ANCHOR_END: sse
