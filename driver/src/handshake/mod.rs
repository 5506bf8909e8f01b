//! The opening handshakes over a transport.

pub(crate) mod accept;
pub(crate) mod connect;
pub(crate) mod entropy;
pub(crate) mod opening;
