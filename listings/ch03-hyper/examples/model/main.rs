//! A server that answers as a language model would, in the shape of Chat
//! Completions, of Responses and of Messages. It has one answer; the model
//! that is asked for chooses what goes wrong with it.

mod dialect;
mod generation;
mod script;

use bytes::Bytes;
use ch03_hyper::{
    connections::{self, Limits, Log, Peer},
    runtime,
};
use clap::Parser;
use dialect::{Api, Dialect};
use futures::StreamExt;
use generation::Generation;
use http_body_util::{
    BodyExt, Full, LengthLimitError, Limited, StreamBody,
    combinators::UnsyncBoxBody,
};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue,
        RETRY_AFTER,
    },
    service::service_fn,
};
use script::Fault;
use serde_json::Value;
use std::{
    convert::Infallible,
    error::Error,
    io::{Write, stdout},
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The most bytes of a question: 1 MiB.
const MAX_QUESTION: usize = 1024 * 1024;
/// What sending a question may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// What a busy server asks for, in seconds.
const BUSY: u16 = 7;

/// Answers as a language model would, and goes wrong when it is asked to
#[derive(Parser, Clone, Copy)]
struct Cli {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9013")]
    addr: SocketAddr,
    /// From one token to the next
    #[arg(
        long,
        value_name = "TIME",
        default_value = "50ms",
        value_parser = humantime::parse_duration,
    )]
    every: Duration,
    /// How long the model `slow` thinks
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        value_parser = humantime::parse_duration,
    )]
    think: Duration,
    /// Where tokens end, and chunks of the body
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Cli::parse();
    let listener = TcpListener::bind(options.addr)?;
    let (stop, stopped) = mpsc::channel();
    // A second signal, while it stops, changes nothing.
    ctrlc::set_handler(move || {
        let _ = stop.send(());
    })?;
    runtime::run(listener, stopped, async |listener, stop| {
        let addr = listener.local_addr()?;
        // It serves on when nobody reads this.
        let log: Log = Arc::new(|line| {
            let _ = writeln!(stdout(), "{line}");
        });
        let url = format!("http://{addr}/v1/chat/completions");
        log(format_args!("Server running at {url}"));
        let server = Arc::new(Server {
            options,
            stop: stop.clone(),
            log: Arc::clone(&log),
        });
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let limits = Limits::default();
        connections::serve(listener, service, limits, stop, log).await;
        Ok(())
    })?;
    Ok(())
}

type BoxError = Box<dyn Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

struct Server {
    options: Cli,
    stop: CancellationToken,
    log: Log,
}

/// A request that gets no answer.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::NOT_FOUND => "not_found_error",
            _ => "invalid_request_error",
        };
        Self { status, kind, message: message.into() }
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let peer = Peer::of(&request);
        let api = Api::of(request.uri().path());
        match self.start(api, request).await {
            Ok(generation) => {
                let stopped = self.stop.clone().cancelled_owned();
                let frames = generation.into_stream().take_until(stopped);
                let body = StreamBody::new(frames).boxed_unsync();
                let mut response = Response::new(body);
                let fields = response.headers_mut();
                let mime_type =
                    HeaderValue::from_static(event_stream::MIME_TYPE);
                fields.insert(CONTENT_TYPE, mime_type);
                let no_cache = HeaderValue::from_static("no-cache");
                fields.insert(CACHE_CONTROL, no_cache);
                response
            }
            Err(refusal) => {
                let status = refusal.status;
                (self.log)(format_args!("Refused {peer}: {status}"));
                // At another path, as most do.
                refuse(api.unwrap_or(Api::ChatCompletions), &refusal)
            }
        }
    }

    /// The generation that a request asks for. The model does nothing before
    /// the body is asked for its first piece.
    async fn start(
        &self,
        api: Option<Api>,
        request: Request<Incoming>,
    ) -> Result<Generation, Refusal> {
        let bad = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, why);
        if !connections::has_good_host(&request) {
            return Err(bad("one Host is needed"));
        }
        let Some(api) = api else {
            let paths = "/v1/chat/completions, /v1/responses, /v1/messages";
            return Err(Refusal::new(StatusCode::NOT_FOUND, paths));
        };
        if request.method() != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Refusal::new(status, "questions are posted"));
        }
        if !api.has_key(request.headers()) {
            let status = StatusCode::UNAUTHORIZED;
            return Err(Refusal::new(status, "a key is needed: any will do"));
        }
        let peer = Peer::of(&request);
        let question = read(request).await?;
        let model = question["model"].as_str().ok_or(bad("which model?"))?;
        let Some(fault) = Fault::of(model) else {
            let names = Fault::ALL.map(|(name, _)| name).join(", ");
            let message = format!("the models are {names}");
            return Err(Refusal::new(StatusCode::NOT_FOUND, message));
        };
        if question["stream"] != true {
            return Err(bad("this model answers with a stream"));
        }
        if fault == Fault::Busy {
            let message = "one question at a time, please";
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(Refusal::new(status, message));
        }
        (self.log)(format_args!("Answering {peer}, model {model}"));
        let dialect = Dialect::new(api, model);
        let log = Arc::clone(&self.log);
        Ok(Generation::new(self.options, fault, dialect, peer, log))
    }
}

/// The JSON of a question.
async fn read(request: Request<Incoming>) -> Result<Value, Refusal> {
    let body = Limited::new(request.into_body(), MAX_QUESTION).collect();
    match timeout(QUESTION_TIMEOUT, body).await {
        Ok(Ok(body)) => serde_json::from_slice(&body.to_bytes())
            .map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.to_string())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Refusal::new(status, "the question is larger than 1 MiB"))
        }
        // Nobody is there to be told, most likely.
        Ok(Err(error)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
        }
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Err(Refusal::new(status, "the question took too long"))
        }
    }
}

fn refuse(api: Api, refusal: &Refusal) -> Response<Body> {
    let Refusal { status, kind, message } = refusal;
    let body = api.refusal(kind, message).to_string();
    let body = Full::from(body).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = *status;
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    fields.insert(CONTENT_TYPE, json);
    // It may be refused before its body was read.
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        fields.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if *status == StatusCode::TOO_MANY_REQUESTS {
        fields.insert(RETRY_AFTER, HeaderValue::from(BUSY));
    }
    response
}
