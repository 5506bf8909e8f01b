//! The parts of an entry that most connections do without.

use std::any::Any;
use std::sync::Arc;

use crate::runtime::address::Address;

/// A value of the application, of a type that only the application knows.
pub(crate) type Data = Arc<dyn Any + Send + Sync>;

/// What an entry holds only if it is needed.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// The agreed subprotocol, if it is none of the port's policy.
    pub(crate) subprotocol: Option<Box<str>>,
    /// The client's address if it is not the transport's.
    pub(crate) proxied_peer: Option<Address>,
    /// The slot for the application's data.
    pub(crate) data: Option<Data>,
}
