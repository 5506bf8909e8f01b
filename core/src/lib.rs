//! WebSocket (RFC 6455) as a pure state machine: no I/O, no clock, no randomness, no threads, no
//! `unsafe`, no `std`.
//!
//! ```text
//!                            the application
//!          poll_event ▲        ▲ Assembler      │ send, ping, close
//!                     │  Event │ Message        ▼
//!    ┌────────────────┴────────┴──────────────────────────────────┐
//!    │  Connection =  Receiver ────── react, fail ─────▶ Sender   │
//!    │                frames, fragments,                 queue,   │
//!    │                limits                             closing, │
//!    │                                                   timers   │
//!    └───────▲─────────────────────────────────┬───────▲──────────┘
//!            │ RecvBuf        poll_transmit    │       │ poll_timeout
//!            │                transmitted      ▼       │ handle_timeout
//!                             the transport
//! ```
//!
//! An opening [`handshake`] creates a [`Connection`]; so do [`Connection::server`] and
//! [`Connection::client`] after a handshake by another library. Then drive it like this:
//!
//! 1. **Input.** Lend the bytes that were read as a [`RecvBuf`], and call
//!    [`poll_event`](Connection::poll_event), or [`Assembler::poll`] for whole messages, until it
//!    returns `None`. All bytes have then been taken.
//! 2. **Output.** After every other call, write the bytes that
//!    [`poll_transmit`](Connection::poll_transmit) returns, and pass the number of bytes written to
//!    [`transmitted`](Connection::transmitted).
//! 3. **Time.** Call [`handle_timeout`](Connection::handle_timeout) at the instant that
//!    [`poll_timeout`](Connection::poll_timeout) returns. An instant in the past means "now".
//! 4. **End.** When [`wants_shutdown`](Connection::wants_shutdown) is true, close this side of the
//!    transport and continue to read. When the input ends, call
//!    [`handle_eof`](Connection::handle_eof). When the state is [`State::Closed`], drop both.
//!
//! The core keeps these promises:
//!
//! 5. **Errors** are separated by fault. A [`ProtocolError`] is the peer's fault: it ends the
//!    connection and has been answered with a Close. A [`SendError`] is the caller's fault: nothing
//!    was sent, and the connection is unchanged.
//! 6. **Memory** is bounded. No allocation depends on a number that the peer sent, every queue has
//!    a limit in [`Config`], and an idle connection takes at most 256 bytes.
//! 7. **No call panics**, for any bytes and any sequence of calls. Every call makes progress, or
//!    its result shows what the connection waits for.
//!
//! This is the whole loop over a blocking stream, without deadlines. `sockeye-std` has a loop with
//! deadlines.
//!
//! ```
//! use std::io::{Read, Write};
//! use sockeye_core::{Assembler, Connection, Incoming, RecvBuf, State};
//!
//! fn echo(mut stream: impl Read + Write, mut connection: Connection) -> std::io::Result<()> {
//!     let (mut assembler, mut bytes) = (Assembler::new(), [0; 4096]);
//!     while connection.state() != State::Closed {
//!         while let Some(transmit) = connection.poll_transmit() {
//!             let written = stream.write(transmit.first())?;
//!             connection.transmitted(written);
//!         }
//!         match stream.read(&mut bytes)? {
//!             0 => connection.handle_eof(),
//!             n => {
//!                 let mut input = RecvBuf::new(&mut bytes[..n]);
//!                 // After an error, the next round writes the Close that answers it.
//!                 while let Ok(Some(incoming)) = assembler.poll(&mut connection, &mut input) {
//!                     if let Incoming::Message(message) = incoming {
//!                         connection.send(message.as_ref()).expect("room for an answer");
//!                     }
//!                 }
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # struct Peer(Vec<u8>, Vec<u8>);
//! # impl Read for Peer {
//! #     fn read(&mut self, b: &mut [u8]) -> std::io::Result<usize> {
//! #         let n = self.0.len().min(b.len());
//! #         b[..n].copy_from_slice(&self.0[..n]);
//! #         self.0.drain(..n);
//! #         Ok(n)
//! #     }
//! # }
//! # impl Write for Peer {
//! #     fn write(&mut self, b: &[u8]) -> std::io::Result<usize> { self.1.extend_from_slice(b); Ok(b.len()) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut peer = Peer(b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0".to_vec(), Vec::new());
//! # echo(&mut peer, Connection::server(Default::default()))?;
//! # assert_eq!(peer.1, b"\x81\x02hi\x88\x00");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `std` | yes | detects the processor's SIMD at run time; nothing else of the standard library is used |
//! | `deflate` | yes | permessage-deflate with miniz_oxide: `no_std`, no `unsafe`; see [`deflate`] |
//! | `zlib-rs` | | permessage-deflate with zlib-rs: faster, and its memory shrinks with the window; needs `std` |
//! | `http` | | conversions from and to the types of the `http` crate, for hyper, axum and others; needs `std` |
//!
//! With both backends enabled, zlib-rs is used.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembler;
mod close;
mod config;
mod connection;
pub mod deflate;
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
mod receiver;
mod role;
mod sender;
pub mod session;
mod time;
mod timers;
mod utf8;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use assembler::{Assembled, Assembler, Incoming, PartialMessage};
pub use close::{CloseCode, CloseFrame, CloseInfo, MAX_CLOSE_REASON, Side};
pub use config::{Config, Keepalive};
pub use connection::Connection;
pub use error::{ProtocolError, SendError, TrySendError};
pub use event::Event;
pub use frame::{Flags, Frame, InvalidOpcode, MAX_CONTROL_PAYLOAD, Opcode, OutgoingFrame};
pub use input::RecvBuf;
pub use mask::apply_mask;
pub use message::{Message, MessageKind, MessageRef, Payload};
pub use outbox::Transmit;
pub use prepared::Prepared;
pub use receiver::Receiver;
pub use role::{MaskKeys, Role, State};
pub use sender::Sender;
pub use time::Instant;
pub use utf8::{InvalidUtf8, Utf8Stream};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
