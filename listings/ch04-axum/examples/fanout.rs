//! What an event costs: publishes to so many readers, in this process and
//! without a network. What a server would print goes to stdout, the table to
//! stderr. Linux only: the processor's time comes from `/proc`.

use axum::{body::Body, http::Request};
use ch03_hyper::connections::Log;
use ch04_axum::{
    feed::{Feed, Post},
    routes,
    server::{App, Options},
};
use dashboard::say;
use futures::StreamExt;
use std::{
    env, error::Error, fs, io, process::ExitCode, sync::Arc, time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let events = env::args().nth(1).map_or(Ok(200), |text| text.parse());
    let Ok(events @ 1..) = events else {
        eprintln!("fanout [EVENTS]");
        return ExitCode::from(2);
    };
    if let Err(error) = table(events).await {
        eprintln!("fanout: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn table(events: u32) -> Result<(), Failure> {
    eprintln!("medians of {events} posts of 400 characters\n");
    eprintln!("readers  lines   publish  until all have it  CPU a reader");
    for readers in [0, 1_000, 10_000] {
        for lines in ["none", "each"] {
            measure(readers, lines, events).await?;
        }
    }
    Ok(())
}

/// Publishes one event after the other, each when all readers have the one
/// before.
async fn measure(
    readers: u32,
    lines: &str,
    events: u32,
) -> Result<(), Failure> {
    let log: Log = match lines {
        "none" => Arc::new(|_| ()),
        _ => Arc::new(|line| say(line)),
    };
    let app = App::new(Options::default(), CancellationToken::new(), log);
    let routes = routes::router(app.clone());
    let have = Arc::new(Semaphore::new(0));
    for _ in 0..readers {
        let ask = Request::get("/events").header("Host", "localhost");
        let ask = ask.body(Body::empty())?;
        let response = routes.clone().oneshot(ask).await?;
        if !response.status().is_success() {
            return Err(response.status().to_string().into());
        }
        let mut body = response.into_body().into_data_stream();
        // The reconnection time and the position.
        for _ in 0..2 {
            body.next().await;
        }
        let have = Arc::clone(&have);
        tokio::spawn(async move {
            while let Some(Ok(_)) = body.next().await {
                have.add_permits(1);
            }
        });
    }
    let post = Post { author: "Ada".into(), text: "x".repeat(400) };
    let feed = Feed::Posted(post);
    let (mut publish, mut all) = (Vec::new(), Vec::new());
    let before = cpu()?;
    for _ in 0..events {
        let start = Instant::now();
        app.publish(&feed)?;
        publish.push(start.elapsed());
        have.acquire_many(readers).await?.forget();
        all.push(start.elapsed());
    }
    let cpu = cpu()?.saturating_sub(before) / events;
    let a_reader = match readers {
        0 => "-".to_owned(),
        readers => format!("{:.1?}", cpu / readers),
    };
    let (publish, all) = (median(publish), median(all));
    eprintln!(
        "{readers:>7}  {lines:<5}  {publish:>8.1?}  {all:>17.1?}  \
         {a_reader:>12}"
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The processor's time that this process has had, all threads together.
fn cpu() -> io::Result<Duration> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = text.split(' ').next().unwrap_or_default();
        total += nanoseconds.parse::<u64>().map_err(io::Error::other)?;
    }
    Ok(Duration::from_nanos(total))
}
