//! This book, whole, as its own program serves it.

use std::fs;
use std::process::{Command, Stdio};

use book::{page, programs};
use harness::browser::{Browser, keys, until};
use harness::needs::Need;
use serde_json::json;
use tempfile::TempDir;

use crate::frame::{FRAME, Port, build, is_visible};
use crate::support::{Book, program, whole_book, workspace};

/// The rules of WCAG 2.2, levels A and AA.
const RULES: [&str; 5] =
    ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/// The path of every page, as `SUMMARY.md` names them.
fn pages() -> Vec<String> {
    let summary = workspace().join("src/SUMMARY.md");
    let summary = fs::read_to_string(summary).unwrap();
    let links = summary.split("](").skip(1);
    let paths = links.map(|link| link.split(')').next().unwrap());
    let pages = paths.map(|path| {
        let path = path.strip_suffix(".md").unwrap();
        path.strip_suffix("README").unwrap_or(path).to_owned()
    });
    let pages = pages.map(|path| match path.as_str() {
        "" => "index.html".to_owned(),
        path if path.ends_with('/') => format!("{path}index.html"),
        path => format!("{path}.html"),
    });
    pages.chain(["404.html".to_owned()]).collect()
}

const NODE: &str = "listings/ch05-browser/node";

/// axe-core (MPL-2.0), which comes from npm.
pub(crate) const AXE: Need = Need::Npm(NODE);

/// Its checks.
fn axe() -> String {
    let package = workspace().join(NODE).join("node_modules/axe-core");
    fs::read_to_string(package.join("axe.min.js")).unwrap()
}

/// What the page in front, with axe in it, breaks of the rules: each with the
/// first places.
fn violations(browser: &Browser) -> Vec<String> {
    let found = browser.async_script(
        // What a page does about a new width, it does once the next frame is
        // laid out: access.js watches sizes.
        "for (let frames = 0; frames < 2; frames += 1) {
             await new Promise(requestAnimationFrame);
         }
         const { violations } = await axe.run(document, {
             runOnly: arguments[0], resultTypes: ['violations'],
             iframes: false,
         });
         return violations.flatMap(({ id, nodes }) =>
             nodes.slice(0, 3).map((node) =>
                 `${id}: ${node.target} ${node.failureSummary}`));",
        &[json!(RULES)],
    );
    let found = found.as_array().unwrap().iter();
    found.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What is wrong with the page in front, on a wide screen and on a phone.
fn problems(browser: &Browser, axe: &str, page: &str) -> Vec<String> {
    let mut problems = Vec::new();
    browser.script_with(axe, &[]);
    for (width, height) in [(1280, 900), (360, 740)] {
        browser.resize(width, height);
        problems.extend(violations(browser));
        let wider = "[...document.querySelectorAll('body *')].filter(node => \
            node.getBoundingClientRect().right > innerWidth + 1 \
            && !node.closest('pre, .table-wrapper, #mdbook-sidebar')) \
            .map(node => `${node.tagName}.${node.className}`).join(' ')";
        let scrolls = "document.documentElement.scrollWidth > innerWidth";
        if browser.script(scrolls) == true {
            let wider = browser.script(wider);
            problems.push(format!("scrolls sideways, for {wider}"));
        }
        let page = format!("{page}, {width} pixels");
        for problem in &mut problems {
            if !problem.starts_with('[') {
                problem.insert_str(0, &format!("[{page}] "));
            }
        }
    }
    problems.extend(browser.complaints());
    problems
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn every_page_is_sound(scheme: &str) {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let axe = axe();
    let root = format!("http://127.0.0.1:{}/", book.port);
    let is_themed = match scheme {
        "dark" => "document.documentElement.classList.contains('navy')",
        _ => "document.documentElement.classList.contains('light')",
    };
    browser.media("", &[("prefers-color-scheme", scheme)]);
    let mut found = Vec::new();
    for page in pages() {
        browser.open(&(root.clone() + &page));
        assert_eq!(browser.script(is_themed), true, "{page}");
        found.extend(problems(&browser, &axe, &page));
    }
    // The page of chapter 5 has an origin of its own, and is no part of what
    // axe sees from outside.
    let served = book.page();
    for path in ["", "lab", "seven"] {
        browser.open(&format!("{served}{path}"));
        let is_there = "document.querySelector('section[data-part]')?.hidden";
        browser.wait(&format!("{is_there} === false"));
        found.extend(problems(&browser, &axe, &format!("page /{path}")));
    }
    none(&found);
}

pub(crate) fn every_page_is_sound_in_light() {
    every_page_is_sound("light");
}

pub(crate) fn every_page_is_sound_in_dark() {
    every_page_is_sound("dark");
}

pub(crate) fn the_other_themes_are_sound() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let axe = axe();
    let root = format!("http://127.0.0.1:{}/", book.port);
    let mut found = Vec::new();
    for theme in ["rust", "coal", "ayu"] {
        for page in ["ch05-browser.html", "book.html"] {
            browser.open(&(root.clone() + page));
            browser.script_with(
                "localStorage.setItem('mdbook-theme', arguments[0])",
                &[theme.into()],
            );
            browser.reload();
            let is_themed = "return document.documentElement.classList
                .contains(arguments[0])";
            let is_themed = browser.script_with(is_themed, &[theme.into()]);
            assert_eq!(is_themed, true, "{theme}");
            let page = format!("{page}, {theme}");
            found.extend(problems(&browser, &axe, &page));
        }
    }
    none(&found);
}

pub(crate) fn every_panel_runs_and_stops() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let mut chapters = Vec::new();
    for page in pages() {
        browser.open(&format!("http://127.0.0.1:{}/{page}", book.port));
        let panels = browser.script(
            "[...document.querySelectorAll('figure.live')] \
             .map(figure => figure.dataset.chapter)",
        );
        for chapter in panels.as_array().unwrap() {
            let chapter = chapter.as_str().unwrap();
            let panel = format!("figure.live[data-chapter='{chapter}']");
            let button = format!("{panel} button");
            browser.click(&button);
            for (pane, line) in [(2, "Sent event"), (3, "Received event")] {
                let log = format!("{panel} .live-pane:nth-child({pane}) pre");
                until(&format!("event on {log} of {page}"), || {
                    let state = browser.text(&format!("{panel} .live-state"));
                    assert!(!state.starts_with("Ended"), "{page}: {state}");
                    browser.text(&log).contains(line)
                });
            }
            #[cfg(unix)]
            book.wait_for_children(2);
            browser.click(&button);
            #[cfg(unix)]
            book.wait_for_children(0);
            assert_eq!(
                browser.text(&format!("{panel} .live-state")),
                "Stopped."
            );
            chapters.push(chapter.to_owned());
        }
    }
    let complaints = browser.complaints();
    assert_eq!(complaints, [""; 0]);
    assert_eq!(chapters, programs::chapters(&workspace()).unwrap());
}

pub(crate) fn chapter_5_is_alive_in_its_pages() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let mut paths = Vec::new();
    for page in pages() {
        browser.open(&format!("http://127.0.0.1:{}/{page}", book.port));
        let figures = "[...document.querySelectorAll('figure.page')] \
                       .map(figure => figure.id)";
        for figure in browser.script(figures).as_array().unwrap() {
            let figure = format!("#{}", figure.as_str().unwrap());
            paths.push(alive(&browser, &figure));
        }
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths, ["/", "/lab"]);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Holds what a page does in the figure, and says which page it is.
fn alive(browser: &Browser, figure: &str) -> String {
    let frame = format!("{figure} iframe");
    browser.resize(1280, 900);
    appears(browser, figure);
    browser.enter_frame(&frame);
    let path = browser.script("location.pathname");
    let path = path.as_str().unwrap().to_owned();
    if path == "/" {
        browser.wait("document.body.innerText.includes('This is event')");
    }
    browser.script("window.same = true");
    for width in [360, 1280] {
        browser.leave_frames();
        browser.resize(width, 900);
        browser.enter_frame(&frame);
        // The frame is as high as its page, so that only the book scrolls.
        browser.wait(
            "document.documentElement.scrollHeight <= innerHeight \
             && document.documentElement.scrollWidth <= innerWidth",
        );
    }
    let ground = "getComputedStyle(document.body).backgroundColor + \
                  getComputedStyle(document.documentElement).backgroundColor";
    let light = browser.script(ground);
    browser.leave_frames();
    let choose = |theme| {
        let id = format!("mdbook-theme-{theme}");
        browser.script(&format!("document.getElementById('{id}').click()"))
    };
    choose("navy");
    browser.enter_frame(&frame);
    browser.wait(&format!("{ground} !== {light}"));
    assert_eq!(browser.script("window.same"), true);
    browser.leave_frames();
    choose("light");
    path
}

/// Brings the figure into view, and waits for the page in it.
fn appears(browser: &Browser, figure: &str) {
    let scroll = format!("document.querySelector('{figure}').scrollIntoView()");
    browser.script(&scroll);
    let here = format!("document.querySelector('{figure}.page-here')");
    browser.wait(&format!("{here} !== null"));
    assert!(is_visible(browser, &format!("{figure} iframe")));
}

pub(crate) fn chapter_5_comes_alive_in_plain_files() {
    let browser = Browser::start();
    let (root, built) = (whole_book(), TempDir::new().unwrap());
    build(root.path(), built.path());
    // The port of the chapter may be taken on this machine.
    let port = Port::new();
    let file = built.path().join("ch05-browser.html").canonicalize().unwrap();
    let page = fs::read_to_string(&file).unwrap();
    let here = "data-page=\"http://127.0.0.1:9005/";
    assert!(page.contains(here));
    let there = format!("data-page=\"{}", port.url());
    fs::write(&file, page.replace(here, &there)).unwrap();

    browser.open(&format!("file://{}", file.display()));
    let figure = "document.querySelector('figure.page')";
    browser.script(&format!("{figure}.scrollIntoView()"));
    for _ in 0..2 {
        browser.wait(&format!("{figure}.querySelector('iframe') !== null"));
        assert!(!is_visible(&browser, FRAME));
        assert!(is_visible(&browser, "figure.page > pre"));
        let mut server = Command::new(program(page::PROGRAM))
            .args(["server", "--quiet", "--addr", &port.address()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        appears(&browser, "figure.page");
        browser.enter_frame(FRAME);
        browser.wait("document.body.innerText.includes('This is event')");
        browser.leave_frames();
        server.kill().unwrap();
        server.wait().unwrap();
        browser.reload();
        browser.script(&format!("{figure}.scrollIntoView()"));
    }
    // Its stream was cut, which the browser says on the console.
    let complaints = browser.complaints();
    let others = complaints.iter().filter(|line| !line.contains("/events"));
    assert_eq!(others.count(), 0, "{complaints:?}");
}

pub(crate) fn the_book_finds_what_is_searched() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    browser.open(&format!("http://127.0.0.1:{}/", book.port));
    browser.press("/");
    browser.wait("document.activeElement.id === 'mdbook-searchbar'");
    browser.press("backpressure");
    let result = "#mdbook-searchresults a";
    browser.wait(&format!("document.querySelector('{result}') !== null"));
    browser.click(result);
    browser.wait("document.querySelector('main mark') !== null");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// What people type leads first to the page that has it.
pub(crate) fn what_people_type_leads_to_its_page() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let root = format!("http://127.0.0.1:{}/", book.port);
    for (word, pages) in [
        ("LLM", &["what.html", "ch03-models.html"][..]),
        ("OpenAI", &["what.html", "ch03-models.html"]),
        ("nginx", &["what.html", "in-between.html"]),
        ("buffering", &["what.html", "in-between.html"]),
        ("Cloudflare", &["what.html", "in-between.html"]),
        ("cookie", &["what.html", "ch05-limits.html"]),
        ("TLS", &["what.html", "ch03-connections.html", "event-client.html"]),
        (
            "timeout",
            &["what.html", "ch03-connections.html", "ch04-layers.html"],
        ),
        ("disconnect", &["what.html", "ch03-hyper.html"]),
        ("docker", &["what.html"]),
        ("deploy", &["what.html", "event-stream/reconnection.html"]),
        ("login", &["what.html", "ch05-limits.html"]),
    ] {
        browser.open(&root);
        browser.press("/");
        let is_ready = "document.activeElement.id === 'mdbook-searchbar'";
        browser.wait(is_ready);
        browser.press(word);
        let result = "document.querySelector('#mdbook-searchresults a')";
        browser.wait(&format!("{result} !== null"));
        let first = browser.script(&format!("new URL({result}.href).pathname"));
        let first = first.as_str().unwrap().trim_start_matches('/').to_owned();
        assert!(pages.contains(&&*first), "{word}: {first}");
    }
}

/// The copy button, captions, the link past the bar, names of neighbours.
pub(crate) fn a_page_can_be_copied_from_and_walked() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    let root = format!("http://127.0.0.1:{}/", book.port);
    browser.open(&format!("{root}ch01-sockets.html"));
    let copied = "[...document.querySelectorAll('code.language-console')] \
                  .map((code) => code.innerText)";
    let copied = browser.script(copied);
    let copied: Vec<_> = copied.as_array().unwrap().iter().collect();
    assert_eq!(copied[0], "cargo run -p ch01-sockets -- server\n");
    for text in copied {
        let text = text.as_str().unwrap();
        assert!(!text.contains("$ ") && !text.contains("HTTP/1.1"), "{text}");
    }
    browser.press(keys::TAB);
    let focused = "document.activeElement.textContent";
    assert_eq!(browser.script(focused), "Skip to the text");
    let names = "[...document.querySelectorAll('.around a')] \
                 .map((link) => link.textContent).join('|')";
    let expected = "What arrives: delivery|1.1. A client on a socket";
    assert_eq!(browser.script(names), expected);
    // Every caption's file is there.
    let files = "[...document.querySelectorAll('figcaption a[href]')] \
                 .map((link) => link.href)";
    let files = browser.script(files);
    let files = files.as_array().unwrap();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let file = file.as_str().unwrap();
        let path = file.strip_prefix(&*root).unwrap();
        assert_eq!(book.get(&format!("/{path}"), "").0, 200, "{path}");
    }
}

pub(crate) fn keys_reach_what_a_mouse_does() {
    let browser = Browser::start();
    let book = Book::of(whole_book(), &[]);
    browser.resize(1280, 900);
    browser.open(&format!("http://127.0.0.1:{}/book.html", book.port));
    let toggle = "#mdbook-sidebar-toggle";
    let is_open = format!("document.querySelector('{toggle}').ariaExpanded");
    assert_eq!(browser.script(&is_open), "true");
    for (key, expected) in [(keys::ENTER, "false"), (" ", "true")] {
        browser.keys(toggle, key);
        browser.wait(&format!("{is_open} === '{expected}'"));
    }
    // A box that scrolls can have the focus, and one that does not need not.
    browser.resize(360, 740);
    let same = "[...document.querySelectorAll('pre > code, .table-wrapper')] \
                .filter(box => box.checkVisibility()) \
                .every(box => (box.scrollWidth > box.clientWidth) \
                === box.hasAttribute('tabindex'))";
    browser.wait(same);
    browser.resize(1280, 900);
    browser.wait(same);
}
