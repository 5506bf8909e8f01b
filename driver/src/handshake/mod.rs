//! The opening handshakes of server and client over a transport.

pub(crate) mod accept;
pub(crate) mod connect;
pub(crate) mod entropy;
pub(crate) mod opening;
