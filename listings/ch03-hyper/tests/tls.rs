//! `https`: a server of our own with a certificate of our own, and this
//! chapter's client as a program, which is told whom to trust.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Reader, soon};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Connection: close\r\n\r\ndata: over TLS\n\n";

/// A server that gives each connection one event, and a folder with its
/// certificate.
async fn serve(name: &str) -> (SocketAddr, TempDir) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config =
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivateKeyDer::from(key),
            )
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us ends it here.
                let Ok(socket) = acceptor.accept(socket).await else {
                    return;
                };
                let mut socket = BufReader::new(socket);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    socket.read_line(&mut head).await.unwrap();
                }
                socket.write_all(STREAM.as_bytes()).await.unwrap();
                // The client may have left.
                let _ = socket.shutdown().await;
            });
        }
    });
    (addr, folder)
}

/// What the program says of that URL, if it trusts who is in that file.
async fn client(url: &str, trusted: &Path) -> Output {
    let mut client = Command::new(env!("CARGO_BIN_EXE_ch03-hyper"));
    client
        .args(["client", "--json", "--events", "1", url])
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    soon("the client", client.output()).await.unwrap()
}

#[tokio::test]
async fn a_stream_is_read_over_tls() {
    let (addr, folder) = serve("localhost").await;
    let url = format!("https://localhost:{}/", addr.port());
    let output = client(&url, &folder.path().join("ca.pem")).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("over TLS"), "{said}");
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn who_is_not_trusted_is_not_asked_again() {
    // Another's certificate; none at all, where Mozilla's count; another name.
    let (addr, folder) = serve("localhost").await;
    let (_, other) = serve("localhost").await;
    let url = format!("https://localhost:{}/", addr.port());
    let by_number = format!("https://127.0.0.1:{}/", addr.port());
    let ours = folder.path().join("ca.pem");
    for (url, trusted) in [
        (&url, other.path().join("ca.pem")),
        (&url, folder.path().join("nothing.pem")),
        (&by_number, ours),
    ] {
        let output = client(url, &trusted).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("certificate"), "{said}");
        assert!(said.contains("\"closed\":true"), "{said}");
        assert_eq!(output.status.code(), Some(1), "{said}");
    }
}

#[tokio::test]
async fn plain_http_needs_nobody_to_be_trusted() {
    let nobody = Path::new("/nonexistent/ca.pem");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut peer = Reader::new(socket);
        peer.head().await;
        peer.socket.write_all(STREAM.as_bytes()).await.unwrap();
    });
    let output = client(&url, nobody).await;
    assert!(output.status.success(), "{output:?}");
    soon("the end", server).await.unwrap();
}
