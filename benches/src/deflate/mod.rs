//! Servers that have negotiated permessage-deflate (RFC 7692): Sockeye beside the libraries that
//! have it.

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

/// The negotiated parameters, and the level of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The level, from 1 (fastest) to 9.
    pub level: u8,
    /// Whether messages refer back to earlier ones, in both directions.
    pub takeover: bool,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = if self.takeover { "takeover" } else { "no takeover" };
        f.pad(&format!("level {}, {takeover}", self.level))
    }
}

/// A library with permessage-deflate, in one of its configurations.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// The name in the reports.
    pub name: &'static str,
    /// Whether the reports show its times without a ratio.
    pub ours: bool,
    /// Opens a server's connection after the handshake. It compresses every message that it sends.
    pub open: for<'t> fn(Memory<'t>, Settings) -> Box<dyn Connection + 't>,
}

/// An open connection of a library. The cost of the virtual calls is negligible beside the work.
pub trait Connection {
    /// Receives a whole message, checks its text, and passes it on.
    fn receive(&mut self, show: &mut dyn FnMut(&[u8]));

    /// Sends a text message with one write.
    fn send(&mut self, text: &Text);
}

/// A message to send, as characters and as shared bytes, so that no library converts it during the
/// measurement.
#[derive(Debug, Clone)]
pub struct Text {
    /// The message as characters.
    pub text: String,
    /// The message as bytes.
    pub bytes: Bytes,
}

impl Text {
    /// Returns the messages of the traffic.
    #[must_use]
    pub fn all(traffic: &Traffic) -> Vec<Self> {
        let texts = traffic.messages.iter().cloned().map(|message| String::from_utf8(message).expect("text"));
        texts.map(|text| Text { bytes: Bytes::from(text.clone()), text }).collect()
    }
}

/// The name of the row that the ratios refer to.
pub const OURS: &str = "sockeye";

/// All libraries, and zlib-rs without a WebSocket.
pub const LIBRARIES: [Library; 6] = [
    Library { name: "sockeye-core", ours: true, open: ours::core },
    Library { name: OURS, ours: true, open: ours::pooled },
    Library { name: "sockeye-own", ours: true, open: ours::own },
    Library { name: "yawc", ours: false, open: yawc::open },
    Library { name: "sockudo-ws", ours: false, open: sockudo::open },
    Library { name: "zlib-rs alone", ours: false, open: floor::open },
];

/// The backend of this build of Sockeye.
pub const BACKEND: &str = if cfg!(feature = "zlib-rs") { "zlib-rs" } else { "miniz_oxide" };

/// Work that is set up and can be repeated.
pub struct Work<'t> {
    name: &'static str,
    /// The number of messages in one repetition.
    pub messages: u64,
    /// The number of bytes in one repetition.
    bytes: u64,
    /// Does one repetition and returns the number of bytes.
    once: Box<dyn FnMut() -> u64 + 't>,
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Work<'_> {
    /// Returns the time of the repetitions.
    pub fn measure(&mut self, repetitions: u64) -> Duration {
        let mut bytes = 0;
        let time = measure(|| (0..repetitions).for_each(|_| bytes += (self.once)()));
        assert_eq!(bytes, repetitions * self.bytes, "{} lost bytes", self.name);
        time
    }
}

impl Library {
    /// Creates work that receives the traffic.
    ///
    /// One repetition is the whole traffic: a library may inflate everything that one read
    /// returned, so a shorter turn would also pay for messages of the turns after it.
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

    /// Creates work that sends messages, each on the next connection. One repetition is one
    /// message.
    #[must_use]
    pub fn deflate<'t>(
        &self,
        traffic: &'t Traffic,
        messages: &'t [Text],
        settings: Settings,
        connections: usize,
    ) -> Work<'t> {
        /// The size of the window. Before the measurement, every connection sends as much.
        const WINDOW: usize = 32 << 10;

        let size = traffic.shape.size;
        let open = || (self.open)(Memory::new(traffic), settings);
        let mut open: Vec<_> = std::iter::repeat_with(open).take(connections).collect();
        let mut turn = 0;
        let mut once = move || {
            // Neighbours send different messages, and a connection repeats one only after all the
            // others.
            let (at, round) = (turn % connections, turn / connections);
            let message = &messages[(at * 37 + round) % messages.len()];
            open[at].send(message);
            turn += 1;
            message.text.len() as u64
        };
        (0..connections * (WINDOW / size + 1)).for_each(|_| _ = once());
        Work { name: self.name, messages: 1, bytes: size as u64, once: Box::new(once) }
    }

    /// Returns the size of the messages on the wire, with headers, if one connection sends them
    /// all.
    #[must_use]
    pub fn size(&self, traffic: &Traffic, messages: &[Text], settings: Settings) -> usize {
        let written = RefCell::new(Vec::new());
        let mut connection = (self.open)(Memory::new(traffic).keep(&written), settings);
        messages.iter().for_each(|message| connection.send(message));
        written.borrow().len()
    }
}
