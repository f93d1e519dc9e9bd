//! From the launcher's threads and channels to tokio's tasks and tokens.

use std::{
    future::Future,
    io, net,
    sync::mpsc::{Receiver, RecvError},
    thread,
};
use tokio::{net::TcpListener, runtime};
use tokio_util::sync::CancellationToken;

/// Runs an async server on a runtime of its own until it returns. The token
/// that it is given is cancelled when `stop` yields a message or its other
/// end is gone.
///
/// # Errors
/// If the runtime cannot be built, or the server fails.
pub fn run<F>(
    listener: net::TcpListener,
    stop: Receiver<()>,
    server: impl FnOnce(TcpListener, CancellationToken) -> F,
) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    listener.set_nonblocking(true)?;
    let stopped = CancellationToken::new();
    let token = stopped.clone();
    // A task must not wait in a blocking call: a thread waits for the channel.
    thread::Builder::new().spawn(move || {
        let (Ok(()) | Err(RecvError)) = stop.recv();
        stopped.cancel();
    })?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        server(TcpListener::from_std(listener)?, token).await
    })
}

/// Runs an async client on this thread until it returns.
///
/// # Errors
/// If the runtime cannot be built.
pub fn block_on<F: Future>(client: F) -> io::Result<F::Output> {
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(client))
}
