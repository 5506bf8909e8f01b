//! The helpers that Sockeye's tests share.
//!
//! | To test | Use |
//! |---|---|
//! | bytes on the wire | [`frames`]: builds and reads frames without the code under test |
//! | the opening handshake | [`handshake`]: the sample request and key of RFC 6455 |
//! | a [`Connection`](sockeye_core::Connection) | [`pair`]: one end or two, in memory, on a virtual clock |
//! | compression | [`deflate`]: ends that have negotiated it, and a counting codec pool |
//! | a server over real sockets | [`RawClient`]: a blocking client that sends any bytes |
//! | events that arrive later | [`eventually`] and [`EventLog`] |
//! | memory | [`memory`]: an allocator that counts |
//! | the driver or a server in memory | `sim`, with the feature `driver`: a faulty transport, a virtual clock, an executor |
//!
//! Helpers fail by panicking, so a failed helper fails its test.
//!
//! The crate is a dev-dependency of the crates that it depends on. Cargo allows this cycle for
//! tests in `tests/`. Unit tests in `src/` are compiled as a separate crate, whose types differ
//! from the ones here.

pub mod deflate;
pub mod frames;
pub mod handshake;
pub mod memory;
pub mod pair;
#[cfg(feature = "driver")]
pub mod sim;

mod raw_client;
mod wait;

pub use raw_client::{Answer, RawClient, Stream};
pub use wait::{EventLog, PATIENCE, eventually};
