//! Where the segments of a log lie.

use redb::{StorageBackend, backends::FileBackend};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    string::String,
    vec::Vec,
};

// ANCHOR: files
/// A flat folder of files: a real one, or in a test a simulated disk.
pub trait Files: Send + Sync + 'static {
    /// An open file.
    type File: StorageBackend;

    /// The names of all files.
    ///
    /// # Errors
    /// If the folder cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file, which is there; with `is_new`, an empty one in place of
    /// any that is there.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open(&self, name: &str, is_new: bool) -> io::Result<Self::File>;

    /// The length of a file, in bytes.
    ///
    /// # Errors
    /// If it is not there.
    fn len(&self, name: &str) -> io::Result<u64>;

    /// Gives a file that nobody has open its final name. When this returns,
    /// no power cut takes the name away.
    ///
    /// # Errors
    /// If that failed: what became of the name is unknown.
    fn publish(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, which somebody may be reading. When this returns, no
    /// power cut brings it back.
    ///
    /// # Errors
    /// If it is still there, or may come back.
    fn remove(&self, name: &str) -> io::Result<()>;
}
// ANCHOR_END: files

/// A folder of the file system, which this process alone uses.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Folder {
    /// The folder, made where there is none.
    ///
    /// # Errors
    /// If it cannot be made, or another process uses it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false);
        let lock = lock.open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: lock }),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process keeps its log there: stop it, or name \
                 another folder",
            )),
        }
    }

    /// Makes the names in the folder safe.
    fn sync(&self) -> io::Result<()> {
        // Elsewhere a folder cannot be opened as a file.
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }
}

impl Files for Folder {
    type File = FileBackend;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, name: &str, is_new: bool) -> io::Result<FileBackend> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(is_new).truncate(is_new);
        let file = options.open(self.path.join(name))?;
        FileBackend::new(file).map_err(io::Error::other)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn publish(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))?;
        self.sync()
    }
}
