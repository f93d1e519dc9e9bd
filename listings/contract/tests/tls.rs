//! A server behind a proxy that ends TLS, as the command sees it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use contract::{Process, Program};
use harness::transcript;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

const PEER: &str = env!("CARGO_BIN_EXE_contract-peer");
const TICK: Duration = Duration::from_millis(5);

/// The contract's own server, behind TLS on another port.
struct Behind {
    url: String,
    /// The certificate of whoever ends the TLS.
    certificate: PathBuf,
    _folder: TempDir,
    _server: Process,
}

/// A config for `localhost`, and its certificate in the form PEM.
fn config() -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.unwrap();
    let pem = made.cert.pem();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Arc::new(config), pem)
}

impl Behind {
    fn start(fault: &str) -> Self {
        let program =
            Program::new(PEER).arg("--fault").arg(fault).arg("server");
        let server = program
            .spawn(&["--addr", "127.0.0.1:0", "--every", "100ms"])
            .unwrap();
        let up = server.url(Instant::now() + Duration::from_secs(10)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, pem) = config();
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("certificate.pem");
        std::fs::write(&certificate, pem).unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, up) = (Arc::clone(&config), up.authority.clone());
                thread::spawn(move || {
                    // Either side may leave at any time.
                    let _ = pass_on(client, TcpStream::connect(up)?, config);
                    Ok::<(), io::Error>(())
                });
            }
        });
        let url = format!("https://localhost:{port}{}", up.target);
        Self { url, certificate, _folder: folder, _server: server }
    }

    fn contract(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_contract"))
            .arg(&self.url)
            .arg("--cacert")
            .arg(&self.certificate)
            .args(args)
            .output()
            .unwrap()
    }
}

/// Passes on what comes from either side, until one ends.
fn pass_on(
    client: TcpStream,
    mut server: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<()> {
    client.set_read_timeout(Some(TICK))?;
    server.set_read_timeout(Some(TICK))?;
    server.set_nodelay(true)?;
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = StreamOwned::new(tls, client);
    loop {
        let more = copy(&mut client, &mut server)?;
        if !more {
            server.shutdown(std::net::Shutdown::Write)?;
        }
        if !copy(&mut server, &mut client)? {
            client.conn.send_close_notify();
            return client.flush();
        }
    }
}

/// Passes on what is there, if anything; false at the end.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut piece = [0; 16 * 1024];
    match from.read(&mut piece) {
        Ok(0) => Ok(false),
        Ok(count) => {
            to.write_all(&piece[..count])?;
            to.flush()?;
            Ok(true)
        }
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut
            ) =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_server_behind_tls_keeps_what_can_be_seen_there() {
    let behind = Behind::start("");
    let ran = behind.contract(&[]);
    let table = text(ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{table}");
    let mut unseen: Vec<_> = table
        .lines()
        .filter(|line| line.ends_with("not applicable"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    unseen.sort_unstable();
    let expected = [
        "departed-reader",
        "heartbeat",
        "junk-behind",
        "long-head",
        "stalled-reader",
        "stop",
    ];
    assert_eq!(unseen, expected, "{table}");
    assert!(table.contains("22 passed, 0 advice, 6 not applicable"), "{table}");
    assert_eq!(table.matches("below TLS").count(), 3, "{table}");
}

#[test]
fn what_the_book_shows_of_a_server_behind_tls() {
    let behind = Behind::start("");
    let ran = behind.contract(&[
        "--only=first-event",
        "--only=resume",
        "--only=long-head",
    ]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let command = "cargo run -q -p contract -- https://localhost:9443/events \
                   --cacert certificate.pem --only first-event \
                   --only resume --only long-head";
    let output = text(ran.stdout);
    transcript::check(&folder.join("https.txt"), command, &output).unwrap();
}

#[test]
fn a_fault_is_seen_through_tls() {
    let behind = Behind::start("blank-line-late");
    let ran = behind.contract(&["--only", "first-event"]);
    let table = text(ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{table}");
}

/// A certificate that nobody vouches for, and one for another host.
#[test]
fn whom_nobody_vouches_for_is_not_spoken_to() {
    let (behind, other) = (Behind::start(""), Behind::start(""));
    let by_number = behind.url.replace("localhost", "127.0.0.1");
    for (url, certificate) in
        [(&behind.url, &other.certificate), (&by_number, &behind.certificate)]
    {
        let ran = Command::new(env!("CARGO_BIN_EXE_contract"))
            .arg(url)
            .arg("--cacert")
            .arg(certificate)
            .output()
            .unwrap();
        let told = text(ran.stderr);
        assert_eq!(ran.status.code(), Some(3), "{told}");
        assert!(told.contains("invalid peer certificate"), "{told}");
        assert!(told.contains("--cacert"), "{told}");
        assert_eq!(text(ran.stdout), "");
    }
}

#[test]
fn the_variable_names_the_authorities() {
    let behind = Behind::start("");
    let ran = Command::new(env!("CARGO_BIN_EXE_contract"))
        .args([&behind.url, "--only", "status"])
        .env("SSL_CERT_FILE", &behind.certificate)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
}

#[test]
fn a_file_without_certificates_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty, folder.path().join("none.pem")] {
        let ran = Command::new(env!("CARGO_BIN_EXE_contract"))
            .args(["https://localhost:1/", "--cacert"])
            .arg(&file)
            .output()
            .unwrap();
        let stderr = text(ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(file.to_str().unwrap()), "{stderr}");
    }
}
