//! Reaching a server without I/O: addresses, proxies, redirects (K6).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod environment;
mod happy_eyeballs;
mod proxy;
mod redirects;
mod tunnels;
