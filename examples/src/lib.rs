//! Code shared by the examples of the adapters, and a library that runs on all of them.
//!
//! [`json_rpc`] is the model for libraries that are written once, over any adapter. Each adapter's
//! `chat.rs` is a `main` function around [`chat`]; its `autobahn_server.rs` and
//! `autobahn_client.rs` take their limits from [`Options`]. [`auth`] compares tokens, and [`questions`]
//! asks clients and waits for their answers.
#![forbid(unsafe_code)]

pub mod auth;
pub mod chat;
pub mod json_rpc;
mod options;
pub mod questions;

pub use options::Options;

/// Returns the text of an error and of its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// The examples of the repository's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples of docs/production.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/production.md")]
struct Production;
