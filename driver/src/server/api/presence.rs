//! Presence in topics, as a list and as changes.

use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::block_on::block_on;
use crate::server::registry::changes::Feed;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::topics::{PresenceFeed, TopicFeed};

/// A subscriber of a topic, from [`ServerHandle::presence`](crate::server::ServerHandle::presence).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The connection.
    pub id: ConnectionId,
    /// The information of [`Client::subscribe_with`](crate::server::Client::subscribe_with); empty
    /// without any.
    pub info: Arc<[u8]>,
}

/// A change of the presence in a topic, from a [`PresenceWatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// A connection has subscribed.
    Joined(Presence),
    /// A subscriber has replaced its information, which is the new one.
    Updated(Presence),
    /// A subscriber has gone. The information is what the watch has reported last.
    Left(Presence),
}

/// A change of the set of topics, from a [`TopicWatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicChange {
    /// The topic has its first subscriber.
    Active(Arc<str>),
    /// The topic has no subscriber any more.
    Inactive(Arc<str>),
}

/// The changes of the presence in one topic, from
/// [`ServerHandle::watch_presence`](crate::server::ServerHandle::watch_presence).
///
/// It begins with a join for each present subscriber, so applying each change to an empty map keeps
/// that map like the topic. Each change is reported once. If the reader is slow, several changes of
/// one connection become one, and those that cancel out none. So the reader misses no difference,
/// and the number of connections bounds what waits for it.
///
/// ```
/// use sockeye_driver::server::{PresenceChange, ServerHandle};
///
/// async fn announce(server: ServerHandle) {
///     let mut watch = server.watch_presence("lobby");
///     // It returns `None` when the server has stopped.
///     while let Some(change) = watch.next().await {
///         let (change, presence) = match change {
///             PresenceChange::Joined(presence) => ("joined", presence),
///             PresenceChange::Left(presence) => ("left", presence),
///             _ => continue,
///         };
///         let name = String::from_utf8_lossy(&presence.info);
///         server.publish("lobby", format!("{name} {change}"));
///     }
/// }
/// ```
///
/// Dropping the watch ends it. The topic need not have subscribers.
pub struct PresenceWatch {
    hub: Arc<Hub>,
    topic: Arc<str>,
    feed: Arc<PresenceFeed>,
}

/// The topics that begin to have subscribers, or have none any more, from
/// [`ServerHandle::watch_topics`](crate::server::ServerHandle::watch_topics).
///
/// It begins with each topic that has subscribers. For one topic, the changes are in order and
/// alternate. If the reader is slow, changes that cancel out are not reported, so the number of
/// topics bounds what waits for it.
///
/// This is enough to connect several servers through a broker: subscribe there to the active topics,
/// publish to it beside [`ServerHandle::publish`](crate::server::ServerHandle::publish), and pass what
/// arrives from it to that method.
///
/// Dropping the watch ends it.
pub struct TopicWatch {
    hub: Arc<Hub>,
    feed: Arc<TopicFeed>,
}

impl PresenceWatch {
    pub(crate) fn new(hub: &Arc<Hub>, topic: Arc<str>) -> Self {
        PresenceWatch { hub: hub.clone(), feed: hub.topics.watch_presence(&topic), topic }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits for the next change. Returns `None` when the server has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<PresenceChange> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the next change like [`next`](PresenceWatch::next), and wakes the latest caller.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<PresenceChange>> {
        poll_feed(&self.feed, &self.hub, cx).map(|change| change.and_then(presence_change))
    }

    /// Waits like [`next`](PresenceWatch::next), but blocks the thread.
    pub fn next_blocking(&mut self) -> Option<PresenceChange> {
        block_on(self.next())
    }

    /// Returns the next change, or `None` if there is none yet.
    pub fn try_next(&mut self) -> Option<PresenceChange> {
        self.feed.take().and_then(presence_change)
    }
}

impl TopicWatch {
    pub(crate) fn new(hub: &Arc<Hub>) -> Self {
        TopicWatch { hub: hub.clone(), feed: hub.topics.watch_topics() }
    }

    /// Waits for the next change. Returns `None` when the server has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<TopicChange> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the next change like [`next`](TopicWatch::next), and wakes the latest caller.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TopicChange>> {
        poll_feed(&self.feed, &self.hub, cx).map(|change| change.map(topic_change))
    }

    /// Waits like [`next`](TopicWatch::next), but blocks the thread.
    pub fn next_blocking(&mut self) -> Option<TopicChange> {
        block_on(self.next())
    }

    /// Returns the next change, or `None` if there is none yet.
    pub fn try_next(&mut self) -> Option<TopicChange> {
        self.feed.take().map(topic_change)
    }
}

impl Drop for PresenceWatch {
    fn drop(&mut self) {
        self.hub.topics.unwatch_presence(&self.topic, &self.feed);
    }
}

impl Drop for TopicWatch {
    fn drop(&mut self) {
        self.hub.topics.unwatch_topics(&self.feed);
    }
}

impl fmt::Debug for PresenceWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceWatch").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl fmt::Debug for TopicWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicWatch").finish_non_exhaustive()
    }
}

/// A change of a feed: the key, the value that is known, and the present one.
type Change<K, V> = (K, Option<V>, Option<V>);

/// Waits for the next change, or for the end of the server.
fn poll_feed<K, V>(feed: &Feed<K, V>, hub: &Hub, cx: &Context<'_>) -> Poll<Option<Change<K, V>>>
where
    K: Clone + Eq + Hash,
    V: Clone + PartialEq,
{
    match feed.poll_take(cx) {
        Poll::Ready(change) => Poll::Ready(Some(change)),
        // `wake_readers` comes after the flag, and takes the lock under which the reader has
        // registered.
        Poll::Pending if hub.has_stopped() => Poll::Ready(feed.take()),
        Poll::Pending => Poll::Pending,
    }
}

fn presence_change((id, before, now): Change<ConnectionId, Arc<[u8]>>) -> Option<PresenceChange> {
    match (before, now) {
        (None, Some(info)) => Some(PresenceChange::Joined(Presence { id, info })),
        (Some(_), Some(info)) => Some(PresenceChange::Updated(Presence { id, info })),
        (Some(info), None) => Some(PresenceChange::Left(Presence { id, info })),
        // A feed has no change without a difference.
        (None, None) => None,
    }
}

fn topic_change((name, _, now): Change<Arc<str>, ()>) -> TopicChange {
    if now.is_some() { TopicChange::Active(name) } else { TopicChange::Inactive(name) }
}
