//! What the server knows of its connections, and how a push reaches one.

pub(crate) mod admission;
pub(crate) mod broadcast;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod hub;
pub(crate) mod info;
pub(crate) mod pending;
pub(crate) mod push;
pub(crate) mod waiting_push;
