//! A chat with rooms, for every adapter. No function here blocks.

mod args;
mod handlers;
mod rooms;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, Payload};
use sockeye_driver::server::{BoxError, Client, ConnectionId, Inbound, ServerHandle};

use rooms::{ChatMessage, Room, Rooms};

pub use args::{Args, GRACE, SLOW_READER, limits};

/// The state that all connections share, and their handler.
///
/// The lock is held while an event is sent, so that everyone in a room sees the same events in the
/// same order. That takes little time, because a push only queues. Slow readers need no care here:
/// `SlowReader::Close` disconnects them, their pages reconnect, and the history contains what they
/// missed.
#[derive(Debug, Default)]
pub struct Chat {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rooms: Rooms<ConnectionId>,
    connections: usize,
    messages: u64,
    bytes: u64,
}

/// A message from a page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Command {
    Join { room: String, name: String },
    Say { text: String },
    Ping { at: f64 },
}

/// A message to a page.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event<'a> {
    Welcome { id: String, people: Vec<Person<'a>>, history: &'a VecDeque<ChatMessage> },
    Joined(Person<'a>),
    Left { id: String },
    Message(&'a ChatMessage),
    Notice { text: String },
    Pong { at: f64, stats: Stats },
    Error { text: &'a str },
}

#[derive(Serialize)]
struct Person<'a> {
    id: String,
    name: &'a str,
}

#[derive(Serialize)]
struct Stats {
    connections: usize,
    rooms: usize,
    messages: u64,
    bytes: u64,
}

impl Chat {
    fn on_open(&self) {
        self.state().connections += 1;
    }

    fn on_message(&self, client: &Client, message: Inbound<'_>) {
        let Some(text) = message.as_text() else {
            // An error means that the connection is closing already.
            let _ = client.close(CloseCode::UNSUPPORTED_DATA, "text only");
            return;
        };
        let mut state = self.state();
        let result = match serde_json::from_str(text) {
            Ok(Command::Join { room, name }) => state.join(client, &room, &name),
            Ok(Command::Say { text }) => state.say(client, &text),
            Ok(Command::Ping { at }) => {
                push(client, &Event::Pong { at, stats: state.stats() });
                Ok(())
            }
            Err(_) => Err(r#"Begin with {"type": "join", "room": "lobby", "name": "…"}."#),
        };
        if let Err(text) = result {
            push(client, &Event::Error { text });
        }
    }

    fn on_close(&self, client: &Client) {
        let mut state = self.state();
        state.connections -= 1;
        state.leave(client);
    }

    /// Answers a plain HTTP request.
    fn respond(&self, server: &ServerHandle, request: &Request) -> Result<Response, BoxError> {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => page(),
            ("GET" | "HEAD", "/stats") => {
                let stats = serde_json::to_vec(&self.state().stats())?;
                Ok(Response::new(200).body(stats).header("Content-Type", "application/json")?)
            }
            ("GET" | "HEAD", "/metrics") => {
                let text = server.stats().to_prometheus();
                Ok(Response::new(200).body(text).header("Content-Type", "text/plain; version=0.0.4")?)
            }
            ("GET" | "HEAD", "/healthz") => Ok(Response::text(200, "ok\n")),
            // A balancer sends no more clients.
            ("GET" | "HEAD", "/readyz") if server.is_shutting_down() => {
                Ok(Response::text(503, "shutting down\n"))
            }
            ("GET" | "HEAD", "/readyz") => Ok(Response::text(200, "ok\n")),
            // GET only: the request has an effect, which HEAD must not have.
            ("GET", "/push") => match request.param("message").as_deref().and_then(rooms::clean_text) {
                Some(text) => {
                    let reached = server.broadcast(|_| true, json(&Event::Notice { text })).queued;
                    Ok(Response::text(200, format!("reached {reached}\n")))
                }
                None => Ok(Response::text(400, "use /push?message=… with 1 to 1000 characters\n")),
            },
            _ => Ok(Response::text(404, "not found\n")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, client: &Client, room: &str, name: &str) -> Result<(), &'static str> {
        self.leave(client);
        let id = client.id();
        let room = self.rooms.join(id, room, name)?;
        let people = room.people.iter().map(|(id, name)| Person { id: id.to_string(), name }).collect();
        push(client, &Event::Welcome { id: id.to_string(), people, history: &room.history });
        let person = Person { id: id.to_string(), name: &room.people[&id] };
        push_to_room(client, room, &Event::Joined(person));
        Ok(())
    }

    fn say(&mut self, client: &Client, text: &str) -> Result<(), &'static str> {
        let (room, message) = self.rooms.say(client.id(), text)?;
        self.messages += 1;
        self.bytes += message.text.len() as u64;
        push_to_room(client, room, &Event::Message(message));
        Ok(())
    }

    fn leave(&mut self, client: &Client) {
        if let Some(room) = self.rooms.leave(client.id()) {
            push_to_room(client, room, &Event::Left { id: client.id().to_string() });
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            connections: self.connections,
            rooms: self.rooms.len(),
            messages: self.messages,
            bytes: self.bytes,
        }
    }
}

/// Encodes and compresses the event once for everyone in the room.
fn push_to_room(client: &Client, room: &Room<ConnectionId>, event: &Event<'_>) {
    client.server().broadcast_to(room.people.keys().copied(), json(event));
}

fn push(client: &Client, event: &Event<'_>) {
    // An error means that the client is leaving or is being disconnected as a slow reader.
    let _ = client.push(json(event));
}

fn json(event: &Event<'_>) -> Payload<'static> {
    serde_json::to_string(event).unwrap_or_default().into()
}

/// Returns the page. Its policy forbids every script but its own, so no chat message can become
/// one.
///
/// # Errors
///
/// Returns an error if the policy were no valid header.
pub fn page() -> Result<Response, BoxError> {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = Response::html(200, include_str!("page.html").replace("{nonce}", &nonce))
        .header("Content-Security-Policy", policy)?
        .header("Cache-Control", "no-store")?
        .header("Referrer-Policy", "no-referrer")?
        .header("X-Content-Type-Options", "nosniff")?;
    Ok(page)
}
