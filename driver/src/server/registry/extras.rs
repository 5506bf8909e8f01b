//! The parts of an entry that most connections do without, and the methods that use them.

use std::any::Any;
use std::sync::Arc;

#[cfg(feature = "metrics")]
use sockeye_core::Instant;

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;
use crate::server::registry::rate_limit::Limiter;
use crate::sync::atomic::Ordering;
#[cfg(feature = "_tls")]
use crate::tls::TlsInfo;

/// A value of the application, of a type that only the application knows.
pub(crate) type Data = Arc<dyn Any + Send + Sync>;

/// The optional parts of an [`Entry`], allocated when the first of them is set.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// The agreed subprotocol, if it is none of the port's policy.
    pub(crate) subprotocol: Option<Box<str>>,
    /// The client's address if it is not the transport's.
    pub(crate) proxied_peer: Option<Address>,
    /// The slot for the application's data.
    pub(crate) data: Option<Data>,
    /// The topics that the connection subscribes to.
    #[expect(clippy::box_collection, reason = "mostly empty, and a third of the size")]
    topics: Option<Box<Vec<Arc<str>>>>,
    /// The state of the port's rate limit, except while messages are delivered.
    limiter: Option<Box<Limiter>>,
    /// The outcome of the TLS handshake.
    #[cfg(feature = "_tls")]
    pub(crate) tls: Option<Arc<TlsInfo>>,
}

impl Entry {
    pub(crate) fn peer(&self) -> Address {
        let extras = lock(&self.extras);
        let proxied = extras.as_ref().and_then(|extras| extras.proxied_peer.as_ref());
        proxied.unwrap_or(&self.transport_peer).clone()
    }

    pub(crate) fn local(&self) -> &Address {
        &self.local
    }

    pub(crate) fn transport_peer(&self) -> &Address {
        &self.transport_peer
    }

    /// Sets the client's address, and whether the connection counts against its limit.
    pub(crate) fn set_peer(&self, peer: &Address, is_counted: bool) {
        let mut extras = lock(&self.extras);
        if *peer != self.transport_peer {
            extras.get_or_insert_default().proxied_peer = Some(peer.clone());
        } else if let Some(extras) = extras.as_mut() {
            extras.proxied_peer = None;
        }
        drop(extras);
        self.store_flag(Flag::Counted, is_counted);
    }

    /// Returns the time since the client connected.
    #[cfg(feature = "metrics")]
    pub(crate) fn age(&self, now: Instant) -> std::time::Duration {
        now.since(self.connected_at)
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.has_flag(Flag::Counted)
    }

    pub(crate) fn subprotocol(&self) -> Option<Box<str>> {
        match self.subprotocol.load(Ordering::Acquire).checked_sub(1) {
            Some(place) => self.port.policy.subprotocols().nth(place.into()).map(Box::from),
            None => lock(&self.extras).as_ref()?.subprotocol.clone(),
        }
    }

    /// Stores the agreed subprotocol, which usually is one of the port's policy and then needs no
    /// memory of its own.
    pub(crate) fn set_subprotocol(&self, name: String) {
        let place = self.port.policy.subprotocols().position(|known| known == name);
        match place.and_then(|place| u8::try_from(place + 1).ok()) {
            Some(place) => self.subprotocol.store(place, Ordering::Release),
            None => lock(&self.extras).get_or_insert_default().subprotocol = Some(name.into_boxed_str()),
        }
    }

    #[cfg(feature = "_tls")]
    pub(crate) fn set_tls(&self, info: TlsInfo) {
        lock(&self.extras).get_or_insert_default().tls = Some(Arc::new(info));
    }

    /// Copies the outcome of the TLS handshake from the entry of the same transport.
    #[cfg(feature = "_tls")]
    pub(crate) fn copy_tls(&self, transport: &Entry) {
        if let Some(tls) = transport.tls() {
            lock(&self.extras).get_or_insert_default().tls = Some(tls);
        }
    }

    #[cfg(feature = "_tls")]
    pub(crate) fn tls(&self) -> Option<Arc<TlsInfo>> {
        lock(&self.extras).as_ref()?.tls.clone()
    }

    /// Sets the application's data.
    pub(crate) fn set_data(&self, data: Data) {
        let replaced = {
            let mut extras = lock(&self.extras);
            if self.has_flag(Flag::Forgotten) {
                Some(data)
            } else {
                extras.get_or_insert_default().data.replace(data)
            }
        };
        // Drop it without holding the lock: it may own anything, even the last client.
        drop(replaced);
    }

    pub(crate) fn data(&self) -> Option<Data> {
        lock(&self.extras).as_ref()?.data.clone()
    }

    /// Takes the application's data, for the caller to drop, and keeps none from now on. Otherwise
    /// data that holds a client would keep itself alive.
    pub(crate) fn forget_data(&self) -> Option<Data> {
        let mut extras = lock(&self.extras);
        self.store_flag(Flag::Forgotten, true);
        extras.as_mut()?.data.take()
    }

    /// Calls `f` with the topics of the connection, and with the lock that protects them.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub(crate) fn change_topics<T>(&self, f: impl FnOnce(&mut Vec<Arc<str>>) -> T) -> Result<T, PushError> {
        let mut extras = lock(&self.extras);
        // Check this with the lock: `take_topics` is called after the end.
        self.check_present()?;
        let mut topics = extras.as_mut().and_then(|extras| extras.topics.take()).unwrap_or_default();
        let result = f(&mut topics);
        if !topics.is_empty() {
            extras.get_or_insert_default().topics = Some(topics);
        }
        Ok(result)
    }

    /// Takes the topics of a connection that has ended.
    pub(crate) fn take_topics(&self) -> Vec<Arc<str>> {
        let topics = lock(&self.extras).as_mut().and_then(|extras| extras.topics.take());
        topics.map(|topics| *topics).unwrap_or_default()
    }

    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        let extras = lock(&self.extras);
        let topics = extras.as_ref().and_then(|extras| extras.topics.as_deref());
        topics.cloned().unwrap_or_default()
    }

    /// Takes the state of the port's rate limit, which begins when it is first taken.
    pub(crate) fn take_limiter(&self) -> Box<Limiter> {
        lock(&self.extras).as_mut().and_then(|extras| extras.limiter.take()).unwrap_or_default()
    }

    pub(crate) fn return_limiter(&self, limiter: Box<Limiter>) {
        lock(&self.extras).get_or_insert_default().limiter = Some(limiter);
    }
}
