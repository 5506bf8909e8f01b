//! The helpers that Sockeye's tests share.
//!
//! - Bytes on the wire: [`frames`] builds and reads frames without the code under test.
//! - The opening handshake: [`handshake`] has the sample request and key of RFC 6455.
//! - A [`Connection`](sockeye_core::Connection): [`pair`] runs one end or two in memory, on a
//!   virtual clock.
//! - Compression: [`deflate`] has ends that have negotiated it, and a codec pool that counts.
//! - A server over real sockets: [`RawClient`] is a blocking client that sends any bytes.
//!   [`eventually`] and [`EventLog`] wait for events. [`assert_survives_without_descriptors`] tests
//!   accept loops.
//! - A client that stays connected: [`RestartingServer`] is killed and restarted under load, and
//!   [`GapCheck`] checks what the client reports.
//! - Clients: [`SilentListener`] is an address that does not answer.
//! - The driver, or a server in memory: `sim`, which needs the feature `driver`, has a transport
//!   that misbehaves on request, a clock that only the test moves, and an executor that finds lost
//!   wakers.
//! - Certificates: [`tls`] has those of a test authority, valid and invalid.
//! - Memory: [`memory`] has an allocator that counts.
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
pub mod tls;

mod descriptors;
mod polls;
mod raw_client;
mod restarting_server;
#[cfg(unix)]
mod silent;
mod wait;

pub use descriptors::assert_survives_without_descriptors;
pub use polls::{poll_at_most, poll_once, until_woken, yield_now};
pub use raw_client::{Answer, RawClient, Stream};
pub use restarting_server::{GapCheck, RestartingServer, assert_each_once};
#[cfg(unix)]
pub use silent::SilentListener;
pub use wait::{EventLog, PATIENCE, eventually};
