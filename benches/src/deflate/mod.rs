//! permessage-deflate (RFC 7692): servers that have agreed on it, ours beside those that have it.

mod floor;
mod ours;
mod sockudo;
mod yawc;

use std::cell::RefCell;
use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;

use crate::{Memory, Traffic, measure};

/// What both ends have agreed on, and how hard the server tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From 1, the fastest, to 9.
    pub level: u8,
    /// Whether messages refer back to those before them, in both directions.
    pub takeover: bool,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = if self.takeover { "takeover" } else { "no takeover" };
        f.pad(&format!("level {}, {takeover}", self.level))
    }
}

/// A library with permessage-deflate, or one of its ways to be used.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// Its name in the reports.
    pub name: &'static str,
    /// Whether its times are shown without a ratio.
    pub ours: bool,
    /// A server's connection after the handshake, which compresses every message that it sends.
    pub open: for<'t> fn(Memory<'t>, Settings) -> Box<dyn Connection + 't>,
}

/// An open connection of a library. What it costs to call it through a pointer is nothing beside the work.
pub trait Connection {
    /// Receives a whole message, with text checked, and shows it.
    fn receive(&mut self, show: &mut dyn FnMut(&[u8]));

    /// Sends it as text, with one write.
    fn send(&mut self, text: &Text);
}

/// A message to be sent, for those who want characters and for those who want shared bytes. Neither is to be made of the other
/// while the clock runs.
#[derive(Debug, Clone)]
pub struct Text {
    /// As characters.
    pub text: String,
    /// As bytes.
    pub bytes: Bytes,
}

impl Text {
    /// The messages of some traffic.
    #[must_use]
    pub fn all(traffic: &Traffic) -> Vec<Self> {
        let texts = traffic.messages.iter().cloned().map(|message| String::from_utf8(message).expect("text"));
        texts.map(|text| Text { bytes: Bytes::from(text.clone()), text }).collect()
    }
}

/// The name of the row that the ratios are against.
pub const OURS: &str = "sockeye";

/// All of them, and zlib-rs without a WebSocket around it.
pub const LIBRARIES: [Library; 6] = [
    Library { name: "sockeye-core", ours: true, open: ours::core },
    Library { name: OURS, ours: true, open: ours::pooled },
    Library { name: "sockeye-own", ours: true, open: ours::own },
    Library { name: "yawc", ours: false, open: yawc::open },
    Library { name: "sockudo-ws", ours: false, open: sockudo::open },
    Library { name: "zlib-rs alone", ours: false, open: floor::open },
];

/// What this build of Sockeye compresses with.
pub const BACKEND: &str = if cfg!(feature = "zlib-rs") { "zlib-rs" } else { "miniz_oxide" };

/// Work that has been set up, to be done again and again.
pub struct Work<'t> {
    name: &'static str,
    /// The messages in one repetition.
    pub messages: u64,
    /// And the bytes in them.
    bytes: u64,
    /// Does one repetition; answers the bytes.
    once: Box<dyn FnMut() -> u64 + 't>,
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Work<'_> {
    /// How long so many repetitions take.
    pub fn measure(&mut self, repetitions: u64) -> Duration {
        let mut bytes = 0;
        let time = measure(|| (0..repetitions).for_each(|_| bytes += (self.once)()));
        assert_eq!(bytes, repetitions * self.bytes, "{} has lost something", self.name);
        time
    }
}

impl Library {
    /// Receives the traffic. One repetition is all of it: a library may inflate at once what one read has brought, so with less
    /// one turn would pay for what the next ones only hand out.
    #[must_use]
    pub fn inflate<'t>(&self, traffic: &'t Traffic, settings: Settings) -> Work<'t> {
        let mut connection = (self.open)(Memory::new(traffic), settings);
        let messages = traffic.messages.len();
        let once = move || {
            let mut bytes = 0;
            for _ in 0..messages {
                connection.receive(&mut |message| bytes += black_box(message).len() as u64);
            }
            bytes
        };
        let bytes = traffic.messages.iter().map(|message| message.len() as u64).sum();
        Work { name: self.name, messages: messages as u64, bytes, once: Box::new(once) }
    }

    /// Sends messages, each from the next of so many connections. One repetition is one message.
    #[must_use]
    pub fn deflate<'t>(
        &self,
        traffic: &'t Traffic,
        messages: &'t [Text],
        settings: Settings,
        connections: usize,
    ) -> Work<'t> {
        /// What can be referred back to: before the time is taken, all connections have sent as much.
        const WINDOW: usize = 32 << 10;

        let size = traffic.shape.size;
        let open = || (self.open)(Memory::new(traffic), settings);
        let mut open: Vec<_> = std::iter::repeat_with(open).take(connections).collect();
        let mut turn = 0;
        let mut once = move || {
            // Neighbours do not send the same; none sends the same twice before its window has seen all the others.
            let (at, round) = (turn % connections, turn / connections);
            let message = &messages[(at * 37 + round) % messages.len()];
            open[at].send(message);
            turn += 1;
            message.text.len() as u64
        };
        (0..connections * (WINDOW / size + 1)).for_each(|_| _ = once());
        Work { name: self.name, messages: 1, bytes: size as u64, once: Box::new(once) }
    }

    /// How many bytes the messages take on the wire, with headers, when one connection sends them all.
    #[must_use]
    pub fn size(&self, traffic: &Traffic, messages: &[Text], settings: Settings) -> usize {
        let written = RefCell::new(Vec::new());
        let mut connection = (self.open)(Memory::new(traffic).keep(&written), settings);
        messages.iter().for_each(|message| connection.send(message));
        written.borrow().len()
    }
}
