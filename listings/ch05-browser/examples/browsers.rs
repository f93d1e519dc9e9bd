//! What a browser's `EventSource` does after each of some responses: the state
//! that a page sees, and the request that comes next, if one does.
//!
//! `cargo run -p ch05-browser --example browsers -- firefox-esr`, or
//! `chromium`.

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

type Fault = Box<dyn Error + Send + Sync>;

/// How long the next request is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
    Connection: close\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// What happens, and how the server answers the first request.
const CASES: [(&str, &str); 13] = [
    ("an event, and the end", "id: 1\ndata: x\n\n"),
    ("an ID without data, and the end", "id: 1\n\n"),
    ("retry: 0, an event, the end", "retry: 0\ndata: x\n\n"),
    ("retry: 100, an event, the end", "retry: 100\ndata: x\n\n"),
    ("an ID with NUL in it", "id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n"),
    ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("503", "HTTP/1.1 503 Service Unavailable\r\n\r\n"),
    ("charset=latin1", ""),
    ("301, then an event", "HTTP/1.1 301 M\r\nLocation: "),
    ("307, then an event", "HTTP/1.1 307 T\r\nLocation: "),
    ("an event, then no server any more", ""),
    ("the same, of another origin", ""),
    ("no such host", ""),
];

/// The cases whose servers are gone.
const GONE: usize = CASES.len() - 3;
const GONE_ELSEWHERE: usize = CASES.len() - 2;

/// What is seen of a case: the state at the page's first `error`, and how long
/// after that a request came, for what, and with which last event ID.
#[derive(Clone, Default)]
struct Seen {
    asked: usize,
    error: Option<(Instant, char)>,
    back: Option<(Duration, String)>,
}

type AllSeen = Arc<Mutex<Vec<Seen>>>;

fn main() -> Result<(), Fault> {
    let browser = env::args().nth(1).ok_or("usage: browsers BROWSER")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // A server with a page of its own, whose stream it answers once. Then it
    // is gone; the page tells the other server.
    let once = TcpListener::bind("127.0.0.1:0")?;
    let gone = once.local_addr()?.port();
    thread::spawn(move || {
        for answers in 0..2 {
            let (mut socket, _) = once.accept()?;
            head(&socket)?;
            if answers == 0 {
                write!(
                    socket,
                    "{HTML}<script>const source = new EventSource('/events');\n\
                     source.onerror = () => fetch(\n  \
                     `http://127.0.0.1:{port}/state/{GONE}/${{source.readyState}}`,\n  \
                     {{ mode: 'no-cors' }});\n</script>\n"
                )?;
            } else {
                write!(socket, "{OK}data: x\n\n")?;
            }
        }
        io::Result::Ok(())
    });
    let elsewhere = TcpListener::bind("127.0.0.1:0")?;
    let gone_elsewhere = elsewhere.local_addr()?.port();
    thread::spawn(move || {
        let (mut socket, _) = elsewhere.accept()?;
        drop(elsewhere);
        head(&socket)?;
        socket.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
              Access-Control-Allow-Origin: *\r\n\r\ndata: x\n\n",
        )
    });
    let all = AllSeen::new(Mutex::new(vec![Seen::default(); CASES.len()]));
    let served = Arc::clone(&all);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let served = Arc::clone(&served);
            thread::spawn(move || {
                answer(&socket?, [gone, gone_elsewhere], &served)
            });
        }
        io::Result::Ok(())
    });
    let folder = TempDir::new()?;
    let _browser = Browser::start(
        &browser,
        &folder,
        &format!("http://127.0.0.1:{port}/"),
    )?;
    let begin = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(100));
        let all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |seen: &Seen| {
            seen.error.is_some_and(|(at, _)| {
                seen.back.is_some() || at.elapsed() > PATIENCE
            })
        };
        if all.iter().all(is_over) {
            break;
        }
        if begin.elapsed() > 4 * PATIENCE {
            return Err(format!("{browser} has not tried all of it").into());
        }
    }
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let version = Command::new(&browser).arg("--version").output()?;
    println!("{}", String::from_utf8_lossy(&version.stdout).trim());
    for ((what, _), seen) in CASES.iter().zip(all.iter()) {
        let state = match seen.error {
            Some((_, '0')) => "connecting",
            Some((_, '2')) => "closed",
            _ => "?",
        };
        let back = seen.back.as_ref().map(|(after, what)| {
            format!("  {:.1} s  {what}", after.as_secs_f32())
        });
        println!("{what:35}{state:12}{}", back.unwrap_or_default());
    }
    Ok(())
}

/// The request's line, and its last event ID.
fn head(socket: &TcpStream) -> io::Result<(String, String)> {
    let mut lines = BufReader::new(socket).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let mut last_event_id = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        if name.eq_ignore_ascii_case("last-event-id") {
            value.clone_into(&mut last_event_id);
        }
    }
    Ok((line, last_event_id))
}

fn answer(
    mut socket: &TcpStream,
    [gone, gone_elsewhere]: [u16; 2],
    all: &AllSeen,
) -> io::Result<()> {
    let (line, last_event_id) = head(socket)?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    let case = |text: &str| {
        text.parse().ok().filter(|case: &usize| *case < CASES.len())
    };
    match parts[..] {
        ["", ""] => write!(
            socket,
            "{HTML}<iframe src='http://127.0.0.1:{gone}/'></iframe><script>\n\
             for (let i = 0; i < {}; i++) {{\n  if (i == {GONE}) continue;\n  \
             const source = new EventSource(i < {GONE} ? `/case/${{i}}`\n    \
             : i == {GONE_ELSEWHERE} ? 'http://127.0.0.1:{gone_elsewhere}/'\n    \
             : 'http://no-such-host.invalid/');\n  let first = true;\n  \
             source.onerror = () => {{\n    if (first || i == {GONE_ELSEWHERE})\n      \
             fetch(`/state/${{i}}/${{source.readyState}}`);\n    \
             first = false;\n  }};\n}}\n</script>\n",
            CASES.len(),
        ),
        ["", "state", i, state] => {
            if let (Some(i), Some(state)) = (case(i), state.chars().next()) {
                let mut all =
                    all.lock().unwrap_or_else(PoisonError::into_inner);
                // What it becomes of that server shows at a later error.
                let now = Instant::now();
                let (_, last) = all[i].error.get_or_insert((now, state));
                if i == GONE || i == GONE_ELSEWHERE {
                    *last = state;
                }
            }
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        }
        ["", "case", i, ..] if let Some(i) = case(i) => {
            let is_target = parts.len() > 3;
            let asked = {
                let mut all =
                    all.lock().unwrap_or_else(PoisonError::into_inner);
                all[i].asked += 1;
                let asked = all[i].asked;
                // A redirect asks twice.
                if asked > 1 + usize::from(CASES[i].1.ends_with(": ")) {
                    let after = all[i].error.map(|(at, _)| at.elapsed());
                    let after = after.unwrap_or_default();
                    let what =
                        match (&*last_event_id, CASES[i].1.ends_with(": ")) {
                            ("", false) => "no last event ID".to_owned(),
                            (id, false) => format!("Last-Event-ID: {id}"),
                            (_, true) if is_target => "to the new URL".into(),
                            (_, true) => "to the old URL".into(),
                        };
                    all[i].back.get_or_insert((after, what));
                    socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
                    return Ok(());
                }
                asked
            };
            let response = CASES[i].1;
            match response {
                "" => write!(
                    socket,
                    "HTTP/1.1 200 OK\r\n\
                     Content-Type: text/event-stream;charset=latin1\r\n\r\n\
                     data: x\n\n"
                ),
                _ if response.ends_with(": ") && asked == 1 => write!(
                    socket,
                    "{response}/case/{i}/new\r\nContent-Length: 0\r\n\
                     Connection: close\r\n\r\n"
                ),
                _ if response.ends_with(": ") => {
                    write!(socket, "{OK}data: x\n\n")
                }
                _ if response.starts_with("HTTP/") => {
                    socket.write_all(response.as_bytes())
                }
                _ => write!(socket, "{OK}{response}"),
            }
        }
        _ => socket.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
              Connection: close\r\n\r\n",
        ),
    }
}

struct Browser(Child);

impl Browser {
    fn start(browser: &str, folder: &TempDir, url: &str) -> io::Result<Self> {
        let profile = folder.path().display();
        let mut command = Command::new(browser);
        if browser.contains("firefox") {
            command.args(["--headless", "--no-remote", "--profile"]);
            command.arg(folder.path());
        } else {
            command.args(["--headless=new", "--no-sandbox", "--disable-gpu"]);
            command.arg(format!("--user-data-dir={profile}"));
        }
        command.arg(url).stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _: io::Result<()> = self.0.kill();
        let _: io::Result<_> = self.0.wait();
    }
}
