//! The pages as a browser gets them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use book::render::Press;
use scraper::{Html, Selector};
use tempfile::TempDir;

use crate::support::{self, workspace};
use crate::{File, Problem, files, found, none, pages};

/// Renders the book at `root` and reads every page.
fn check(root: &Path) -> Vec<Problem> {
    let out = TempDir::new().unwrap();
    let mut press = Press::new(root.into(), out.path().join("out")).unwrap();
    let edition = press.render().unwrap();
    let built: BTreeMap<_, _> = files(&edition.pages, "")
        .into_iter()
        .filter(|file| file.path.extension().is_some_and(|e| e == "html"))
        // print.html holds every page once more.
        .filter(|file| file.path != Path::new("print.html"))
        .map(|file| (file.path.clone(), file))
        .collect();
    let ids: BTreeMap<_, _> = built
        .iter()
        .map(|(path, file)| (path.clone(), all(file, "[id]", "id")))
        .collect();

    let mut problems = Vec::new();
    for (path, file) in &built {
        let mut seen = BTreeSet::new();
        for id in &ids[path] {
            if !seen.insert(id) {
                problems.push(file.problem(1, format!("two ids {id}")));
            }
        }
        // A set, because mdBook puts each picture in twice, to zoom it.
        let silent = "main img:not([alt]), main img[alt='']";
        for image in BTreeSet::from_iter(all(file, silent, "src")) {
            let text = format!("{image} has no alternative text");
            problems.push(file.problem(1, text));
        }
        let mut links = all(file, "[href]", "href");
        links.extend(all(file, "[src]", "src"));
        // It is shown at any depth, so it has a <base>, which mdBook's own
        // link from its heading to itself does not survive.
        links.retain(|link| {
            file.path != Path::new("404.html") || !link.starts_with('#')
        });
        for link in links {
            if let Some(text) = broken(&link, path, &edition.pages, &ids) {
                problems.push(file.problem(1, text));
            }
        }
    }
    for page in pages(root) {
        let path = page.path.strip_prefix("src").unwrap();
        let html = match path.file_stem() {
            Some(stem) if stem == "README" => path.with_file_name("index.html"),
            _ => path.with_extension("html"),
        };
        let Some(file) = built.get(&html) else {
            if path != Path::new("SUMMARY.md") {
                problems.push(page.problem(1, "SUMMARY.md does not list it"));
            }
            continue;
        };
        let meant = page.text.matches("\\{{#").count();
        if file.text.matches("{{#").count() != meant {
            problems.push(page.problem(1, "a literal {{# in the built page"));
        }
    }
    problems
}

fn all(file: &File, selector: &str, attribute: &str) -> Vec<String> {
    let html = Html::parse_document(&file.text);
    let selector = Selector::parse(selector).unwrap();
    let elements = html.select(&selector);
    elements.filter_map(|e| e.attr(attribute)).map(str::to_owned).collect()
}

/// What is wrong with a link that stays in the book.
fn broken(
    link: &str,
    from: &Path,
    root: &Path,
    ids: &BTreeMap<PathBuf, Vec<String>>,
) -> Option<String> {
    if link.split(['/', '?', '#']).next().unwrap().contains(':') {
        return None;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let mut target = match path {
        "" => from.to_owned(),
        _ => from.parent().unwrap_or(from).to_owned(),
    };
    for part in Path::new(path.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir => drop(target.pop()),
            Component::CurDir => {}
            part => target.push(part),
        }
    }
    if root.join(&target).is_dir() {
        target.push("index.html");
    }
    if !root.join(&target).is_file() {
        return Some(format!("{link} leads nowhere"));
    }
    let known = ids.get(&target).map_or(&[][..], Vec::as_slice);
    if !fragment.is_empty() && !known.iter().any(|id| id == fragment) {
        return Some(format!("{link}: no such id there"));
    }
    None
}

#[test]
fn the_built_book_holds_together() {
    none(&check(&workspace()));
}

#[test]
fn faulty_pages_are_found() {
    let folder = support::small_book();
    let src = folder.path().join("src");
    std::fs::write(
        src.join("one.md"),
        "# One\n\n## A part\n\n[good](#a-part) [out](https://example.org)\n\
         \\{{#include meant}}\n\n<span id=\"a-part\"></span>\n\n\
         [gone](two.md)\n[part](#b-part)\n\n![](x.svg)\n\n{{#include y.rs}}\n",
    )
    .unwrap();
    std::fs::write(src.join("x.svg"), "<svg/>").unwrap();
    std::fs::write(src.join("lost.md"), "# Lost\n").unwrap();
    let problems = check(folder.path());
    let on_page: Vec<_> = problems
        .into_iter()
        .filter(|problem| problem.file != Path::new("index.html"))
        .collect();
    found(
        &on_page,
        &[
            "one.html:1: two ids a-part",
            "one.html:1: x.svg has no alternative text",
            "one.html:1: two.html leads nowhere",
            "one.html:1: #b-part: no such id there",
            "src/lost.md:1: SUMMARY.md does not list it",
            "src/one.md:1: a literal {{# in the built page",
        ],
    );
}
