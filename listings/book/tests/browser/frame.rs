//! A page in a frame of the book: it is there when its server is, and only
//! then.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use book::render;
use harness::browser::{Browser, PATIENCE, keys, until};
use mdbook_driver::MDBook;
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_http::services::ServeDir;

use crate::support::small_book;
#[cfg(unix)]
use crate::support::{Book, Gate, command, kill};

pub(crate) const FRAME: &str = "figure.page iframe";

/// A port of this machine that refuses connections until something serves.
pub(crate) struct Port {
    socket: Option<Socket>,
    number: u16,
    runtime: Runtime,
}

impl Port {
    pub(crate) fn new() -> Self {
        Self::number(0)
    }

    fn number(number: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(cfg!(unix)).unwrap();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], number));
        socket.bind(&SockAddr::from(address)).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let runtime = Runtime::new().unwrap();
        Self { socket: Some(socket), number: address.port(), runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// Where a program can listen that is told to. This only keeps others
    /// away: as long as it does not listen itself, both can have the port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    fn serve(&mut self, site: Router) {
        let socket = self.socket.take().unwrap();
        socket.listen(64).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _inside = self.runtime.enter();
        let listener = TcpListener::from_std(socket.into()).unwrap();
        let server = axum::serve(listener, site).into_future();
        self.runtime.spawn(async { server.await.unwrap() });
    }

    /// Ends every connection. The port refuses again, and can serve again.
    fn stop(self) -> Self {
        self.runtime.shutdown_timeout(PATIENCE);
        Self::number(self.number)
    }
}

/// What stands in for chapter 5's page: it tells a height, has a link, and
/// says what its address ends in.
fn page(heights: &str) -> Router {
    let page = format!(
        "<!doctype html><title>Page</title>\
         <a href='/?again'>again</a> <output></output>\
         <script>
             const show = () => document.querySelector('output')
                 .textContent = location.search + location.hash;
             onhashchange = show;
             show();
             onload = () => setTimeout(() => {{
                 for (const height of [{heights}]) {{
                     parent.postMessage({{ ch05: {{ height }} }}, '*');
                 }}
             }});
         </script>"
    );
    Router::new().route("/", get(async || Html(page)))
}

fn figure(url: &str) -> String {
    format!(
        "# One\n\n<figure class=\"page\" data-page=\"{url}\" id=\"page-x\">\n\n\
         Not running here.\n\n```console\n$ run it\n```\n\n\
         <figcaption>The page</figcaption>\n</figure>\n"
    )
}

/// A small book with a figure for the page at that address, rendered as stock
/// mdBook does.
fn stock(url: &str) -> (TempDir, TempDir) {
    let (folder, built) = (small_book(), TempDir::new().unwrap());
    fs::write(folder.path().join("src/one.md"), figure(url)).unwrap();
    build(folder.path(), built.path());
    (folder, built)
}

/// Renders a book as stock mdBook does.
pub(crate) fn build(root: &Path, out: &Path) {
    let mut config = render::config(root).unwrap();
    config.build.build_dir = out.into();
    let book = MDBook::load_with_config(root, config).unwrap();
    book.build().unwrap();
}

fn file(built: &TempDir) -> String {
    let path = built.path().join("one.html").canonicalize().unwrap();
    format!("file://{}", path.display())
}

pub(crate) fn is_visible(browser: &Browser, selector: &str) -> bool {
    let script = "const found = document.querySelector(arguments[0]);
        return found?.checkVisibility({ visibilityProperty: true }) ?? false";
    browser.script_with(script, &[selector.into()]) == true
}

/// Waits for so many more probes than there were: each is a frame of its own.
fn count_probes(browser: &Browser) {
    browser.script(
        "void (window.probes = 0, new MutationObserver(records => \
         probes += records.filter(record => \
         record.addedNodes[0]?.tagName === 'IFRAME').length) \
         .observe(document.querySelector('figure.page'), \
         { childList: true }))",
    );
}

fn stands_alone(browser: &Browser) {
    assert!(is_visible(browser, "figure.page > pre"));
    assert!(is_visible(browser, "figure.page > p"));
    assert!(!is_visible(browser, FRAME));
}

pub(crate) fn a_page_appears_when_its_server_does() {
    let browser = Browser::start();
    let mut port = Port::new();
    let (_source, built) = stock(&port.url());
    browser.open(&file(&built));
    // What it does not do: this is heard on the console.
    browser.script(&format!("void fetch('{}').catch(() => {{}})", port.url()));
    until("error of fetch", || {
        let complaints = browser.complaints();
        complaints.iter().any(|line| line.contains("ERR_CONNECTION_REFUSED"))
    });
    count_probes(&browser);
    stands_alone(&browser);
    browser.wait("probes > 1");
    stands_alone(&browser);
    assert!(browser.text("[role=status]").starts_with("Looking for it."));

    port.serve(page("321"));
    browser.wait("document.querySelector('.page-here iframe') !== null");
    assert!(is_visible(&browser, FRAME));
    assert!(!is_visible(&browser, "figure.page > pre"));
    assert!(is_visible(&browser, "figure.page > figcaption"));
    let status = format!("It runs, at {}", port.url());
    assert_eq!(browser.text("[role=status]"), status);
    let frame = "document.querySelector('figure.page iframe')";
    assert_eq!(browser.script(&format!("{frame}.title")), "The page");
    assert_eq!(browser.script(&format!("{frame}.offsetHeight")), 321);
    // It takes part in the order of the keyboard.
    browser.script("document.querySelector('main a').focus()");
    browser.press(keys::TAB);
    browser.wait("document.activeElement.tagName === 'IFRAME'");

    // Paper gets what is written in the figure.
    browser.media("print", &[]);
    assert!(is_visible(&browser, "figure.page > pre"));
    assert!(!is_visible(&browser, FRAME));
    browser.media("", &[]);

    // The theme follows the book's, in the same document.
    browser.enter_frame(FRAME);
    assert_eq!(browser.text("output"), "#theme=light");
    browser.script("window.same = true");
    browser.leave_frames();
    let steps = browser.script("history.length");
    browser.click("#mdbook-theme-toggle");
    browser.click("#mdbook-theme-navy");
    browser.enter_frame(FRAME);
    browser
        .wait("document.querySelector('output').textContent === '#theme=dark'");
    assert_eq!(browser.script("window.same"), true);
    browser.leave_frames();
    assert_eq!(browser.script("history.length"), steps);
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn a_page_that_is_gone_gives_way() {
    let browser = Browser::start();
    let mut port = Port::new();
    let (_source, built) = stock(&port.url());
    port.serve(page("300"));
    browser.open(&file(&built));
    browser.wait("document.querySelector('.page-here') !== null");
    // A link inside leads to another page that speaks,
    browser.enter_frame(FRAME);
    browser.click("a");
    browser.wait("document.querySelector('output').textContent === '?again'");
    browser.leave_frames();
    // and then to none.
    let mut port = port.stop();
    browser.enter_frame(FRAME);
    browser.script("void document.querySelector('a').click()");
    browser.leave_frames();
    browser.wait("document.querySelector('.page-here') === null");
    stands_alone(&browser);
    port.serve(page("300"));
    browser.wait("document.querySelector('.page-here') !== null");
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn nobody_looks_for_a_page_that_cannot_be_seen() {
    let browser = Browser::start();
    let port = Port::new();
    let (_source, built) = stock(&port.url());
    let far = built.path().join("one.html");
    let text = fs::read_to_string(&far).unwrap();
    let text =
        text.replace("<figure", "<div style=\"height: 900vh\"></div><figure");
    fs::write(&far, text).unwrap();
    browser.open(&file(&built));
    count_probes(&browser);
    browser.script(
        "void new IntersectionObserver(() => window.seen = true) \
                    .observe(document.querySelector('figure.page'))",
    );
    // The observer of the page was asked before.
    browser.wait("window.seen === true");
    assert_eq!(browser.script("probes"), 0);
    assert_eq!(browser.text("[role=status]"), "");

    browser.script("document.querySelector('figure.page').scrollIntoView()");
    browser.wait("probes > 0");
    // Headless, every tab is in front; so the page is told that it is not.
    browser.script(
        "(Object.defineProperty(document, 'hidden', \
         { get: () => window.away, configurable: true }), window.away = true, \
         document.dispatchEvent(new Event('visibilitychange')))",
    );
    assert_eq!(browser.script("document.querySelector('iframe')"), Value::Null);
    browser.script(
        "(window.away = false, \
         document.dispatchEvent(new Event('visibilitychange')))",
    );
    browser.wait("document.querySelector('iframe') !== null");
}

pub(crate) fn a_stranger_is_not_shown() {
    let browser = Browser::start();
    let mut port = Port::new();
    let (_source, built) = stock(&port.url());
    // Another program has the port, or the page tells nonsense.
    port.serve(page("'300', 300n, NaN, Infinity, -Infinity, {}, null"));
    browser.open(&file(&built));
    count_probes(&browser);
    // Nor does anybody speak for it.
    browser.script("postMessage({ ch05: { height: 300 } }, '*')");
    browser.wait("probes > 1");
    stands_alone(&browser);
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn a_height_has_bounds() {
    let browser = Browser::start();
    let mut port = Port::new();
    let (_source, built) = stock(&port.url());
    for (told, height) in [("-1", 200), ("1e9", 4_000), ("333.3", 334)] {
        port.serve(page(told));
        browser.open(&file(&built));
        browser.wait("document.querySelector('.page-here') !== null");
        let script = "document.querySelector('iframe').offsetHeight";
        assert_eq!(browser.script(script), height);
        port = port.stop();
    }
}

pub(crate) fn a_book_elsewhere_says_how_to_open_the_page() {
    let browser = Browser::start();
    let (mut port, mut site) = (Port::new(), Port::new());
    let (_source, built) = stock(&port.url());
    port.serve(page("300"));
    site.serve(folder(built.path()));
    browser.open(&format!("{}one.html", site.url()));
    browser.wait("document.querySelector('[role=status]') !== null");
    let status = browser.text("[role=status]");
    assert!(status.contains("http://127.0.0.1:3000"), "{status}");
    assert!(status.ends_with(&port.url()), "{status}");
    stands_alone(&browser);
    assert_eq!(browser.script("document.querySelector('iframe')"), Value::Null);

    // The pages in one, for a printer.
    browser.script("window.print = () => {}");
    browser.open(&file(&built).replace("one.html", "print.html"));
    stands_alone(&browser);
    assert_eq!(browser.text("[role=status]"), "");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// With the book's own program: its server is built, is there, and ends.
#[cfg(unix)]
pub(crate) fn a_page_is_built_appears_and_comes_back() {
    let browser = Browser::start();
    let (folder, gate) = (small_book(), Gate::new());
    fs::write(folder.path().join("src/one.md"), figure("http://127.0.0.1:1/"))
        .unwrap();
    let mut command = command();
    command.env("CARGO", gate.cargo());
    let book = Book::by(command, folder);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    let says = |part: &str| {
        let state = "document.querySelector('[role=status]').textContent";
        browser.wait(&format!("{state}.includes('{part}')"));
    };
    says("is being built");
    stands_alone(&browser);
    assert_eq!(browser.script("document.querySelector('iframe')"), Value::Null);
    gate.open();
    says("It runs, at ");
    assert!(is_visible(&browser, FRAME));
    assert!(browser.text("[role=status]").ends_with(&book.page()));
    browser.enter_frame(FRAME);
    browser.wait("document.body.innerText.includes('This is event')");
    browser.leave_frames();

    browser.script(
        "void (window.said = [], new MutationObserver(() => said.push( \
         document.querySelector('[role=status]').textContent)).observe( \
         document.querySelector('[role=status]'), { childList: true }))",
    );
    let before = book.page();
    kill("KILL", book.started(|command| command.contains(" --quiet"))[0]);
    browser.wait(
        "said.some(text => text.startsWith('Its server ended (signal: 9'))",
    );
    says("It runs, at ");
    assert_ne!(book.page(), before);
    assert!(browser.text("[role=status]").ends_with(&book.page()));
    assert!(is_visible(&browser, FRAME));
    // The stream in the page was cut, which the browser says on the console.
    let complaints = browser.complaints();
    let others = complaints.iter().filter(|line| !line.contains("/events"));
    assert_eq!(others.count(), 0, "{complaints:?}");
}

fn folder(path: &Path) -> Router {
    Router::new().fallback_service(ServeDir::new(path))
}
