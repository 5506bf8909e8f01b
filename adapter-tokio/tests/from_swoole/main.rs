//! Keeps `docs/from-swoole.md` true: its examples are run, and what it says of names and numbers is checked.
//!
//! Each file of `examples` is a Rust block of the document, whole.
#![expect(unreachable_pub, reason = "the examples are shown as they would stand in a crate")]

mod document;
mod examples;
mod frames;
mod names;
mod opening;
mod process;
mod requests;

use std::future::Future;

use sockeye_testkit::PATIENCE;

/// What `future` gives, which has to be soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("something that comes")
}
