//! The panels and the pages of a small book: a run starts and stops, search
//! finds, and a page that changes is loaded again.

use harness::browser::{Browser, keys, until};
use serde_json::json;

#[cfg(unix)]
use crate::support::Gate;
use crate::support::{Book, PAGE, Workspace, small_book};

const BUTTON: &str = ".live-bar button";

pub(crate) fn a_reader_runs_a_chapter_searches_and_sees_a_change() {
    let browser = Browser::start();
    let book = Book::start(&[]);
    let page = format!("http://127.0.0.1:{}/one.html", book.port);
    browser.open(&page);
    assert_eq!(browser.text(BUTTON), "Run");
    assert_eq!(
        browser.script(
            "document.querySelector('figure pre code').checkVisibility()"
        ),
        true
    );

    // By keyboard, as anybody may.
    browser.keys(BUTTON, keys::ENTER);
    browser.wait("document.querySelectorAll('.live-log span').length > 6");
    for pane in 2..=3 {
        let log = format!(".live-pane:nth-child({pane}) [role=log]");
        assert!(!browser.text(&log).is_empty(), "{log}");
    }
    assert_eq!(browser.text(".live-state"), "Running.");
    assert_eq!(browser.script("document.activeElement.textContent"), "Stop");
    assert_eq!(
        browser
            .script("document.querySelector('figure > pre').checkVisibility()"),
        false
    );
    book.wait_for_children(2);

    browser.keys(BUTTON, " ");
    book.wait_for_children(0);
    assert_eq!(browser.text(".live-state"), "Stopped.");
    assert_eq!(browser.script("document.activeElement.textContent"), "Run");
    // What was printed stays, until the reader wants the transcript back.
    let server = ".live-pane:nth-child(2) [role=log]";
    assert!(!browser.text(server).is_empty());
    browser.click(".live-bar button + button");
    assert_eq!(
        browser
            .script("document.querySelector('figure > pre').checkVisibility()"),
        true
    );

    // Leaving the page ends a run as well.
    browser.click(BUTTON);
    book.wait_for_children(2);
    browser.open("about:blank");
    book.wait_for_children(0);
    browser.open(&page);

    browser.click("#mdbook-search-toggle");
    browser.keys("#mdbook-searchbar", "xylophone");
    browser.wait("document.querySelector('#mdbook-searchresults li') !== null");

    browser.script("window.old = 1");
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait("window.old === undefined");
    browser.wait("document.body?.textContent.includes('marimba') ?? false");

    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn an_ended_run_does_not_start_another() {
    let browser = Browser::start();
    let book = Book::start(&["--run-seconds", "1"]);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.click(BUTTON);
    browser.wait("/seconds of a run/.test(document.querySelector('.live-state').textContent)");
    book.wait_for_children(0);
    let count = browser.script(
        "performance.getEntriesByType('resource').filter(entry => \
         entry.name.includes('/live/run/')).length",
    );
    assert_eq!(count, 1);
    assert_eq!(browser.text(BUTTON), "Run");
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn a_page_that_was_hidden_from_the_start_shows_the_change() {
    let browser = Browser::start();
    let book = Book::start(&[]);
    let source = "sessionStorage.loads = 1 + Number(sessionStorage.loads ?? 0);
        Object.defineProperty(Document.prototype, 'hidden', {
            get: () => sessionStorage.inFront === undefined,
        });";
    let command = "Page.addScriptToEvaluateOnNewDocument";
    browser.devtools(command, &json!({ "source": source }));
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    assert_eq!(browser.text(BUTTON), "Run");
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    book.line("Rendered again.");
    assert!(browser.text("main").contains("xylophone"));

    let look = "(sessionStorage.inFront = 'yes', \
                 document.dispatchEvent(new Event('visibilitychange')))";
    browser.script(look);
    browser.wait("document.body?.textContent.includes('marimba') ?? false");
    // Once for each edition: a page that took its own for another would
    // load without end.
    book.write("src/one.md", &PAGE.replace("xylophone", "celesta"));
    browser.wait("document.body?.textContent.includes('celesta') ?? false");
    assert_eq!(browser.script("sessionStorage.loads"), "3");
}

pub(crate) fn a_page_too_many_tries_again_at_the_next_look() {
    let browser = Browser::start();
    let book = Book::start(&[]);
    let others: Vec<_> =
        (0..64).map(|_| book.events("/live/edition")).collect();
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.wait(
        "performance.getEntriesByName(location.origin + '/live/edition') \
         .length > 0",
    );
    drop(others);
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait(
        "(document.dispatchEvent(new Event('visibilitychange')), \
          document.body?.textContent.includes('marimba') ?? false)",
    );
}

pub(crate) fn a_page_that_does_not_close_its_run_gets_no_second_one() {
    let browser = Browser::start();
    let book = Book::start(&["--run-seconds", "1"]);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    // The browser alone, without the panel: it comes back, and is told off.
    browser.script(
        "void (window.runs = 0, \
         window.run = new EventSource('/live/run/ch01-sockets'), \
         run.onopen = () => runs++)",
    );
    browser.wait("run.readyState === EventSource.CLOSED");
    assert_eq!(browser.script("runs"), 1);
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn another_site_cannot_frame_the_book() {
    let browser = Browser::start();
    let book = Book::start(&[]);
    let port = book.port;
    browser.open(&format!("http://localhost:{port}/one.html"));
    browser.script(&format!(
        "void document.body.append(Object.assign( \
         document.createElement('iframe'), \
         {{ src: 'http://127.0.0.1:{port}/one.html' }}))"
    ));
    until("refusal", || {
        let complaints = browser.complaints();
        complaints.iter().any(|text| text.contains("frame-ancestors"))
    });
}

pub(crate) fn hidden_tabs_leave_connections_for_the_seventh() {
    let browser = Browser::start();
    let book = Book::start(&[]);
    let page = format!("http://127.0.0.1:{}/one.html", book.port);
    // A browser holds six connections to one server. If each tab kept its
    // stream, the seventh would wait for its page until the driver gave up.
    for _ in 0..8 {
        browser.new_tab();
        browser.open(&page);
        assert_eq!(browser.text(BUTTON), "Run");
    }
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait("document.body?.textContent.includes('marimba') ?? false");
}

#[cfg(unix)]
pub(crate) fn a_panel_waits_for_its_program_and_then_runs() {
    let browser = Browser::start();
    let (workspace, gate) = (Workspace::new(&["ch01-sockets"]), Gate::new());
    let mut command = workspace.command();
    command.env("CARGO", gate.cargo());
    let book = Book::by(command, small_book());
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.click(BUTTON);
    let state = "document.querySelector('.live-state').textContent";
    browser.wait(&format!("{state}.startsWith('Being built.')"));
    let cargo = ".live-pane:nth-child(1) [role=log]";
    assert_eq!(browser.text(cargo).trim(), Gate::LINE);
    let panes = "[...document.querySelectorAll('.live-pane')] \
                 .map(pane => pane.checkVisibility()).join()";
    assert_eq!(browser.script(panes), "true,false,false");
    assert!(book.children().is_empty());

    gate.open();
    browser.wait(&format!("{state} === 'Running.'"));
    assert_eq!(browser.script(panes), "false,true,true");
    browser.wait(
        "document.querySelector('.live-pane:nth-child(3) [role=log]') \
         .textContent.includes('client: as it was')",
    );
    book.wait_for_children(2);
    browser.click(BUTTON);
    book.wait_for_children(0);
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn a_panel_shows_why_a_program_cannot_be_built() {
    let browser = Browser::start();
    let workspace = Workspace::new(&["ch01-sockets"]);
    let main = "listings/ch01-sockets/src/main.rs";
    workspace.write(main, "fn main() { let bad: u8 = \"marimba\"; }\n");
    let book = Book::by(workspace.command(), small_book());
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.click(BUTTON);
    let state = "document.querySelector('.live-state').textContent";
    browser.wait(&format!("{state}.startsWith('Ended.')"));
    assert_eq!(browser.text(BUTTON), "Run");
    let log = browser.text(".live-pane:nth-child(1) [role=log]");
    assert!(log.contains("mismatched types"), "{log}");
    assert!(log.contains(main), "{log}");

    workspace.say("ch01-sockets", "as it should be");
    browser.click(BUTTON);
    browser.wait(&format!("{state} === 'Running.'"));
    browser.click(BUTTON);
    assert_eq!(browser.complaints(), [""; 0]);
}
