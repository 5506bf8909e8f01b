//! The libraries, each driven as its own documentation does it, all with the same work.

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

/// One write for this many messages where a library that only sends can put them together.
const BATCH: u64 = 16;

/// A WebSocket library, or one of its ways to be used.
pub trait Library {
    /// Its name in the reports.
    const NAME: &'static str;

    /// Receives `count` whole messages as a server, with text checked; answers the bytes in them.
    fn decode(memory: Memory<'_>, count: u64) -> u64;

    /// Receives `count` messages as a server and sends each back, if it can with one write for what had come
    /// together; answers the bytes received.
    fn echo(memory: Memory<'_>, count: u64) -> u64;

    /// Sends the same message `count` times, if it can with one write for sixteen; answers the bytes sent. `None`
    /// if it cannot do what is asked.
    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64>;
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Encode {
    /// A server does not mask, a client does.
    pub role: Role,
    /// Text or binary.
    pub kind: Kind,
    /// The message; a library may share it or copy it, as it can.
    pub payload: Bytes,
    /// Bytes in each of its frames; `None` for one frame.
    pub fragment: Option<usize>,
    /// Whether it may be encoded once for all the times that it is sent.
    pub prepared: bool,
}

impl Encode {
    /// A message in one frame.
    #[must_use]
    pub fn new(role: Role, kind: Kind, payload: Vec<u8>) -> Self {
        Encode { role, kind, payload: payload.into(), fragment: None, prepared: false }
    }

    fn text(&self) -> Option<&str> {
        let text = || std::str::from_utf8(&self.payload).expect("text is made of characters");
        self.kind.is_text().then(text)
    }
}

/// Polls a future until it is done, without a runtime: a wait in memory is over when one looks again.
pub(crate) fn spin<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
