//! Ports: opening listening sockets, and accepting their connections.

pub(crate) mod accept_loop;
pub(crate) mod listen;
