//! The libraries. Each is used as its own documentation shows, and all do the same work.

mod fastwebsockets;
mod ours;
mod tokio_websockets;
mod tungstenite;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sockeye_core::Role;

pub use self::fastwebsockets::FastWebSockets;
pub(crate) use self::ours::READ;
pub use self::ours::{Sockeye, SockeyeCore, SockeyeLent, Still};
pub use self::tokio_websockets::TokioWebSockets;
pub use self::tungstenite::Tungstenite;
use crate::{Kind, Memory};

/// The number of messages in one write, for libraries that can combine them.
const BATCH: u64 = 16;

/// A WebSocket library, in one of its configurations.
pub trait Library {
    /// The name in the reports.
    const NAME: &'static str;

    /// Receives `count` whole messages as a server, checks their text, and returns the number of
    /// bytes.
    fn decode(memory: Memory<'_>, count: u64) -> u64;

    /// Receives `count` messages as a server, sends each back, and returns the number of bytes
    /// received. If the library can, it answers messages that arrived together with one write.
    fn echo(memory: Memory<'_>, count: u64) -> u64;

    /// Sends the same message `count` times and returns the number of bytes sent. If the library
    /// can, it puts sixteen into one write. Returns `None` if the library cannot send like this.
    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64>;
}

/// The messages to send, and how.
#[derive(Debug, Clone)]
pub struct Encode {
    /// Whether to send as a server, which does not mask.
    pub role: Role,
    /// The kind of the message.
    pub kind: Kind,
    /// The message, which a library may share or copy.
    pub payload: Bytes,
    /// The payload of each frame, or `None` for one frame.
    pub fragment: Option<usize>,
    /// Whether the message may be encoded once and sent repeatedly.
    pub prepared: bool,
}

impl Encode {
    /// Returns a message in one frame.
    #[must_use]
    pub fn new(role: Role, kind: Kind, payload: Vec<u8>) -> Self {
        Encode { role, kind, payload: payload.into(), fragment: None, prepared: false }
    }

    fn text(&self) -> Option<&str> {
        let text = || std::str::from_utf8(&self.payload).expect("the payload is text");
        self.kind.is_text().then(text)
    }
}

/// Polls a future until it is ready, without a runtime. Waiting for memory never takes more than
/// another poll.
pub(crate) fn spin<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
