//! Topics: subscribing, publishing, and presence.

use std::sync::Arc;

use crate::server::api::client::Client;
use crate::server::api::handle::ServerHandle;
use crate::server::api::presence::{Presence, PresenceWatch, TopicWatch};
use crate::server::api::publish::Publish;
use crate::server::registry::broadcast::Broadcast;
use crate::server::registry::error::PushError;
use crate::server::registry::info::ConnectionId;

/// Topics: rooms, channels, or anything that many connections want to receive.
///
/// ```
/// use sockeye_driver::server::Callbacks;
///
/// // Each page of the site is a room: `ws://example.com/general`.
/// let room = Callbacks::on_message(|client, message| async move {
///     for topic in client.topics() {
///         client.server().publish(&topic, &message);
///     }
/// })
/// .on_open(|client, request| async move { client.subscribe(request.path()) });
/// ```
impl Client {
    /// Subscribes the connection to a topic, which begins to exist if it has no other subscriber.
    /// Returns false if the connection was a subscriber.
    ///
    /// A connection can subscribe from [`connect`](crate::server::Handler::connect) on. Messages
    /// that are published while its handshake is being decided wait for the 101, like a
    /// [`push`](Client::push). The end of the connection ends its subscriptions, before
    /// [`close`](crate::server::Handler::close) is called.
    ///
    /// Names come from the application: if peers choose them, limit their length and their number.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub fn subscribe(&self, topic: impl AsRef<str>) -> Result<bool, PushError> {
        self.hub().topics.subscribe(self.entry(), topic.as_ref(), None)
    }

    /// Subscribes the connection like [`subscribe`](Client::subscribe), with information for
    /// [`ServerHandle::presence`], such as the name of the user in JSON. On a subscriber it replaces
    /// the information.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub fn subscribe_with(&self, topic: impl AsRef<str>, info: impl AsRef<[u8]>) -> Result<bool, PushError> {
        self.hub().topics.subscribe(self.entry(), topic.as_ref(), Some(info.as_ref().into()))
    }

    /// Ends the connection's subscription to a topic. Returns false if it was no subscriber.
    ///
    /// A message that another thread is publishing at this moment may still be queued.
    pub fn unsubscribe(&self, topic: impl AsRef<str>) -> bool {
        self.hub().topics.unsubscribe(self.entry(), topic.as_ref())
    }

    /// Returns whether the connection subscribes to a topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: impl AsRef<str>) -> bool {
        self.hub().topics.contains(self.entry(), topic.as_ref())
    }

    /// Returns the topics that the connection subscribes to, in no particular order.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.entry().topics()
    }

    /// Queues a message for the subscribers of a topic like [`ServerHandle::publish`], except for
    /// this connection.
    pub fn publish<'p>(&self, topic: impl AsRef<str>, message: impl Into<Publish<'p>>) -> Broadcast {
        message.into().except_sender(self.id()).send(self.hub(), topic.as_ref())
    }
}

/// Topics, by the ids of connections and as a whole.
impl ServerHandle {
    /// Queues a message for the subscribers of a topic, on all ports. Returns how many received it.
    ///
    /// The message is encoded once, and compressed once for each port. A large one is queued by
    /// reference. If a subscriber reads too slowly, the
    /// [`SlowReader`](crate::server::SlowReader) policy of its port decides. The messages that one
    /// task or thread publishes arrive in order at each subscriber.
    ///
    /// It reaches the subscribers of this server only. A message that arrives from another server is
    /// delivered with it, too: see [`TopicWatch`].
    pub fn publish<'p>(&self, topic: impl AsRef<str>, message: impl Into<Publish<'p>>) -> Broadcast {
        message.into().send(self.hub(), topic.as_ref())
    }

    /// Subscribes a connection to a topic, like [`Client::subscribe`].
    ///
    /// # Errors
    ///
    /// Returns an error if the connection does not exist.
    pub fn subscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> Result<bool, PushError> {
        self.client(id).ok_or(PushError::UnknownConnection)?.subscribe(topic)
    }

    /// Subscribes a connection to a topic with information, like [`Client::subscribe_with`].
    ///
    /// # Errors
    ///
    /// Returns an error if the connection does not exist.
    pub fn subscribe_with(
        &self,
        id: ConnectionId,
        topic: impl AsRef<str>,
        info: impl AsRef<[u8]>,
    ) -> Result<bool, PushError> {
        self.client(id).ok_or(PushError::UnknownConnection)?.subscribe_with(topic, info)
    }

    /// Ends a connection's subscription to a topic, like [`Client::unsubscribe`].
    pub fn unsubscribe(&self, id: ConnectionId, topic: impl AsRef<str>) -> bool {
        self.client(id).is_some_and(|client| client.unsubscribe(topic))
    }

    /// Returns the topics that a connection subscribes to, like [`Client::topics`]. They are none
    /// if the connection does not exist.
    #[must_use]
    pub fn topics_of(&self, id: ConnectionId) -> Vec<Arc<str>> {
        self.client(id).map(|client| client.topics()).unwrap_or_default()
    }

    /// Returns all topics that have subscribers, in no particular order.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.hub().topics.names()
    }

    /// Returns the number of topics that have subscribers.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.hub().topics.count()
    }

    /// Returns the subscribers of a topic, in no particular order.
    #[must_use]
    pub fn subscribers(&self, topic: impl AsRef<str>) -> Vec<ConnectionId> {
        let members = self.hub().topics.members(topic.as_ref()).unwrap_or_default();
        members.iter().map(|member| member.id()).collect()
    }

    /// Returns the number of subscribers of a topic.
    #[must_use]
    pub fn subscriber_count(&self, topic: impl AsRef<str>) -> usize {
        self.hub().topics.member_count(topic.as_ref())
    }

    /// Returns the subscribers of a topic, each with the information of
    /// [`Client::subscribe_with`], in no particular order. [`ServerHandle::data`] may have more
    /// about each.
    #[must_use]
    pub fn presence(&self, topic: impl AsRef<str>) -> Vec<Presence> {
        let present = self.hub().topics.presence(topic.as_ref());
        present.into_iter().map(|(id, info)| Presence { id, info }).collect()
    }

    /// Returns the joins and leaves of a topic's subscribers from now on, and first a join for each
    /// present one. [`PresenceWatch`] has an example.
    #[must_use]
    pub fn watch_presence(&self, topic: impl AsRef<str>) -> PresenceWatch {
        PresenceWatch::new(self.hub(), topic.as_ref().into())
    }

    /// Returns the topics that begin to have subscribers, or have none any more, from now on, and
    /// first the present ones. A cluster subscribes to these at its broker.
    #[must_use]
    pub fn watch_topics(&self) -> TopicWatch {
        TopicWatch::new(self.hub())
    }
}
