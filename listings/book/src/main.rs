//! `cargo run`: the book, in the browser.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use book::page::{self, Page};
use book::programs::Programs;
use book::render::{self, Edition, Press};
use book::watch::{self, Changes};
use clap::Parser;
use tokio::sync::watch::{Sender, channel};

/// Renders this book, serves it, and renders it again when a source changes.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The port of 127.0.0.1 to serve at; 0 takes any free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Opens the book in the browser.
    #[arg(long)]
    open: bool,
    /// The folder that holds `book.toml`.
    #[arg(long, default_value_os_t = workspace())]
    root: PathBuf,
    /// How many seconds a live run may last.
    #[arg(long, default_value_t = 60)]
    run_seconds: u64,
    /// The workspace that holds the chapters' programs.
    #[arg(long, hide = true, default_value_os_t = workspace())]
    workspace: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // mdBook goes on after much that an author wants to know, such as an
    // include that is not there, and only logs it.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(io::stderr)
        .without_time()
        .with_target(false)
        .init();
    match read(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("book: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves the book until a signal.
fn read(cli: &Cli) -> Result<(), render::Error> {
    // First of all, because the port is also the lock on the folder.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, cli.port))
        .map_err(|error| explain(error, cli.port))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let served = cli.root.join("target/served");
    sweep(&served);
    let out = served.join(port.to_string());
    let mut press = Press::new(cli.root.clone(), out)?;

    // Before the first edition, so that no change falls between the two.
    let watching = watch::sources(&cli.root);
    let (editions, newest) = channel(press.render()?);
    if let Err(error) = &watching {
        eprintln!("book: changes will not show: {error:#}");
    }
    let (watcher, changes) = watching.ok().unzip();
    let printing = thread::spawn(move || {
        if let Some(changes) = changes {
            reprint(&mut press, &changes, &editions);
        }
        (press, editions)
    });

    let url = format!("http://127.0.0.1:{port}/");
    println!("The book is at {url} (Ctrl-C ends it)");
    if cli.open
        && let Err(error) = open::that_detached(&url)
    {
        eprintln!("book: no browser could be started: {error}");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let programs = Programs::new(cli.workspace.clone());
        let (page, place) = channel(Page::default());
        let limit = Duration::from_secs(cli.run_seconds);
        let stop = signal()?;
        // Ends with the runtime, and with it all that it has started.
        tokio::spawn(page::keep(programs.ask(), port, page));
        book::serve::serve(listener, newest, place, programs, limit, stop).await
    })?;
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop(watcher);
    drop(printing.join());
    Ok(())
}

// ANCHOR: reprint
/// Makes an edition of every change. One that fails is told, and readers
/// keep the last good one.
fn reprint(press: &mut Press, changes: &Changes, editions: &Sender<Edition>) {
    while changes.wait() {
        match press.render() {
            Ok(edition) => {
                editions.send_replace(edition);
                println!("Rendered again.");
            }
            Err(error) => eprintln!("book: not rendered: {error:#}"),
        }
    }
}
// ANCHOR_END: reprint

/// Completes when the process is told to end. The handlers are in place when
/// this returns, so that no signal finds the default one.
fn signal() -> io::Result<impl Future<Output = ()>> {
    // Elsewhere than on Unix, Ctrl-C is the only way to ask.
    #[cfg(unix)]
    let mut terminate = {
        use tokio::signal::unix;
        unix::signal(unix::SignalKind::terminate())?
    };
    Ok(async move {
        let interrupt = tokio::signal::ctrl_c();
        #[cfg(unix)]
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _: io::Result<()> = interrupt.await;
    })
}

/// Removes what killed processes left. A folder is named after its port, and
/// whoever can take that port meets no book there.
fn sweep(served: &Path) {
    let Ok(folders) = std::fs::read_dir(served) else { return };
    for folder in folders.flatten() {
        let name = folder.file_name();
        let port = name.to_str().and_then(|name| name.parse::<u16>().ok());
        let taken = port.map(|port| TcpListener::bind(("127.0.0.1", port)));
        if let Some(Ok(_lock)) = taken {
            // What cannot be removed is in nobody's way.
            let _: io::Result<()> = std::fs::remove_dir_all(folder.path());
        }
    }
}

fn explain(error: io::Error, port: u16) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    let text =
        format!("port {port} is taken; for another: `cargo run -- --port 0`");
    io::Error::new(error.kind(), text)
}

/// Where this book's sources are: two folders above this crate.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
