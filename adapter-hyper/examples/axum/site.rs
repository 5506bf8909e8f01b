//! The site: what axum answers, and the events of the WebSockets.

use std::convert::Infallible;
use std::fmt::Write;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use sockeye_examples::chat::{self, Chat};
use sockeye_hyper::{Config, Upgrade};
use sockeye_tokio::CloseInfo;
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::protocol::http;
use sockeye_tokio::server::{BoxError, Client, Decision, Handler, HandlerResult, Inbound, ServerHandle};
use tokio::sync::broadcast;

/// The largest upload, in bytes.
const MAX_UPLOAD: usize = 64 << 20;

/// The events of the WebSockets: a chat at `/`, and an echo at `/ws`.
pub(crate) struct Site {
    chat: Chat,
    /// The messages of the chat, for `/events`.
    said: broadcast::Sender<String>,
}

/// A connection to `/ws`.
struct Echo;

/// The user, whom the cookie `name` names.
#[derive(Clone)]
struct User(String);

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Returns the limits of a WebSocket. `deflate` compresses it.
pub(crate) fn config(deflate: Deflate) -> Config {
    // Room for the largest echo, also in small fragments, and for the history of a room.
    Config::new().max_size(16 << 20).max_fragments(1 << 18).high_water_mark(1 << 20).deflate(deflate)
}

impl Site {
    /// Returns the handler of the WebSockets, and the application for everything else.
    pub(crate) fn new() -> (Self, Router) {
        let (said, _) = broadcast::channel(64);
        let with_login = Router::new()
            .route("/me", get(|Extension(user): Extension<User>| async { user.0 }))
            .route("/events", get(events))
            .layer(from_fn(require_login));
        let app = Router::new()
            .route("/", get(page))
            .route("/login", post(login))
            .route("/upload", post(upload).layer(DefaultBodyLimit::max(MAX_UPLOAD)))
            .route("/metrics", get(metrics))
            .merge(with_login)
            .with_state(said.clone());
        (Site { chat: Chat::default(), said }, app)
    }
}

impl Handler for Site {
    async fn handshake(&self, _: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        Ok(match upgrade.path() {
            "/" | "/ws" => Decision::Policy,
            _ => Decision::Respond(http::Response::text(404, "connect to / or to /ws\n")),
        })
    }

    async fn open(&self, client: &Client, request: &http::Request) -> HandlerResult {
        if request.path() == "/ws" {
            client.set_data(Echo);
            return Ok(());
        }
        self.chat.open(client, request).await
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        if client.data::<Echo>().is_some() {
            client.send(message).await?;
            return Ok(());
        }
        if let Some(text) = message.as_text() {
            // It fails if nothing listens to the events.
            let _ = self.said.send(text.to_owned());
        }
        self.chat.message(client, message).await
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        if client.data::<Echo>().is_some() { Ok(()) } else { self.chat.close(client, info).await }
    }
}

async fn page() -> Result<Response, StatusCode> {
    let page = chat::page().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let page = axum::http::Response::<Vec<u8>>::try_from(page);
    Ok(page.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map(Body::from))
}

async fn login(Form(login): Form<Login>) -> Response {
    // A cookie has only some of the characters of ASCII.
    if login.name.is_empty() || !login.name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return (StatusCode::BAD_REQUEST, "a name has letters and digits\n").into_response();
    }
    let cookie = format!("name={}; HttpOnly; SameSite=Lax; Path=/", login.name);
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Middleware that lets only users with a cookie pass.
async fn require_login(headers: HeaderMap, mut request: Request, next: Next) -> Response {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let name = cookies.flat_map(|line| line.split("; ")).find_map(|cookie| cookie.strip_prefix("name="));
    let Some(name) = name else {
        return (StatusCode::UNAUTHORIZED, "log in with: curl -c jar -d name=Ada …/login\n").into_response();
    };
    let user = User(name.to_owned());
    request.extensions_mut().insert(user);
    next.run(request).await
}

/// Streams what is said in the chat.
async fn events(
    State(said): State<broadcast::Sender<String>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = unfold(said.subscribe(), |mut said| async {
        loop {
            match said.recv().await {
                Ok(text) => return Some((Ok(Event::default().data(text)), said)),
                // The client reads too slowly, and misses some.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Counts the bytes of each file.
async fn upload(mut form: Multipart) -> Result<String, axum::extract::multipart::MultipartError> {
    let mut report = String::new();
    while let Some(mut field) = form.next_field().await? {
        let name = field.file_name().or(field.name()).unwrap_or("unnamed").to_owned();
        let mut len = 0;
        while let Some(part) = field.chunk().await? {
            len += part.len();
        }
        let _ = writeln!(report, "{name}: {len} bytes");
    }
    Ok(report)
}

/// Reports the figures of the server.
async fn metrics(Extension(server): Extension<ServerHandle>) -> String {
    let (stats, mut report) = (server.stats(), String::new());
    for (name, value) in [
        ("connections", stats.total.connections as u64),
        ("websockets_open", stats.total.open as u64),
        ("websockets_opened", stats.total.opened),
        ("requests", stats.total.requests),
        ("messages_received", stats.total.received.messages),
        ("messages_sent", stats.total.sent.messages),
        ("queued_bytes", stats.queued_bytes as u64),
    ] {
        let _ = writeln!(report, "sockeye_{name} {value}");
    }
    report
}
