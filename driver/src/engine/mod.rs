//! The poll loop: the side that reads, the side that writes, and the buffers that they borrow.

pub(crate) mod access;
pub(crate) mod buffer;
pub(crate) mod decoder;
pub(crate) mod deliver;
pub(crate) mod link;
pub(crate) mod outcome;
pub(crate) mod part;
pub(crate) mod reader;
#[cfg(feature = "server")]
pub(crate) mod starvation;
pub(crate) mod turn;
#[cfg(feature = "server")]
pub(crate) mod waker_list;
pub(crate) mod wakers;
pub(crate) mod write_side;
