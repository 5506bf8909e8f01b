//! The registry: the connections that the server knows, and the path of a push to each.
//!
//! The other modules of the server build on this one, which imports none of them.

pub(crate) mod admission;
pub(crate) mod broadcast;
pub(crate) mod changes;
pub(crate) mod closed_waiters;
pub(crate) mod counters;
pub(crate) mod counts;
pub(crate) mod drain;
pub(crate) mod early_pushes;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod extras;
pub(crate) mod flag;
pub(crate) mod hub;
pub(crate) mod info;
pub(crate) mod keeper;
pub(crate) mod members;
pub(crate) mod push_target;
pub(crate) mod pushed;
pub(crate) mod rate_limit;
pub(crate) mod received;
pub(crate) mod refusal;
pub(crate) mod send_future;
pub(crate) mod settings;
pub(crate) mod topics;
