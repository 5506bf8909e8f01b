//! Sessions: one connection from its first byte to its last, in both roles.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod buffered;
mod ends;
mod everywhere;
mod http;
mod messages;
mod opening;
mod random;
mod support;
