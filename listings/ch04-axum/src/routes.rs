//! This chapter's own routes, the source behind them, and their description.
//! What other routes need as well is in [`server`](crate::server).

use crate::{
    docs,
    feed::{Feed, FeedError, Post},
    reply::Problem,
    server::{
        App, LAST_EVENT_ID, Seat, guard, in_time, serve, tell, wrong_method,
    },
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use ch03_hyper::connections;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{convert::Infallible, future::pending, io};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tower_http::{compression::CompressionLayer, cors::CorsLayer};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the body of a request may have. A post is smaller, even if every
/// character of it is escaped.
const MAX_BODY: usize = 8 * 1024;

// ANCHOR: run
/// Serves until the app's stop; then ends every stream and returns.
///
/// # Errors
/// If the listener's address cannot be read.
pub async fn run(listener: TcpListener, app: App) -> io::Result<()> {
    connections::announce(listener.local_addr()?, &app.log);
    tokio::select! {
        never = greet(&app) => match never {},
        () = serve(listener, &app, router(app.clone())) => {}
    }
    Ok(())
}

/// The source: publishes a greeting at every tick, whether or not anybody
/// reads, until the stream has ended.
async fn greet(app: &App) -> Infallible {
    let every = app.options.every;
    let mut ticks = interval_at(Instant::now() + every, every);
    // By default it would make up for those that a stopped process missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number: u64 = 0;
    loop {
        ticks.tick().await;
        number += 1;
        let text = format!("Hello! This is event {number}");
        match app.publish(&Feed::Greeting(text)) {
            Ok(_id) => {}
            // What it has published is still asked for.
            Err(FeedError::Ended) => return pending().await,
            Err(error) => (app.log)(format_args!("Cannot publish: {error}")),
        }
    }
}
// ANCHOR_END: run

// ANCHOR: routes
/// The stream
///
/// Greetings, what is posted, and what this reader missed. A reader that
/// sends the ID of the last event that it has gets all that came after it.
#[utoipa::path(
    get,
    path = "/events",
    params(
        ("Last-Event-ID" = Option<String>, Header,
            description = "The ID of the last event that the reader has"),
        ("lastEventId" = Option<String>, Query,
            description = "The same, where there is no such field"),
    ),
    responses(
        (status = 200, description = "Events, until the stream ends",
            content_type = "text/event-stream", item_schema = Feed),
        (status = 204, description = "The stream has ended, and the reader \
            has all of it"),
        (status = 400, response = inline(Problem)),
        (status = 421, response = inline(Problem)),
        (status = 503, response = inline(Problem)),
    ),
)]
async fn events(seat: Seat) -> Response {
    match seat.reader() {
        Some(reader) => seat.stream(reader.into_stream()),
        // To an EventSource that means: do not come back.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Publish
///
/// Every reader of the stream gets it.
#[utoipa::path(
    post,
    path = "/messages",
    request_body = Post,
    responses(
        (status = 202, description = "On its way", body = Published),
        (status = 400, response = inline(Problem)),
        (status = 403, response = inline(Problem)),
        (status = 408, response = inline(Problem)),
        (status = 410, response = inline(Problem)),
        (status = 413, response = inline(Problem)),
        (status = 415, response = inline(Problem)),
        (status = 421, response = inline(Problem)),
        (status = 422, response = inline(Problem)),
        (status = 500, response = inline(Problem)),
    ),
)]
async fn publish(
    State(app): State<App>,
    body: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let Json(object) = body?;
    let post = Post::parse(object)?;
    let id = app.publish(&Feed::Posted(post))?;
    Ok((StatusCode::ACCEPTED, Json(Published { id })))
}

/// What became of a post.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// The ID of the event that carries it.
    pub id: String,
}
// ANCHOR_END: routes

// ANCHOR: router
/// The routes, which are also what `/openapi.json` describes, and the layers
/// around them.
pub fn router(app: App) -> Router {
    let (routes, api) = OpenApiRouter::with_openapi(docs::Api::openapi())
        .routes(routes!(events))
        .routes(routes!(publish))
        .split_for_parts();
    let origins = app.options.origins.clone();
    // Around all routes it would leave the stream as it is, and have a look at
    // each event of each reader.
    let described = Router::new()
        .route("/openapi.json", get(Json(api)))
        .merge(docs::page())
        .layer(CompressionLayer::new());
    routes
        .merge(described)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        // From the inside out: a request passes the last of these first.
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), in_time))
        .layer(
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods([Method::GET, Method::POST])
                .allow_headers([CONTENT_TYPE, LAST_EVENT_ID]),
        )
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .layer(middleware::from_fn_with_state(app.clone(), tell))
        .with_state(app)
}

async fn not_found() -> Problem {
    let what_is = "The stream is at /events, a description at /docs.";
    Problem::new(StatusCode::NOT_FOUND, what_is)
}
// ANCHOR_END: router
