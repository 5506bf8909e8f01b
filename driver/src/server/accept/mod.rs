//! Ports: opening sockets, accepting connections, and the runtime that does both.

pub(crate) mod accept_loop;
pub(crate) mod listen;
