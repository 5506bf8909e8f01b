//! WebSocket (RFC 6455) as a pure state machine: no I/O, no clock, no randomness, no threads, no
//! `unsafe`, no `std`.
//!
//! A [`Session`] is one connection from its first byte to its last, as a server or as a client. The
//! program that embeds it moves the bytes and watches the clock:
//!
//! ```text
//!                           the application
//!            poll_event ▲                    │ decide, send, ping, close
//!          SessionEvent │                    ▼
//!    ┌──────────────────┴─────────────────────────────────────────┐
//!    │  Session:  the opening handshake, then                     │
//!    │                                                            │
//!    │    Connection =  Receiver ────── react, fail ─────▶ Sender │
//!    │                  frames, fragments,                 queue, │
//!    │    Assembler     limits                           closing, │
//!    │    whole messages                                   timers │
//!    └───────▲─────────────────────────────────┬───────▲──────────┘
//!            │ RecvBuf        poll_transmit    │       │ poll_timeout
//!            │                transmitted      ▼       │ handle_timeout
//!                            the transport
//! ```
//!
//! # The contract
//!
//! 1. **Bytes in.** Read into an [`InputBuffer`](session::InputBuffer) with
//!    [`read_with`](session::Session::read_with), and call
//!    [`poll_event_from`](session::Session::poll_event_from) until it returns `None`. The session
//!    takes a message only while there is room for an answer, and nothing while the application
//!    decides on a handshake. While bytes are left, `read_with` reads no more, so that the flow
//!    control of the transport slows the peer down.
//! 2. **Bytes out.** Write with [`write_with`](session::Session::write_with), and poll events
//!    again: writing makes room.
//! 3. **Time.** Call [`handle_timeout`](session::Session::handle_timeout) at the instant that
//!    [`poll_timeout`](session::Session::poll_timeout) returns. An instant in the past means "now".
//! 4. **The end.** When [`wants_shutdown`](session::Session::wants_shutdown) returns true, close
//!    this side of the transport and continue to read. When the input ends, call
//!    [`handle_eof`](session::Session::handle_eof). After [`SessionEvent::Ended`], drop both. The
//!    peer may delay that end. [`is_finished`](session::Session::is_finished) returns true as soon
//!    as the closing handshake is complete.
//!
//! Without an `InputBuffer`, lend the session a buffer with a [`RecvBuf`] and
//! [`poll_event`](session::Session::poll_event); drop the first [`consumed`](RecvBuf::consumed)
//! bytes and keep the rest. Without a closure, write what
//! [`poll_transmit`](session::Session::poll_transmit) returns, and report to
//! [`transmitted`](session::Session::transmitted) how much was written.
//!
//! The core keeps these promises:
//!
//! 5. **Errors** are separated by fault. A [`ProtocolError`] is the peer's fault: it ends the
//!    connection and has been answered with a Close. A [`SendError`] is the caller's fault: nothing
//!    was sent, and the connection is unchanged.
//! 6. **Memory** is bounded. No allocation depends on a number that the peer sent, every queue has
//!    a limit in [`Config`], and an idle [`Connection`] takes at most 256 bytes.
//! 7. **No call panics**, for any bytes and any sequence of calls. Every call makes progress, or
//!    its result shows what the connection waits for.
//!
//! # A whole program
//!
//! This is the example `echo` of this crate, with deadlines, backpressure, and an orderly end from
//! either side:
//!
//! ```no_run
#![doc = include_str!("../examples/echo.rs")]
//! ```
//!
//! The [guide for embedders][guide] has complete programs for an event loop, a simulator, a device
//! without `std`, HTTP libraries, HTTP/2, TLS and C.
//!
//! # The parts beneath a session
//!
//! - A [`Connection`] is an open WebSocket: frames in, frames out, the closing handshake and the
//!   timers. The types of [`handshake`] create one, for example with an HTTP library;
//!   [`Session::opened`] makes a session of it.
//! - An [`Assembler`] makes whole messages of the events of a connection.
//! - A [`Receiver`] and a [`Sender`] are the two halves of a connection, for programs that read and
//!   write in different places.
//!
//! [`Session`]: session::Session
//! [`Session::opened`]: session::Session::opened
//! [`SessionEvent::Ended`]: session::SessionEvent::Ended
//! [guide]: https://github.com/sockeye-rs/sockeye/blob/main/docs/embedding.md
//!
//! Libraries for a subprotocol, such as JSON-RPC, need none of these calls. They use the traits in
//! [`channel`] and run over the connections of every adapter.
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `std` | yes | detects the processor's SIMD at run time, and reuses codecs of [`deflate`] per thread; nothing else of the standard library is used |
//! | `deflate` | yes | permessage-deflate with miniz_oxide: `no_std`, no `unsafe`; see [`deflate`] |
//! | `zlib-rs` | | permessage-deflate with zlib-rs: faster, and its memory shrinks with the window; needs `std` |
//! | `http` | | conversions from and to the types of the `http` crate, for hyper, axum and others; needs `std` |
//! | `url` | | conversions from `url::Url`; needs `std` |
//!
//! With both backends enabled, zlib-rs is used.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Neither a peer's bytes nor a wrong call may cause a panic. These lints deny every way to write
// one.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]

extern crate alloc;
#[cfg(feature = "std")]
#[macro_use]
extern crate std;

mod assembler;
pub mod channel;
mod close;
mod config;
mod connection;
pub mod deflate;
pub mod dial;
mod discard;
mod error;
mod event;
mod frame;
pub mod handshake;
pub mod http;
mod input;
mod mask;
mod message;
mod outbox;
mod prepared;
pub mod proxy;
mod rate;
mod receiver;
mod role;
mod sender;
pub mod session;
mod time;
mod timers;
mod utf8;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use assembler::{
    Assembled, Assembler, DeflatedMessage, Detached, Incoming, InflatingMessage, MergedMessage,
    PartialMessage,
};
pub use close::{CloseCode, CloseFrame, CloseInfo, MAX_CLOSE_REASON, Side};
pub use config::{Config, Keepalive};
pub use connection::Connection;
pub use error::{ProtocolError, SendError, TrySendError};
pub use event::{Control, Data, Event};
pub use frame::{Flags, Frame, InvalidOpcode, MAX_CONTROL_PAYLOAD, Opcode, OutgoingFrame};
pub use input::RecvBuf;
pub use mask::apply_mask;
pub use message::{Message, MessageKind, MessageRef, Payload};
pub use outbox::Transmit;
pub use prepared::Prepared;
pub use rate::{Rate, TokenBucket};
pub use receiver::{Progress, Receiver};
pub use role::{MaskKeys, Role, State};
pub use sender::Sender;
pub use time::Instant;
pub use utf8::{InvalidUtf8, Utf8Stream};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
