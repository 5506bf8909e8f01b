//! Another HTTP implementation on a port, as the task of a connection sees it.

use std::future::Future;
use std::pin::Pin;

use crate::engine::buffer::ReadBuffer;
use crate::runtime::address::Address;
use crate::server::registry::admission::Slot;

/// Another HTTP implementation, for one connection.
pub(crate) trait Speaker<I>: Send {
    /// Serves the requests until the connection ends.
    fn speak(self: Box<Self>, greeted: Greeted<I>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A transport whose first bytes have been read.
pub(crate) struct Greeted<I> {
    pub(crate) io: I,
    pub(crate) input: ReadBuffer,
    /// The nearest known sender of the requests: the client, or the nearest proxy.
    pub(crate) nearest: Address,
    /// To be held until the first request is answered.
    pub(crate) handshake: Slot,
}
