//! A server that streams, and all that hyper does for it.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::{
    Error, Request, Response, body::Frame, body::Incoming,
    server::conn::http1::Builder, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{io, time::Duration};
use tokio::{net::TcpListener, time::sleep};

// ANCHOR: minimal
#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Server running at http://{}/events", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service_fn(async |_: Request<Incoming>| {
            let events = stream::iter(1..).then(async |n| {
                sleep(Duration::from_millis(100)).await;
                let event = format!("id: {n}\ndata: Hello, {n}\n\n");
                Ok::<_, Error>(Frame::data(Bytes::from(event)))
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(StreamBody::new(events))
        });
        let http = Builder::new();
        tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
    }
}
// ANCHOR_END: minimal
