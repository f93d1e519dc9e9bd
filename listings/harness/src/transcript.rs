//! Holds what the book shows of a program's output true: the committed file
//! is compared with what the program prints today.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use contract::http::Url;
use contract::{Process, Program};

/// Set to 1, this variable makes [`check`] write what came instead of
/// comparing. Where `CI` is set, that is an error.
pub const UPDATE: &str = "UPDATE_TRANSCRIPTS";

/// Makes output the same wherever and whenever it was printed: the port in
/// `127.0.0.1:PORT` becomes `stable`, other ports of that address (those of
/// clients) 50000, 50001, … in the order they come, and an HTTP date one day
/// in 2026.
#[must_use]
pub fn normalize(output: &str, port: u16, stable: u16) -> String {
    const HOST: &str = "127.0.0.1:";
    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    let mut text = String::new();
    let mut clients = Vec::new();
    let mut rest = output;
    while let Some(at) = rest.find(HOST) {
        let (before, after) = rest.split_at(at + HOST.len());
        text.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = after.split_at(digits);
        rest = after;
        match digits.parse::<u16>() {
            // "Any free port", not one that differs from run to run.
            Ok(0) => text.push('0'),
            // A `String` takes whatever is written to it.
            Ok(found) if found == port || found == stable => {
                let _ = write!(text, "{stable}");
            }
            Ok(found) => {
                let known = clients.iter().position(|port| *port == found);
                let index = known.unwrap_or_else(|| {
                    clients.push(found);
                    clients.len() - 1
                });
                let _ = write!(text, "{}", 50_000 + index);
            }
            Err(_) => text.push_str(digits),
        }
    }
    text.push_str(rest);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut line = line.trim_end().to_owned();
        // An IMF-fixdate (RFC 9110 §5.6.7) is as long as any other.
        if let Some(end) = line.find(" GMT").map(|at| at + 4)
            && let Some(start) = end.checked_sub(DATE.len())
            && line.is_char_boundary(start)
            && line[start..].get(3..5) == Some(", ")
        {
            line.replace_range(start..end, DATE);
        }
        lines.push(line);
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

// ANCHOR: run
/// Runs a chapter's server on a free port and its client against it, until
/// the client leaves and the server has noticed. Returns what each printed,
/// [`normalize`]d to the port `stable`.
///
/// They are run as `PROGRAM server --addr 127.0.0.1:0 …` and
/// `PROGRAM client URL …`, with more arguments for each.
///
/// # Errors
/// If one of them cannot be started, or does not do that within 20 seconds.
pub fn run(
    program: &Program,
    server: &[&str],
    client: &[&str],
    stable: u16,
) -> io::Result<(String, String)> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let late = |what: &str, process: &Process| {
        let errors = process.errors();
        io::Error::other(format!("{what} within 20 s; stderr: {errors}"))
    };
    let args = [&["--addr", "127.0.0.1:0"], server].concat();
    let server = program.clone().arg("server").spawn(&args)?;
    let mut told_by_server = Vec::new();
    let url = server.wait_for(deadline, |line| {
        told_by_server.push(line.to_owned());
        let (_, url) = line.split_once("running at ")?;
        url.parse::<Url>().ok()
    });
    let url = url.ok_or_else(|| late("the server told no URL", &server))?;
    let text = url.to_string();
    let args = [&[&*text], client].concat();
    let mut client = program.clone().arg("client").spawn(&args)?;
    let mut told_by_client = Vec::new();
    while let Some(line) = client.line(deadline) {
        told_by_client.push(line);
    }
    if client.exit(deadline)?.is_none() {
        return Err(late("the client did not leave", &client));
    }
    let noticed = server.wait_for(deadline, |line| {
        told_by_server.push(line.to_owned());
        line.contains("disconnected").then_some(())
    });
    noticed.ok_or_else(|| late("the server noticed no end", &server))?;
    let stable =
        |lines: Vec<String>| normalize(&lines.join("\n"), url.port(), stable);
    Ok((stable(told_by_server), stable(told_by_client)))
}
// ANCHOR_END: run

/// Compares the committed transcript at `path` with `$ command`, a line
/// break, and `output` (which was [`normalize`]d).
///
/// # Errors
/// If they differ, with both from the first line that does; if the file
/// cannot be read or written; or if it is to be rewritten in CI.
pub fn check(path: &Path, command: &str, output: &str) -> io::Result<()> {
    hold(path, &format!("$ {command}\n{}\n", output.trim_end()))
}

/// Compares the committed file at `path` with `actual`, what the code says
/// today.
///
/// # Errors
/// As [`check`].
pub fn hold(path: &Path, actual: &str) -> io::Result<()> {
    let wanted = env::var_os(UPDATE).is_some_and(|value| value == "1");
    hold_or_update(path, actual, wanted, env::var_os("CI").is_some())
}

fn hold_or_update(
    path: &Path,
    actual: &str,
    update: bool,
    ci: bool,
) -> io::Result<()> {
    let shown = path.display();
    if update {
        if ci {
            return Err(io::Error::other(format!(
                "{UPDATE} is set, and so is CI: a transcript is rewritten \
                 by people, who look at it"
            )));
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        return fs::write(path, actual);
    }
    let committed = match fs::read_to_string(path) {
        // A checkout on Windows may have CRLF.
        Ok(committed) => committed.replace("\r\n", "\n"),
        Err(error) => {
            return Err(io::Error::new(
                error.kind(),
                format!("{shown}: {error}; {UPDATE}=1 writes it"),
            ));
        }
    };
    if committed == actual {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{shown} is not what the program prints; if it should be, \
         {UPDATE}=1 rewrites it\n{}",
        difference(&committed, actual)
    )))
}

/// Both texts from a line before the first difference to the end of it.
fn difference(committed: &str, actual: &str) -> String {
    let old: Vec<&str> = committed.lines().collect();
    let new: Vec<&str> = actual.lines().collect();
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let behind = old[same..]
        .iter()
        .rev()
        .zip(new[same..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut text = format!("line {}:\n", same + 1);
    let marked = [
        (" ", &old[same.saturating_sub(1)..same]),
        ("-", &old[same..old.len() - behind]),
        ("+", &new[same..new.len() - behind]),
    ];
    for (mark, lines) in marked {
        for line in lines {
            // A `String` takes whatever is written to it.
            let _ = writeln!(text, "{mark} {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_and_dates_become_stable() {
        let printed = "at http://127.0.0.1:40123/events\n\
            from 127.0.0.1:51111, then 127.0.0.1:52222 and 127.0.0.1:51111  \n\
            Date: Sun, 22 Nov 2026 10:57:46 GMT\r\nnot a date GMT\n";
        assert_eq!(
            normalize(printed, 40123, 9001),
            "at http://127.0.0.1:9001/events\n\
             from 127.0.0.1:50000, then 127.0.0.1:50001 and 127.0.0.1:50000\n\
             Date: Thu, 01 Jan 2026 00:00:00 GMT\nnot a date GMT\n"
        );
    }

    #[test]
    fn a_difference_is_shown_and_rewritten_only_by_people() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/a.txt");
        let hold =
            |output, update, ci| hold_or_update(&path, output, update, ci);
        let missing = hold("one\n", false, false).unwrap_err().to_string();
        assert!(missing.contains("UPDATE_TRANSCRIPTS=1"), "{missing}");
        assert!(hold("one\n", true, true).is_err());
        assert!(!path.exists());
        hold("one\ntwo\nthree\n", true, false).unwrap();
        hold("one\ntwo\nthree\n", false, true).unwrap();
        let differs = hold("one\n2\nthree\n", false, false).unwrap_err();
        let differs = differs.to_string();
        assert!(differs.ends_with("line 2:\n  one\n- two\n+ 2\n"), "{differs}");
    }
}
