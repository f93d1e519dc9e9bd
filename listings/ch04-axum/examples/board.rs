//! A board that everybody sees alike: its state is loaded once, and kept up
//! to date by the events that change it.

use axum::{
    Json, Router,
    extract::{FromRef, State, rejection::JsonRejection},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use ch04_axum::{
    client::{self, Update},
    feed::{Feed, FeedError, Post},
    reply::Problem,
    routes::Published,
    server::{self, App, Options, Seat},
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::VecDeque,
    error::Error,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9104").await?;
    println!("The board is at http://{}/board", listener.local_addr()?);
    let log = Arc::new(|line: std::fmt::Arguments<'_>| println!("{line}"));
    let app = App::new(Options::default(), CancellationToken::new(), log);
    server::serve(listener, &app, routes(&app)).await;
    Ok(())
}

// ANCHOR: snapshot
/// The most posts on the board.
pub const MAX_POSTS: usize = 500;

/// What is on the board, and up to which event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The oldest first.
    pub posts: VecDeque<Post>,
    /// What comes after this event is not in it.
    pub last_event_id: String,
}

/// A board, and the stream of what changes it.
#[derive(Clone)]
pub struct Board {
    app: App,
    posts: Arc<Mutex<VecDeque<Post>>>,
}

impl Board {
    /// An empty board, whose changes go to the readers of this app.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app, posts: Arc::default() }
    }

    /// Changes the board and publishes the change, as one step. Returns the
    /// ID of the event.
    ///
    /// # Errors
    /// If the event cannot be written; then the board is as it was.
    pub fn post(&self, post: Post) -> Result<String, FeedError> {
        let mut posts = self.lock();
        let id = self.app.publish(&Feed::Posted(post.clone()))?;
        apply(&mut posts, post);
        Ok(id)
    }

    /// The board. Nothing changes it between the look at it and the look at the
    /// stream: both are made under the lock that `post` holds.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let posts = self.lock();
        let last_event_id = self.app.position();
        Snapshot { posts: posts.clone(), last_event_id }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event does to the board: the same here and at each reader.
fn apply(posts: &mut VecDeque<Post>, post: Post) {
    posts.push_back(post);
    if posts.len() > MAX_POSTS {
        posts.pop_front();
    }
}
// ANCHOR_END: snapshot

impl FromRef<Board> for App {
    fn from_ref(board: &Board) -> Self {
        board.app.clone()
    }
}

// ANCHOR: routes
/// The board to load, to change, and to follow.
pub fn routes(app: &App) -> Router {
    let board = Board::new(app.clone());
    let guard = middleware::from_fn_with_state(app.clone(), server::guard);
    Router::new()
        .route("/board", get(snapshot).post(post))
        .route("/events", get(events))
        .layer(guard)
        .with_state(board)
}

async fn snapshot(State(board): State<Board>) -> Json<Snapshot> {
    Json(board.snapshot())
}

async fn events(seat: Seat) -> Result<Response, Problem> {
    Ok(match seat.reader() {
        Some(reader) => seat.stream(reader.into_stream()),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn post(
    State(board): State<Board>,
    body: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let Json(object) = body?;
    let id = board.post(Post::parse(object)?)?;
    Ok((StatusCode::ACCEPTED, Json(Published { id })))
}
// ANCHOR_END: routes

// ANCHOR: follow
/// The most bytes of a snapshot: escaped, a post has a few thousand.
const MAX_SNAPSHOT: usize = 4 * 1024 * 1024;

/// Keeps a copy of the board at `url`, and calls `seen` with it whenever it
/// has changed.
///
/// # Errors
/// Whatever ends it: a server that gives no board, or no stream.
pub async fn follow(
    url: &str,
    mut seen: impl FnMut(&Snapshot),
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let http = event_client::http().build()?;
    loop {
        let mut response = http.get(format!("{url}/board")).send().await?;
        response.error_for_status_ref()?;
        let mut json = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if json.len() + chunk.len() > MAX_SNAPSHOT {
                return Err("the snapshot is too large".into());
            }
            json.extend_from_slice(&chunk);
        }
        let mut board: Snapshot = serde_json::from_slice(&json)?;
        seen(&board);

        let options = event_client::Options::default()
            .with_last_event_id(&*board.last_event_id);
        let feed = client::feed(&format!("{url}/events"), options)?;
        let mut feed = pin!(feed);
        loop {
            let update = feed.try_next().await?;
            match update.ok_or("the server wants no more readers")? {
                Update::Event { feed: Ok(Feed::Posted(post)), raw } => {
                    apply(&mut board.posts, post);
                    board.last_event_id = raw.last_event_id;
                    seen(&board);
                }
                // The copy is wrong, and nobody can tell where: load it anew.
                Update::Event { feed: Ok(Feed::Missed(_)), .. } => break,
                Update::Event { .. } | Update::Notice(_) => {}
            }
        }
    }
}
// ANCHOR_END: follow
