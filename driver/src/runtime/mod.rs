//! What a runtime implements: a byte stream and a clock.

#[cfg(feature = "async-io")]
pub mod async_io;
pub(crate) mod clock;
pub(crate) mod io;
