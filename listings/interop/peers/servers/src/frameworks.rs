//! A server a framework, each as its own documentation has it.

use crate::{Case, Field};
use futures::stream;
use std::{
    convert::Infallible,
    future::Future,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use tokio::net::TcpListener as AsyncListener;

/// A name, a version, and what starts the server and tells its port.
type Framework = (&'static str, fn() -> &'static str, fn() -> io::Result<u16>);

pub(crate) const ALL: &[Framework] = &[
    ("event-stream", || version("text-event-stream"), event_stream),
    ("axum", || version("axum"), axum),
    ("actix-web-lab", || version("actix-web-lab"), actix),
    ("rocket", || version("rocket"), rocket),
    ("poem", || version("poem"), poem),
    ("warp", || version("warp"), warp),
    ("salvo", || version("salvo"), salvo),
];

/// The version that the lock file has once.
fn version(name: &str) -> &'static str {
    include_str!("../Cargo.lock")
        .split("[[package]]\n")
        .filter_map(|package| package.strip_prefix("name = \""))
        .filter_map(|package| package.strip_prefix(name))
        .filter_map(|package| package.strip_prefix("\"\nversion = \""))
        .find_map(|package| package.split('"').next())
        .unwrap_or_default()
}

fn listen() -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Serves on a thread of its own until the program ends.
fn on_a_runtime<F: Future>(
    serve: impl FnOnce(AsyncListener) -> F + Send + 'static,
) -> io::Result<u16> {
    let (listener, port) = listen()?;
    listener.set_nonblocking(true)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = AsyncListener::from_std(listener)?;
            serve(listener).await;
            io::Result::Ok(())
        })
    });
    Ok(port)
}

/// A stream of one event.
fn once<T>(event: T) -> impl futures::Stream<Item = Result<T, Infallible>> {
    stream::iter([Ok(event)])
}

/// The book's encoder, behind the least server there can be.
fn event_stream() -> io::Result<u16> {
    use event_stream::{Comment, Event, FieldError};

    fn body(case: Case) -> Result<Vec<u8>, FieldError> {
        let mut body = Vec::new();
        if let Some(text) = case.text_of(Field::Comment) {
            Comment::new(text)?.encode(&mut body);
        }
        let mut event = Event::new(case.data());
        if let Some(text) = case.text_of(Field::Event) {
            event = event.with_type(text)?;
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.with_id(text)?;
        }
        event.encode(&mut body);
        Ok(body)
    }

    fn answer(mut socket: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let number = head.split(['/', ' ']).nth(2).unwrap_or_default();
        let case = number.parse().ok().and_then(Case::at);
        let body = case.ok_or_else(|| io::Error::other("no such case"))?;
        let (status, body) = match body_or_why(body) {
            Ok(body) => ("200 OK", body),
            Err(why) => ("500 Internal Server Error", why.into_bytes()),
        };
        let length = body.len();
        write!(
            socket,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        socket.write_all(&body)
    }

    fn body_or_why(case: Case) -> Result<Vec<u8>, String> {
        body(case).map_err(|error| error.to_string())
    }

    let (listener, port) = listen()?;
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            drop(answer(socket));
        }
    });
    Ok(port)
}

fn axum() -> io::Result<u16> {
    use axum::{
        Router,
        extract::Path,
        http::StatusCode,
        response::{IntoResponse, Sse, sse::Event},
        routing::get,
    };

    // ANCHOR: axum
    async fn events(
        Path(number): Path<usize>,
    ) -> Result<impl IntoResponse, StatusCode> {
        let case = Case::at(number).ok_or(StatusCode::NOT_FOUND)?;
        let mut event = Event::default();
        if let Some(text) = case.text_of(Field::Comment) {
            event = event.comment(text);
        }
        if let Some(text) = case.text_of(Field::Event) {
            event = event.event(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.id(text);
        }
        Ok(Sse::new(once(event.data(case.data()))))
    }
    // ANCHOR_END: axum

    on_a_runtime(|listener| async {
        let app = Router::new().route("/{number}", get(events));
        drop(axum::serve(listener, app).await);
    })
}

fn actix() -> io::Result<u16> {
    use actix_web::{App, HttpServer, Responder, error, rt, web};
    use actix_web_lab::sse::{Data, Event, Sse};

    async fn events(
        number: web::Path<usize>,
    ) -> Result<impl Responder, error::Error> {
        let case = Case::at(*number)
            .ok_or_else(|| error::ErrorNotFound("no such case"))?;
        let comment = case.text_of(Field::Comment).map(Into::into);
        let mut data = Data::new(case.data());
        if let Some(text) = case.text_of(Field::Event) {
            data.set_event(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            data.set_id(text);
        }
        let events = comment.map(Event::Comment).into_iter();
        let events = events.chain([Event::Data(data)]);
        Ok(Sse::from_infallible_stream(stream::iter(events)))
    }

    let (listener, port) = listen()?;
    thread::spawn(move || {
        rt::System::new().block_on(async {
            HttpServer::new(|| {
                App::new().route("/{number}", web::get().to(events))
            })
            .workers(1)
            .disable_signals()
            .listen(listener)?
            .run()
            .await
        })
    });
    Ok(port)
}

fn rocket() -> io::Result<u16> {
    use rocket::{
        Config,
        config::LogLevel,
        fairing::AdHoc,
        get,
        response::stream::{Event, EventStream},
        routes,
    };

    #[get("/<number>")]
    fn events(number: usize) -> Option<EventStream![]> {
        let case = Case::at(number)?;
        let mut event = Event::data(case.data());
        if let Some(text) = case.text_of(Field::Comment) {
            event = event.with_comment(text);
        }
        if let Some(text) = case.text_of(Field::Event) {
            event = event.event(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.id(text);
        }
        let events = EventStream! { yield event; };
        // The first heartbeat comes before or after the event, as it happens.
        Some(events.heartbeat(None))
    }

    let config = Config {
        port: 0,
        log_level: LogLevel::Off,
        shutdown: rocket::config::Shutdown {
            ctrlc: false,
            ..rocket::config::Shutdown::default()
        },
        ..Config::release_default()
    };
    let (sender, ports) = mpsc::channel();
    let app = rocket::custom(config).mount("/", routes![events]).attach(
        AdHoc::on_liftoff("port", move |rocket| {
            Box::pin(async move {
                let _ = sender.send(rocket.config().port);
            })
        }),
    );
    thread::spawn(move || drop(rocket::execute(app.launch())));
    ports.recv().map_err(|_| io::Error::other("rocket did not lift off"))
}

fn poem() -> io::Result<u16> {
    use poem::{
        Result, Route, Server,
        error::NotFoundError,
        get, handler,
        listener::TcpAcceptor,
        web::{
            Path,
            sse::{Event, SSE},
        },
    };

    // It has no comments.
    #[handler]
    fn events(Path(number): Path<usize>) -> Result<SSE> {
        let case = Case::at(number).filter(|it| it.field != Field::Comment);
        let case = case.ok_or(NotFoundError)?;
        let mut event = Event::message(case.data());
        if let Some(text) = case.text_of(Field::Event) {
            event = event.event_type(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.id(text);
        }
        Ok(SSE::new(stream::iter([event])))
    }

    on_a_runtime(|listener| async {
        if let Ok(acceptor) = TcpAcceptor::from_tokio(listener) {
            let app = Route::new().at("/:number", get(events));
            drop(Server::new_with_acceptor(acceptor).run(app).await);
        }
    })
}

fn warp() -> io::Result<u16> {
    use warp::{Filter, reject, reply::Reply, sse};

    async fn events(number: usize) -> Result<impl Reply, warp::Rejection> {
        let case = Case::at(number).ok_or_else(reject::not_found)?;
        let mut event = sse::Event::default().data(case.data());
        if let Some(text) = case.text_of(Field::Comment) {
            event = event.comment(text);
        }
        if let Some(text) = case.text_of(Field::Event) {
            event = event.event(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.id(text);
        }
        Ok(sse::reply(once(event)))
    }

    on_a_runtime(|listener| {
        let app = warp::path!(usize).and_then(events);
        warp::serve(app).incoming(listener).run()
    })
}

fn salvo() -> io::Result<u16> {
    use salvo::{
        Request, Response, Router, Server,
        conn::tcp::TcpAcceptor,
        handler,
        http::StatusCode,
        sse::{self, SseEvent},
    };

    #[handler]
    async fn events(request: &mut Request, response: &mut Response) {
        let number = request.param("number");
        let Some(case) = number.and_then(Case::at) else {
            response.status_code(StatusCode::NOT_FOUND);
            return;
        };
        let mut event = SseEvent::default().text(case.data());
        if let Some(text) = case.text_of(Field::Comment) {
            event = event.comment(text);
        }
        if let Some(text) = case.text_of(Field::Event) {
            event = event.name(text);
        }
        if let Some(text) = case.text_of(Field::Id) {
            event = event.id(text);
        }
        sse::stream(response, once(event));
    }

    on_a_runtime(|listener| async {
        if let Ok(acceptor) = TcpAcceptor::try_from(listener) {
            let app = Router::with_path("{number}").get(events);
            Server::new(acceptor).serve(app).await;
        }
    })
}
