//! The chat: what is done when something happens, once for all runtimes. Nothing here waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sockeye::core::http::{Request, Response};
use sockeye::server::{BoxError, Client, ConnectionId, Inbound, ServerHandle};
use sockeye::{CloseCode, Payload};

use crate::rooms::{self, Room, Rooms, Said};

/// What all connections share.
///
/// It is locked while something is told, so that all in a room hear the same in the same order. That is no long time, for a push
/// only queues. It needs no care for slow readers: `SlowReader::Close` ends their connections, their pages connect again, and the history
/// tells what they have missed.
#[derive(Default)]
pub(crate) struct Chat {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rooms: Rooms<ConnectionId>,
    connections: usize,
    messages: u64,
    bytes: u64,
}

/// What a page may ask for.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Ask {
    Join { room: String, name: String },
    Say { text: String },
    Ping { at: f64 },
}

/// What a page is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Tell<'a> {
    Welcome { id: String, people: Vec<Person<'a>>, history: &'a VecDeque<Said> },
    Came(Person<'a>),
    Left { id: String },
    Said(&'a Said),
    Notice { text: String },
    Pong { at: f64, stats: Stats },
    Sorry { text: &'a str },
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
    pub(crate) fn opened(&self) {
        self.state().connections += 1;
    }

    pub(crate) fn heard(&self, client: &Client, message: Inbound<'_>) {
        let Some(text) = message.as_text() else {
            // An error means that it is closing already.
            let _ = client.close(CloseCode::UNSUPPORTED_DATA, "text only");
            return;
        };
        let mut state = self.state();
        let done = match serde_json::from_str(text) {
            Ok(Ask::Join { room, name }) => state.join(client, &room, &name),
            Ok(Ask::Say { text }) => state.say(client, &text),
            Ok(Ask::Ping { at }) => {
                tell(client, &Tell::Pong { at, stats: state.stats() });
                Ok(())
            }
            Err(_) => Err(r#"Begin with {"type": "join", "room": "lobby", "name": "…"}."#),
        };
        if let Err(text) = done {
            tell(client, &Tell::Sorry { text });
        }
    }

    pub(crate) fn closed(&self, client: &Client) {
        let mut state = self.state();
        state.connections -= 1;
        state.leave(client);
    }

    /// Plain HTTP.
    pub(crate) fn answer(&self, server: &ServerHandle, request: &Request) -> Result<Response, BoxError> {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => page(),
            ("GET" | "HEAD", "/stats") => {
                let stats = serde_json::to_vec(&self.state().stats())?;
                Ok(Response::new(200).body(stats).header("Content-Type", "application/json")?)
            }
            // Changes something, so it is no HEAD.
            ("GET", "/push") => match request.param("message").as_deref().and_then(rooms::text) {
                Some(text) => {
                    let reached = server.broadcast(|_| true, json(&Tell::Notice { text })).queued;
                    Ok(Response::text(200, format!("reached {reached}\n")))
                }
                None => Ok(Response::text(400, "as /push?message=… with 1 to 1000 characters\n")),
            },
            _ => Ok(Response::text(404, "there is nothing here\n")),
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
        tell(client, &Tell::Welcome { id: id.to_string(), people, history: &room.history });
        let person = Person { id: id.to_string(), name: &room.people[&id] };
        tell_room(client, room, &Tell::Came(person));
        Ok(())
    }

    fn say(&mut self, client: &Client, text: &str) -> Result<(), &'static str> {
        let (room, said) = self.rooms.say(client.id(), text)?;
        self.messages += 1;
        self.bytes += said.text.len() as u64;
        tell_room(client, room, &Tell::Said(said));
        Ok(())
    }

    fn leave(&mut self, client: &Client) {
        if let Some(room) = self.rooms.leave(client.id()) {
            tell_room(client, room, &Tell::Left { id: client.id().to_string() });
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

/// Encodes, and compresses, once for all.
fn tell_room(client: &Client, room: &Room<ConnectionId>, what: &Tell<'_>) {
    client.server().broadcast_to(room.people.keys().copied(), json(what));
}

fn tell(client: &Client, what: &Tell<'_>) {
    // An error means that it is leaving, or too slow and therefore made to.
    let _ = client.push(json(what));
}

fn json(what: &Tell<'_>) -> Payload<'static> {
    serde_json::to_string(what).unwrap_or_default().into()
}

/// The page, which may load nothing but itself: what it shows cannot become a script, whatever it is.
fn page() -> Result<Response, BoxError> {
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
