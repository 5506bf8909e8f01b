//! The poll loop: what reads, what writes, and the buffers that they borrow.

pub(crate) mod buffer;
pub(crate) mod codec_pool;
pub(crate) mod decoder;
pub(crate) mod link;
pub(crate) mod receiving;
pub(crate) mod shared;
