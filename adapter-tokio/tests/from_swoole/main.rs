//! Keeps `docs/from-swoole.md` true: runs its examples, and checks its names and numbers.
//!
//! Each file of `examples` is one Rust block of the document.
#![expect(unreachable_pub, reason = "the document shows the examples as a crate would contain them")]

mod document;
mod examples;
mod frames;
mod names;
mod opening;
mod process;
mod requests;

use std::future::Future;

use sockeye_testkit::PATIENCE;

/// Returns the output of `future`, or panics if it takes too long.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the future did not complete in time")
}
