//! A client that the caller made: what reqwest does then, and what is left to
//! this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{STREAM, Script, soon};
use event_client::{
    GivenUp, Lost, Notice, Options, RequestBuilderExt,
    event_stream::Reconnection,
};
use futures::{StreamExt, TryStreamExt};
use reqwest::{Client, ClientBuilder, redirect::Policy};
use std::time::Duration;

/// As `reqwest::Client::builder()` gives it, with what the feature `tls` asks
/// for.
fn builder() -> ClientBuilder {
    let builder = Client::builder().no_proxy();
    #[cfg(feature = "tls")]
    let builder =
        builder.tls_backend_preconfigured(event_client::tls::config());
    builder
}

/// A response that sends whoever asked to another path.
fn elsewhere(status: u16) -> String {
    format!(
        "HTTP/1.1 {status} Elsewhere\r\nLocation: /other\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn redirects_that_reqwest_follows_are_reqwests() {
    let script = Script::closing([
        elsewhere(307),
        format!("{STREAM}\r\ndata: paid twice\n\n"),
    ])
    .await;
    let http = builder().build().unwrap();
    let request = http.post(&script.url).body("pay 10");
    let mut events = request.events().unwrap();
    let event = soon("an event", events.try_next()).await.unwrap().unwrap();
    assert_eq!(event.data, "paid twice");
    assert!(events.try_next().await.unwrap().is_none());
    for head in script.heads().await {
        assert!(head.starts_with("POST "), "{head}");
    }
}

#[tokio::test]
async fn redirects_that_reqwest_leaves_are_judged_here() {
    let script = Script::closing([elsewhere(307)]).await;
    let http = builder().redirect(Policy::none()).build().unwrap();
    let request = http.post(&script.url).body("pay 10");
    let error = request.events().unwrap().try_next().await.unwrap_err();
    assert!(matches!(error, GivenUp::RedirectedOnce(_)), "{error}");
    assert_eq!(script.heads().await.len(), 1);
}

#[tokio::test]
async fn who_is_redirected_without_end_gives_up() {
    // reqwest's limit, and not this crate's 20.
    let script = Script::closing([elsewhere(307), elsewhere(307)]).await;
    let http = builder().redirect(Policy::limited(1)).build().unwrap();
    let request = http.get(&script.url);
    let error = request.events().unwrap().try_next().await.unwrap_err();
    assert!(matches!(error, GivenUp::Request(_)), "{error:?}");
    assert_eq!(error.to_string(), "too many redirects");
    assert_eq!(script.heads().await.len(), 2);
}

#[tokio::test]
async fn a_timeout_of_the_clients_own_ends_a_stream_that_comes_back() {
    let script = Script::new([format!("{STREAM}\r\n: alive\n\n")]).await;
    let limit = Duration::from_millis(200);
    let http = builder().timeout(limit).build().unwrap();
    let rules = Reconnection::new(1);
    let options = Options::default().with_rules(rules);
    let mut notices = http.get(&script.url).notices_with(options).unwrap();
    let why = loop {
        let notice = soon("a notice", notices.next()).await.unwrap();
        if let Notice::Lost { why, .. } = notice.unwrap() {
            break why;
        }
    };
    assert!(matches!(why, Lost::Failed(_)), "{why}");
    assert_eq!(why.to_string(), "nothing came in time");
    script.heads().await;
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn without_tls_https_is_refused_before_anything_is_sent() {
    let http = builder().build().unwrap();
    let error = http.get("https://localhost/").events().unwrap_err();
    assert!(matches!(error, GivenUp::Scheme(_)), "{error}");
    assert!(error.to_string().contains("feature \"tls\""), "{error}");
}

/// `https` with a backend of the caller's own.
#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::{panic, sync::Arc};
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
        task::JoinSet,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig,
            crypto::ring,
            pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        },
    };

    /// A server that gives each connection one event, and has a certificate
    /// that is good until that year; and whoever trusts it.
    async fn serve(
        tasks: &mut JoinSet<()>,
        year: i32,
    ) -> (String, ClientConfig) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let cert = params.self_signed(&key).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivateKeyDer::from(key),
            )
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tasks.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // A client that does not trust us ends it here.
                let Ok(socket) = acceptor.accept(socket).await else {
                    continue;
                };
                let mut socket = BufReader::new(socket);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    socket.read_line(&mut head).await.unwrap();
                }
                let stream = format!("{STREAM}\r\ndata: over TLS\n\n");
                socket.write_all(stream.as_bytes()).await.unwrap();
                // The client may have left.
                let _ = socket.shutdown().await;
            }
        });
        (format!("https://localhost:{port}/"), trusting)
    }

    #[test]
    fn a_client_without_a_choice_of_cryptography_panics() {
        assert!(panic::catch_unwind(Client::new).is_err());
    }

    #[tokio::test]
    async fn a_backend_of_the_callers_own_is_used() {
        let mut tasks = JoinSet::new();
        let (url, trusting) = serve(&mut tasks, 4000).await;
        let http = Client::builder().no_proxy();
        let http = http.tls_backend_preconfigured(trusting).build().unwrap();
        let mut events = http.get(url).events().unwrap();
        let event = soon("an event", events.try_next()).await.unwrap();
        assert_eq!(event.unwrap().data, "over TLS");
    }

    #[tokio::test]
    async fn who_is_not_trusted_is_not_asked_again() {
        let mut tasks = JoinSet::new();
        let (url, _) = serve(&mut tasks, 4000).await;
        let (_, other) = serve(&mut tasks, 4000).await;
        let http = Client::builder().no_proxy();
        let http = http.tls_backend_preconfigured(other).build().unwrap();
        let mut events = http.get(url).events().unwrap();
        let error = soon("an end", events.try_next()).await.unwrap_err();
        assert!(matches!(error, GivenUp::Certificate(_)), "{error}");
        assert!(events.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_certificate_that_has_expired_may_be_renewed() {
        let mut tasks = JoinSet::new();
        let (url, trusting) = serve(&mut tasks, 2020).await;
        let http = Client::builder().no_proxy();
        let http = http.tls_backend_preconfigured(trusting).build().unwrap();
        let mut notices = http.get(url).notices().unwrap();
        let why = loop {
            let notice = soon("a notice", notices.next()).await.unwrap();
            if let Notice::Lost { why, .. } = notice.unwrap() {
                break why;
            }
        };
        let Lost::Failed(error) = why else { panic!("{why}") };
        assert!(!event_client::tls::is_untrusted(&error));
        assert!(format!("{error:?}").contains("Expired"), "{error:?}");
    }
}
