//! The Rust blocks of the document, one file each.

pub(crate) mod client_info;
pub(crate) mod close_frame;
pub(crate) mod compression_client;
pub(crate) mod compression_server;
pub(crate) mod defer;
pub(crate) mod first_server;
pub(crate) mod handshake;
pub(crate) mod pack;
pub(crate) mod ping_client;
pub(crate) mod ping_frame;
pub(crate) mod ping_option;
pub(crate) mod ping_server;
pub(crate) mod pong_frame;
pub(crate) mod pong_option;
pub(crate) mod prelude;
pub(crate) mod request;
pub(crate) mod request_class;
pub(crate) mod subprotocol;
