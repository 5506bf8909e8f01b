//! Code shared by the examples of the adapters, and a library that runs on all of them.
//!
//! [`json_rpc`] is the model for libraries that are written once, over any adapter. Each adapter's `chat.rs` is a `main` function around [`chat`]; its `autobahn_server.rs` and
//! `autobahn_client.rs` take their limits from [`Options`].
#![forbid(unsafe_code)]

pub mod chat;
pub mod json_rpc;
mod options;

pub use options::Options;

/// The examples of the repository's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
