//! Code shared by the examples of the adapters.
//!
//! Each adapter's `chat.rs` is a `main` function around [`chat`]; its `autobahn_server.rs` and
//! `autobahn_client.rs` take their limits from [`Options`].
#![forbid(unsafe_code)]

pub mod chat;
mod options;

pub use options::Options;

/// The examples of the repository's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
