//! The task of one connection: HTTP, the opening handshake, then WebSocket messages.

pub(crate) mod body;
pub(crate) mod busy;
mod deliver;
pub(crate) mod exchange;
pub(crate) mod first_bytes;
pub(crate) mod guard;
pub(crate) mod http_phase;
pub(crate) mod inbox;
pub(crate) mod limiter;
pub(crate) mod message_phase;
pub(crate) mod on_thread;
pub(crate) mod proxied;
pub(crate) mod response;
mod run;
pub(crate) mod shared_link;
pub(crate) mod speaker;
pub(crate) mod task;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod upgrade;
