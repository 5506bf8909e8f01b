//! The API for applications: event handlers, handles to push with, and the options of a port.

pub mod blocking;
pub(crate) mod callbacks;
pub(crate) mod client;
mod data;
pub(crate) mod endpoint;
mod figures;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod http_request;
pub(crate) mod inbound;
#[cfg(feature = "json")]
pub(crate) mod json;
pub(crate) mod listen_options;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod outcome;
pub(crate) mod port;
pub(crate) mod presence;
pub(crate) mod publish;
pub(crate) mod stats;
mod topics;
