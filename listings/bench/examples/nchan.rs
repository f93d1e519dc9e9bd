//! nginx with the module nchan, as one worker: it writes the configuration,
//! becomes nginx, and leaves behind a small process that publishes the events
//! of a timetable by HTTP. What others post to `/messages` is published, too.
//!
//! Debian has both: `apt-get install nginx libnginx-mod-nchan`. Unix only.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

/// Where Debian puts the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
/// Connections that are no readers.
const OTHERS: u64 = 64;

/// The configuration. Every reader gets what is published from now on.
fn configuration(addr: SocketAddr, heartbeat: u64, readers: u64) -> String {
    // When but a sixteenth is free, it closes those that it can spare.
    let connections = 2 * readers + OTHERS;
    format!(
        "load_module {MODULE};
daemon off;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  nchan_shared_memory_size 128M;
  server {{
    listen {addr};
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id events;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval {heartbeat};
      nchan_eventsource_ping_event \"\";
      nchan_eventsource_ping_comment heartbeat;
    }}
    location = /messages {{
      keepalive_requests 1000000;
      nchan_publisher;
      nchan_channel_id events;
    }}
  }}
}}
"
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(addr) = option("--publish") {
        return Ok(publish(addr.parse()?, time("--every")?)?);
    }
    // Before anything is announced.
    let nginx = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
    let missing = match nginx {
        Err(error) => format!("nginx: {error}"),
        Ok(_) if Path::new(MODULE).exists() => String::new(),
        Ok(_) => format!("no {MODULE}"),
    };
    if !missing.is_empty() {
        let what = "apt-get install nginx libnginx-mod-nchan";
        return Err(format!("{missing}: {what}").into());
    }
    let listener = TcpListener::bind(option("--addr")?)?;
    let addr = listener.local_addr()?;
    let heartbeat = time("--heartbeat")?.as_secs().max(1);
    let readers = option("--max-readers")?.parse()?;
    // It outlives this process, and serves the next one as well.
    let folder = env::current_exe()?.with_extension("nginx");
    fs::create_dir_all(&folder)?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(addr, heartbeat, readers))?;
    Command::new(env::current_exe()?)
        .args(["--publish", &addr.to_string()])
        .args(["--every", &option("--every")?])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    println!("Server running at http://{addr}/events");
    become_nginx(listener, &folder, &file)
}

/// Its first descriptor is the socket that listens already: `NGINX` tells it
/// so, as when nginx replaces itself. Returns if it cannot be started.
#[cfg(unix)]
fn become_nginx(
    listener: TcpListener,
    folder: &Path,
    file: &Path,
) -> Result<(), Box<dyn Error>> {
    use std::os::fd::OwnedFd;
    use std::os::unix::process::CommandExt;
    let error = Command::new("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(file)
        .env("NGINX", "0;")
        .stdin(OwnedFd::from(listener))
        .exec();
    Err(format!("nginx: {error}").into())
}

#[cfg(not(unix))]
fn become_nginx(
    _: TcpListener,
    _: &Path,
    _: &Path,
) -> Result<(), Box<dyn Error>> {
    Err("needs Unix".into())
}

/// Publishes an event at each of its times, until the server is gone.
fn publish(addr: SocketAddr, every: Duration) -> io::Result<()> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    let start = Instant::now();
    for number in 1.. {
        let due = start + every.saturating_mul(number);
        while let Some(left) = due.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            socket.set_read_timeout(Some(left))?;
            if is_over(&mut socket)? {
                return Ok(());
            }
        }
        let data = format!("Hello! This is event {number}");
        let length = data.len();
        let request = format!(
            "POST /messages HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Length: {length}\r\n\r\n{data}"
        );
        socket.write_all(request.as_bytes())?;
    }
    Ok(())
}

/// Takes what is answered, which nobody needs.
fn is_over(socket: &mut TcpStream) -> io::Result<bool> {
    match socket.read(&mut [0; 1024]) {
        Ok(count) => Ok(count == 0),
        Err(error) => match error.kind() {
            ErrorKind::Interrupted
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock => Ok(false),
            _ => Err(error),
        },
    }
}

/// The argument behind this one.
fn option(name: &str) -> Result<String, String> {
    let mut args = env::args().skip_while(|arg| arg != name);
    args.nth(1).ok_or_else(|| format!("{name} is missing"))
}

fn time(name: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(humantime::parse_duration(&option(name)?)?)
}
