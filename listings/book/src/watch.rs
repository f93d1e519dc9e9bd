//! Tells when a source of the book has changed. Many changes close together
//! are one: an editor's save is a handful of file events.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::render;

// ANCHOR: watch
/// A change counts once nothing more has happened for this long,
const QUIET: Duration = Duration::from_millis(80);
/// or once it has waited for this long, however busy the disk is.
const PATIENCE: Duration = Duration::from_secs(2);

/// The changes of the sources.
#[derive(Debug)]
pub struct Changes(Receiver<()>);

/// Watches the pages, the folders of `extra-watch-dirs`, and `book.toml`,
/// until the watcher is dropped.
///
/// # Errors
/// If a folder is missing, or the system has no watches left.
pub fn sources(
    root: &Path,
) -> Result<(RecommendedWatcher, Changes), render::Error> {
    // Some systems report real paths only, so compare with real paths.
    let root = root.canonicalize()?;
    let config = render::config(&root)?;
    let mut sources = vec![root.join(config.book.src)];
    sources.extend(config.build.extra_watch_dirs.iter().map(|f| root.join(f)));
    let folders = sources.clone();
    sources.push(root.join("book.toml"));

    // One place is enough: "something changed" need not be said twice.
    let (notice, changes) = sync_channel(1);
    let mut watcher = notify::recommended_watcher(move |event| {
        if matters(&event, &sources) {
            let _full = notice.try_send(());
        }
    })?;
    for folder in &folders {
        watcher.watch(folder, RecursiveMode::Recursive)?;
    }
    // Its folder, because an editor that saves by renaming would take the
    // watch away with the old file.
    watcher.watch(&root, RecursiveMode::NonRecursive)?;
    Ok((watcher, Changes(changes)))
}
impl Changes {
    /// Waits for a change and for the quiet after it; `false` when no more
    /// can come, because the watcher is gone.
    #[must_use]
    pub fn wait(&self) -> bool {
        if self.0.recv().is_err() {
            return false;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.0.recv_timeout(QUIET).is_ok() {}
        true
    }
}

// ANCHOR_END: watch

// ANCHOR: matters
/// Reading a file is an event too, so rendering would set itself off; and
/// what a build or npm writes beside a listing is no source.
fn matters(event: &notify::Result<Event>, sources: &[PathBuf]) -> bool {
    // Events were lost: anything may have changed.
    let Ok(event) = event else { return true };
    let is_source = |path: &PathBuf| {
        sources.iter().any(|source| {
            path.strip_prefix(source).is_ok_and(|inside| {
                let mut parts = inside.iter();
                !parts.any(|part| part == "target" || part == "node_modules")
            })
        })
    };
    !matches!(event.kind, EventKind::Access(_))
        && (event.need_rescan() || event.paths.iter().any(is_source))
}
// ANCHOR_END: matters
