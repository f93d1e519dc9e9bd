//! mdBook as a library. A reader never meets a half-written page, because
//! each edition is written to a folder of its own that nobody serves yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mdbook_driver::MDBook;
use mdbook_driver::config::Config;

/// Why an edition was not made; its [`to_string`](ToString::to_string) names
/// the file, its alternate form (`{:#}`) every cause.
pub type Error = mdbook_driver::errors::Error;

/// One finished rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Tells this edition from every other, also of an earlier process.
    pub id: String,
    /// Where its pages lie.
    pub pages: PathBuf,
}

/// Makes editions of the book at `root` in folders below `out`.
#[derive(Debug)]
pub struct Press {
    root: PathBuf,
    out: PathBuf,
    editions: Vec<PathBuf>,
    count: u32,
}

impl Press {
    /// Takes `out` over: whatever an earlier process left there is removed.
    ///
    /// # Errors
    /// If `out` cannot be emptied.
    pub fn new(root: PathBuf, out: PathBuf) -> io::Result<Self> {
        remove(&out)?;
        Ok(Self { root, out, editions: Vec::new(), count: 0 })
    }

    // ANCHOR: render
    /// Renders the book as it stands. The folder before stays, for a request
    /// that has not opened its file there yet; the one before that goes.
    ///
    /// # Errors
    /// If `book.toml`, `SUMMARY.md` or a page is missing or wrong.
    pub fn render(&mut self) -> Result<Edition, Error> {
        while self.editions.len() > 1 {
            remove(&self.editions.remove(0))?;
        }
        self.count += 1;
        let id = format!("{}-{}", std::process::id(), self.count);
        let pages = self.out.join(&id);

        let mut config = config(&self.root)?;
        config.build.build_dir.clone_from(&pages);
        // Writing into a folder that is watched would render without end.
        config.build.create_missing = false;
        let key = "output.html.additional-js";
        let mut scripts: Vec<String> = config.get(key)?.unwrap_or_default();
        scripts.push("theme/live.js".into());
        config.set(key, scripts)?;

        let built = MDBook::load_with_config(&self.root, config)
            .and_then(|book| book.build())
            .and_then(|()| Ok(sign(&pages, &id)?));
        if let Err(error) = built {
            remove(&pages)?;
            return Err(error);
        }
        self.editions.push(pages.clone());
        Ok(Edition { id, pages })
    }
    // ANCHOR_END: render
}

// ANCHOR: sign
/// Tells each page below `folder` which edition it is of, on the tag of its
/// last script.
fn sign(folder: &Path, edition: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sign(&path, edition)?;
        } else if path.extension().is_some_and(|name| name == "html") {
            // mdBook's pages are UTF-8, and the script is their last. A file
            // that was copied from beside the pages may be anything.
            let page = String::from_utf8(fs::read(&path)?).unwrap_or_default();
            if let Some((before, after)) = page.rsplit_once("src=\"")
                && after.contains("theme/live")
            {
                let sign = format!("data-edition=\"{edition}\"");
                let page = format!("{before}{sign} src=\"{after}");
                fs::write(&path, page)?;
            }
        }
    }
    Ok(())
}
// ANCHOR_END: sign

/// Leaves nothing behind in `target`.
impl Drop for Press {
    fn drop(&mut self) {
        // At the end of the process there is nobody left to tell.
        let _: io::Result<()> = remove(&self.out);
    }
}

/// The book's own configuration, and the environment's, as mdBook reads them.
///
/// # Errors
/// If `book.toml` is missing or wrong.
pub fn config(root: &Path) -> Result<Config, Error> {
    let file = root.join("book.toml");
    let mut config = Config::from_disk(&file)
        .map_err(|error| error.context(file.display().to_string()))?;
    config.update_from_env()?;
    Ok(config)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
