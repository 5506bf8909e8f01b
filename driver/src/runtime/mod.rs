//! The traits that a runtime implements: a byte stream and a clock, and for a server also tasks and
//! listening sockets.

#[cfg(feature = "server")]
pub(crate) mod address;
#[cfg(feature = "async-io")]
pub mod async_io;
pub(crate) mod block_on;
pub(crate) mod clock;
pub(crate) mod io;
mod pointers;
#[cfg(feature = "server")]
pub(crate) mod server;
