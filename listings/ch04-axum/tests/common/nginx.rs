//! nginx in front of a server: the file that the chapter shows, with only
//! what differs on this machine replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub)]

use contract::Program;
use harness::{chapter::Running, needs::nginx};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring::default_provider,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../ch04-axum/proxy/nginx.conf");
/// What the file does about `Host`.
pub const PASSED_ON: &str = "proxy_set_header Host $http_host;";

/// The text with that replaced, which must be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in {text}");
    text.replace(from, to)
}

/// A server of a chapter, and nginx in front of it, which ends the TLS. Both
/// end with this.
pub struct Proxied {
    _server: Running,
    nginx: Child,
    socket: PathBuf,
    tls: Arc<ClientConfig>,
    folder: TempDir,
}

impl Proxied {
    /// Starts both: the server with these arguments, and nginx with that in
    /// the place of what the file does about `Host`.
    pub fn start(exe: &str, args: &[&str], host: &str) -> Self {
        let own = ["server", "--addr", "127.0.0.1:0", "--every", "100ms"];
        let all = [&own, args].concat();
        let mut server = Running::start(&Program::new(exe), &all);
        let (_, port) = server.started();

        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = |name: &str| path(name).to_str().unwrap().to_owned();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["chat.example".to_owned()]).unwrap();
        fs::write(path("pem"), cert.pem()).unwrap();
        fs::write(path("key"), signing_key.serialize_pem()).unwrap();
        let site = fs::read_to_string(CONFIG).unwrap();
        // No port can be free for certain until it is taken.
        let at = format!("listen unix:{} ssl;", text("socket"));
        let site = replaced(&site, "listen 443 ssl;", &at);
        let site =
            replaced(&site, "127.0.0.1:9004", &format!("127.0.0.1:{port}"));
        let site = replaced(&site, "/etc/ssl/chat.example.pem", &text("pem"));
        let site = replaced(&site, "/etc/ssl/chat.example.key", &text("key"));
        let site = replaced(&site, PASSED_ON, host);
        // What an installation has, in this folder.
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|it| format!("{it}_temp_path {};\n", text(it)))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {};\n\
             events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n",
            text("pid")
        );
        fs::write(path("conf"), config).unwrap();
        let nginx = Command::new(nginx().unwrap())
            .args(["-e", &text("log"), "-c", &text("conf")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (socket, tls) = (path("socket"), Arc::new(tls));
        let mut it = Self { _server: server, nginx, socket, tls, folder };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&it.socket).is_err() {
            let ended = it.nginx.try_wait().unwrap();
            let log = || fs::read_to_string(it.folder.path().join("log"));
            assert!(ended.is_none(), "{ended:?}: {:?}", log());
            assert!(Instant::now() < deadline, "{:?}", log());
            thread::sleep(Duration::from_millis(2));
        }
        it
    }

    /// Sends a request by way of nginx; its response has been read up to the
    /// status line.
    pub fn ask(&self, line: &str, fields: &[&str], body: &str) -> Response {
        let socket = UnixStream::connect(&self.socket).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = "chat.example".try_into().unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let mut socket = StreamOwned::new(tls, socket);
        let fields = fields.join("\r\n");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut response = Response {
            status: String::new(),
            rest: BufReader::new(Box::new(socket)),
        };
        let mut line = String::new();
        response.rest.read_line(&mut line).unwrap();
        response.status = line.split(' ').nth(1).unwrap_or_default().into();
        response
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// What came back.
pub struct Response {
    pub status: String,
    rest: BufReader<Box<dyn Read>>,
}

impl Response {
    /// Reads on to the line that has that in it.
    pub fn read_to(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.rest.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "no {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }
}
