//! Checks that an [`Io`](crate::Io) or a [`Clock`](crate::Clock) keeps its contract.
//!
//! The author of an adapter runs [`check_io`] and [`check_clock`] in a test. Both take a function
//! that lets time pass, because a check must wait for wake-ups that may not come. An adapter passes
//! the `sleep` of its runtime; a simulation passes a function that moves its clock.
//!
//! ```
//! # use std::io;
//! # use std::time::Duration;
//! # use sockeye_driver::Io;
//! # async fn sleep(_: Duration) {}
//! # async fn pair<S: Io>() -> io::Result<(S, S)> { Err(io::ErrorKind::Unsupported.into()) }
//! use sockeye_driver::conformance::{Breach, check_clock, check_io};
//!
//! async fn check<S: Io, C: sockeye_driver::Clock + Default>() -> Result<(), Breach> {
//!     // A connected pair for each check. The first of the two is checked.
//!     check_io(async || pair::<S>().await.expect("a connected pair"), sleep).await?;
//!     check_clock(C::default, sleep).await
//! }
//! ```
//!
//! [`check_yield`] checks one more rule of the clock. It runs as a task of the runtime.
//!
//! A check that passes takes less than a second. A check that fails may take some seconds, because
//! it waits for a wake-up that does not come.

mod clock;
mod io;
mod polls;
mod rule;
mod transfer;
mod wake;

pub use clock::{check_clock, check_yield};
pub use io::check_io;
pub use rule::{Breach, Rule};
