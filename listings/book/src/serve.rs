//! The book over HTTP: pages from the newest edition, and one event stream
//! that tells an open page when there is a newer one.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use event_stream::HEARTBEAT;
use futures::stream;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_http::services::{ServeDir, ServeFile};

use crate::live;
use crate::page::Page;
use crate::programs::Programs;
use crate::render::Edition;
use crate::site::{Site, encode, event_stream, told};

pub use crate::site::RUNS;

/// Open connections; past it new ones wait.
const CONNECTIONS: u32 = 128;
/// What a connection may take to send the head of its next request.
const HEAD: Duration = Duration::from_secs(5);
/// Pages that may wait for an edition at once.
const TABS: usize = 64;
/// A silent stream says that it is alive, and so learns that the reader left.
const SILENCE: Duration = Duration::from_secs(15);
/// What open streams and programs get to end in, once told to.
const GRACE: Duration = Duration::from_millis(700);

// ANCHOR: serve
/// Serves the book on `listener` until `stop`; then ends every stream and
/// every program, and returns within a second.
///
/// # Errors
/// If the listener's address cannot be read.
pub async fn serve(
    listener: TcpListener,
    editions: watch::Receiver<Edition>,
    page: watch::Receiver<Page>,
    programs: Arc<Programs>,
    run_limit: Duration,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let site = Arc::new(Site {
        editions,
        stop: stopped.clone(),
        page,
        programs,
        run_limit,
        port: listener.local_addr()?.port(),
        tabs: Arc::new(Semaphore::new(TABS)),
        runs: Arc::new(Semaphore::new(RUNS as usize)),
    });
    let app = Router::new()
        .route("/live/edition", get(edition))
        .route("/live/run/{chapter}", get(live::run))
        .nest("/listings", Router::new().fallback(source))
        .fallback(file)
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
        .with_state(Arc::clone(&site));
    let serving = tokio::spawn(connections(listener, app, stopped));
    stop.await;
    stopping.send_replace(true);
    let ended = async {
        let _: Result<_, _> = serving.await;
        // Every run gives its permit back when its programs are gone.
        let _: Result<_, _> = site.runs.acquire_many(RUNS).await;
    };
    // A reader who takes nothing could hold a stream open for ever.
    let _: Result<_, _> = timeout(GRACE, ended).await;
    Ok(())
}
// ANCHOR_END: serve

// ANCHOR: connections
/// Takes connections until told to stop; then waits for the open ones.
async fn connections(
    mut listener: TcpListener,
    app: Router,
    stop: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let seats = Arc::new(Semaphore::new(CONNECTIONS as usize));
    loop {
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            // axum's, because it waits when the system has no file left.
            (seat, Listener::accept(&mut listener).await.0)
        };
        let (seat, stream) = tokio::select! {
            next = next => next,
            () = told(stop.clone()) => break,
        };
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let stop = told(stop.clone());
        tokio::spawn(async move {
            let _seat = seat;
            let mut connection = pin!(connection);
            tokio::select! {
                // One that fails is gone; there is nobody to tell.
                _ = connection.as_mut() => return,
                () = stop => connection.as_mut().graceful_shutdown(),
            }
            let _: Result<_, _> = connection.await;
        });
    }
    drop(listener);
    let _: Result<_, _> = seats.acquire_many(CONNECTIONS).await;
}
// ANCHOR_END: connections

// ANCHOR: file
async fn file(State(site): State<Arc<Site>>, request: Request) -> Response {
    // For a folder, ServeDir would redirect to `//folder/`: another host.
    if request.uri().path().starts_with("//") {
        return (StatusCode::NOT_FOUND, "No page is there.\n").into_response();
    }
    let pages = site.editions.borrow().pages.clone();
    let not_found = ServeFile::new(pages.join("404.html"));
    let mut files = ServeDir::new(pages).not_found_service(not_found);
    match files.try_call(request).await {
        Ok(answer) => {
            let mut answer = answer.map(Body::new);
            // Dates in HTTP have whole seconds. Two editions within one
            // would look the same, so let nobody ask "changed since?".
            answer.headers_mut().insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            );
            answer
        }
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("This page could not be read: {error}\n"),
        )
            .into_response(),
    }
}
// ANCHOR_END: file

/// A file of a listing, as text: where a caption leads.
async fn source(State(site): State<Arc<Site>>, request: Request) -> Response {
    // What was built or installed there is no listing, nor is what is hidden;
    // and no listing's name has to be encoded.
    let mut parts = request.uri().path().split('/');
    let is_listing = parts.all(|part| {
        let is_foreign = matches!(part, "target" | "node_modules");
        !is_foreign && !part.starts_with('.') && !part.contains('%')
    });
    let mut files = ServeDir::new(site.programs.root().join("listings"))
        .append_index_html_on_directories(false);
    let found =
        if is_listing { files.try_call(request).await.ok() } else { None };
    let found = found.filter(|answer| answer.status().is_success());
    let Some(answer) = found else {
        return (StatusCode::NOT_FOUND, "No listing is there.\n")
            .into_response();
    };
    let mut answer = answer.map(Body::new);
    for (name, value) in [
        // No page of a listing is one of the book's.
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

// ANCHOR: edition
/// Tells the page which edition is newest, and where the page of chapter 5
/// is: at once, and at each change.
async fn edition(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
) -> Response {
    let Ok(seat) = Arc::clone(&site.tabs).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many open pages.\n")
            .into_response();
    };
    let is_near = is_near(&headers, site.port);
    let (mut editions, mut page) = (site.editions.clone(), site.page.clone());
    editions.mark_changed();
    page.mark_changed();
    let state = (editions, page, seat);
    let events =
        stream::unfold(state, move |(mut editions, mut page, seat)| {
            let stop = told(site.stop.clone());
            async move {
                let chunk = tokio::select! {
                    biased;
                    changed = editions.changed() => {
                        changed.ok()?;
                        let id = editions.borrow_and_update().id.clone();
                        encode("edition", &id).ok()?
                    }
                    changed = page.changed() => {
                        changed.ok()?;
                        let place = match &*page.borrow_and_update() {
                        Page::At(url) if is_near => encode("page", url),
                        Page::At(url) => encode("away", &far(url)),
                        Page::Away(why) => encode("away", why),
                    };
                    place.ok()?
                }
                () = sleep(SILENCE) => HEARTBEAT.into(),
                    () = stop => return None,
                };
                Some((chunk, (editions, page, seat)))
            }
        });
    event_stream(events)
}
// ANCHOR_END: edition

/// Whether the reader came to this port, and not to another that leads here,
/// as `ssh -L` makes one: that one leads not to the page of chapter 5.
fn is_near(headers: &HeaderMap, port: u16) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| {
        let named = host.rsplit_once(':').map_or("80", |(_, port)| port);
        named == port.to_string()
    })
}

fn far(url: &str) -> String {
    format!("It runs at {url} on the machine that the book runs on.")
}

// ANCHOR: guard
/// Answers only to this machine's own names. The live streams are for the
/// book's own pages, and for programs that are no browser. No other site may
/// frame a page, to have its reader click on Run unawares.
async fn guard(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let refused = refusal(&site, request.uri(), request.headers());
    let mut answer = match refused {
        Some(answer) => answer.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in [
        // Not 'none': without scripts mdBook frames its own contents.
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'self'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn refusal(
    site: &Site,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<(StatusCode, String)> {
    // RFC 9112, 3.2: one Host, and an absolute target's authority wins.
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        let text = "A request needs one Host header.\n".to_owned();
        return Some((StatusCode::BAD_REQUEST, text));
    };
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => host.to_str().unwrap_or_default(),
    };
    // A name that someone else owns may resolve to 127.0.0.1 (DNS rebinding);
    // then the browser takes their page and ours for one site.
    if !is_ours(host) {
        let text = format!("This is http://127.0.0.1:{}/ only.\n", site.port);
        return Some((StatusCode::MISDIRECTED_REQUEST, text));
    }
    if uri.path().starts_with("/live/") {
        // Another site's page can send a request here without reading the
        // answer, and a request is enough to start a program.
        let ours = format!("http://{host}");
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let mut sites = headers.get_all("sec-fetch-site").iter();
        if origins.any(|origin| origin != ours.as_str())
            || sites.any(|site| site != "same-origin")
        {
            let text = "Only this book's own pages may do this.\n".to_owned();
            return Some((StatusCode::FORBIDDEN, text));
        }
    }
    None
}

/// Any port: `ssh -L 8080:127.0.0.1:3000` brings readers who name their own.
fn is_ours(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost");
    is_name && is_number
}
// ANCHOR_END: guard
