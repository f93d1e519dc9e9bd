//! The description of the API, and a page to browse it.

use crate::feed::{Feed, Missed, Post};
use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    routing::get,
};
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

// ANCHOR: schema
/// What `/openapi.json` says beside the routes. Version 3.2 is the first that
/// can describe the events of a stream one by one, with `itemSchema`.
#[derive(OpenApi)]
#[openapi(
    version = "3.2.0",
    info(
        title = "Greetings and posts",
        description = "Chapter 4 of \"Server-Sent Events in Rust\""
    ),
    components(schemas(Feed, Missed, Post))
)]
pub struct Api;

impl ToSchema for Feed {}

impl PartialSchema for Feed {
    /// An event as a reader has it, with the names of its fields. JSON in the
    /// data is still a string: `contentSchema` says what is in it.
    fn schema() -> RefOr<Schema> {
        let json = |content: RefOr<Schema>| {
            text()
                .content_media_type("application/json")
                .content_schema(Some(content))
        };
        OneOfBuilder::new()
            .item(event(Self::GREETING, text()))
            .item(event(Self::POSTED, json(Post::schema())))
            .item(event(Self::MISSED, json(Missed::schema())))
            .into()
    }
}

fn event(event_type: &str, data: ObjectBuilder) -> ObjectBuilder {
    ObjectBuilder::new()
        .title(Some(event_type))
        .property("event", text().enum_values(Some([event_type])))
        .property("id", text())
        .property("data", data)
        .required("event")
        .required("id")
        .required("data")
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
// ANCHOR_END: schema

/// `/docs`: a page that reads `/openapi.json`, shows it, and tries it. It is
/// made of three files in the executable and asks nobody else for anything.
pub fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let only_ours = "default-src 'self'; img-src data:; frame-ancestors 'none'";
    let html = "text/html; charset=utf-8";
    let head = [(CONTENT_TYPE, html), (CONTENT_SECURITY_POLICY, only_ours)];
    let script = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    let style = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    Router::new()
        .route("/docs", get((head, include_str!("docs/index.html"))))
        .route("/docs/docs.js", get((script, include_str!("docs/docs.js"))))
        .route("/docs/docs.css", get((style, include_str!("docs/docs.css"))))
}
