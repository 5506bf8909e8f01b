//! The stream of a connection, which may have TLS over it.

#[cfg(not(feature = "_tls"))]
pub(crate) use without_tls::{Wire, by_ref, inner, plain};

#[cfg(feature = "_tls")]
pub(crate) use crate::tls::wire::{Wire, by_ref, inner, plain};

#[cfg(not(feature = "_tls"))]
mod without_tls {
    /// The stream of a connection.
    pub(crate) type Wire<S> = S;

    /// Uses a stream as it is.
    pub(crate) fn plain<S>(stream: S) -> Wire<S> {
        stream
    }

    /// Uses a wire through a shared reference.
    pub(crate) fn by_ref<S>(wire: &Wire<S>) -> &S {
        wire
    }

    /// Returns the stream.
    pub(crate) fn inner<S>(wire: &Wire<S>) -> &S {
        wire
    }
}
