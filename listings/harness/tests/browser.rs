//! The browser that other tests drive: what they rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::ExitCode;

use harness::browser::{Browser, keys, until};
use harness::needs::{self, Need};
use serde_json::json;

const PAGE: &str = "data:text/html,<title>Page</title>
    <button onclick=\"this.textContent = 'pressed'\">press</button>
    <input><iframe srcdoc='<p>inside'></iframe>";

fn a_test_sees_and_does_what_a_reader_does() {
    let browser = Browser::start();
    browser.open(PAGE);
    assert_eq!(browser.script("document.title"), "Page");
    assert_eq!(browser.script_with("return arguments[0] + 1", &[1.into()]), 2);
    let sum = "return arguments[0] + await Promise.resolve(2)";
    assert_eq!(browser.async_script(sum, &[1.into()]), 3);

    browser.click("button");
    assert_eq!(browser.text("button"), "pressed");
    assert_eq!(browser.text("b"), "");
    browser.press(keys::TAB);
    browser.keys("input", "typed");
    browser.wait("document.querySelector('input').value === 'typed'");
    assert_eq!(browser.script("document.activeElement.tagName"), "INPUT");

    browser.enter_frame("iframe");
    assert_eq!(browser.text("p"), "inside");
    browser.leave_frames();
    assert_eq!(browser.text("p"), "");

    let first = browser.tab();
    let second = browser.new_tab();
    assert_eq!(browser.tab(), second);
    browser.close_tab();
    browser.switch_to(&first);
    assert_eq!(browser.script("document.title"), "Page");
}

fn a_test_chooses_the_screen_and_the_network() {
    let browser = Browser::start();
    browser.open(PAGE);
    browser.resize(320, 500);
    assert_eq!(browser.script("[innerWidth, innerHeight]"), json!([320, 500]));
    let is =
        |query: &str| browser.script(&format!("matchMedia('{query}').matches"));
    for scheme in ["dark", "light"] {
        browser.media("", &[("prefers-color-scheme", scheme)]);
        assert_eq!(is(&format!("(prefers-color-scheme: {scheme})")), true);
    }
    browser.media("print", &[]);
    assert_eq!(is("print"), true);
    browser.offline(true);
    assert_eq!(browser.script("navigator.onLine"), false);
    browser.offline(false);
    assert_eq!(browser.script("navigator.onLine"), true);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("screen.png");
    browser.screenshot(&file);
    let picture = std::fs::read(&file).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    // The last chunk of every PNG, with its check sum.
    assert!(picture.ends_with(b"IEND\xae\x42\x60\x82"));
}

fn a_test_reads_the_console_once() {
    let browser = Browser::start();
    browser.open(PAGE);
    assert_eq!(browser.complaints(), [""; 0]);
    browser.script("console.log('a word'), console.error('a fault')");
    let console = browser.console();
    assert!(console.iter().any(|line| line.ends_with("\"a word\"")));
    assert_eq!(browser.console(), [""; 0]);
    browser.enter_frame("iframe");
    browser.script("console.log('a word'), console.error('a fault')");
    browser.new_tab();
    browser.script("console.warn('a warning')");
    until("complaints of the frame and of the tab", || {
        let complaints = browser.complaints();
        complaints.len() == 2
            && complaints[0].ends_with("\"a fault\"")
            && complaints[1].ends_with("\"a warning\"")
    });
}

fn main() -> ExitCode {
    needs::run(
        &[Need::Chromium],
        &harness::named![
            a_test_sees_and_does_what_a_reader_does,
            a_test_chooses_the_screen_and_the_network,
            a_test_reads_the_console_once,
        ],
    )
}
