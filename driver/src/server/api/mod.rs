//! What applications touch: handlers, handles and options.

pub mod blocking;
pub(crate) mod callbacks;
pub(crate) mod client;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod options;
