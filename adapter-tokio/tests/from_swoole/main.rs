//! Keeps `docs/from-swoole.md` true: its examples are run, and what it says of names and numbers is checked.
//!
//! Each file of `examples` is a Rust block of the document, whole.
#![expect(unreachable_pub, reason = "the examples are shown as they would stand in a crate")]

#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../../../driver/tests/server/client.rs"]
mod client;
mod document;
mod examples;
mod frames;
mod names;
mod opening;
mod process;
mod requests;

use std::future::Future;
use std::time::Duration;

/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `future` gives, which has to be soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("something that comes")
}
