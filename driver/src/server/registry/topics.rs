//! Topics: the connections that subscribe to each, and the reports of changes.
//!
//! The topics are in shards, each with a lock of its own. It is held to change a topic or to copy
//! the reference to its list of subscribers, never while anything is pushed or woken. A connection
//! lists its topics in its extras. To change both together, the lock of the extras is taken first.
//!
//! A topic without subscribers does not exist.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::Waker;

use crate::lock::lock;
use crate::server::registry::changes::Feed;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::members::Members;
use crate::sync::{Mutex, MutexGuard};

/// The number of shards. Loom needs the same locks in each run.
const SHARDS: usize = if cfg!(all(test, sockeye_loom)) { 1 } else { 32 };

/// The information about a subscriber, for those who ask for the presence of a topic.
pub(crate) type PresenceInfo = Arc<[u8]>;

/// The joins and leaves of one topic.
pub(crate) type PresenceFeed = Feed<ConnectionId, PresenceInfo>;

/// The topics that begin and end to exist.
pub(crate) type TopicFeed = Feed<Arc<str>, ()>;

/// All topics of a server.
#[derive(Debug)]
pub(crate) struct Topics {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    topics: HashMap<Arc<str>, Topic>,
    topic_feeds: Vec<Arc<TopicFeed>>,
    presence_feeds: HashMap<Arc<str>, Vec<Arc<PresenceFeed>>>,
}

#[derive(Debug, Default)]
struct Topic {
    members: Members,
    /// The information of those members that have given one.
    #[expect(clippy::box_collection, reason = "most topics have none")]
    infos: Option<Box<HashMap<ConnectionId, PresenceInfo>>>,
}

impl Default for Topics {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Topics { hasher: RandomState::new(), shards }
    }
}

impl Topics {
    /// Adds a connection to a topic, or replaces its information. Returns false if it was a
    /// subscriber.
    pub(crate) fn subscribe(
        &self,
        entry: &Arc<Entry>,
        topic: &str,
        info: Option<PresenceInfo>,
    ) -> Result<bool, PushError> {
        let mut wakers = Vec::new();
        let is_new = entry.change_topics(|topics| {
            let mut shard = self.shard(topic);
            let name = shard.add(entry, topic, info, &mut wakers);
            let is_new = name.is_some();
            topics.extend(name);
            is_new
        });
        wakers.into_iter().for_each(Waker::wake);
        is_new
    }

    /// Removes a connection from a topic. Returns false if it was no subscriber.
    pub(crate) fn unsubscribe(&self, entry: &Arc<Entry>, topic: &str) -> bool {
        let mut wakers = Vec::new();
        // Once the connection has ended, it has no topics.
        let was_subscriber = entry.change_topics(|topics| {
            let Some(at) = topics.iter().position(|known| **known == *topic) else { return false };
            topics.swap_remove(at);
            self.shard(topic).remove(entry, topic, &mut wakers);
            true
        });
        wakers.into_iter().for_each(Waker::wake);
        was_subscriber.unwrap_or(false)
    }

    /// Removes a connection that has ended from all its topics. It cannot subscribe again.
    pub(crate) fn leave_all(&self, entry: &Arc<Entry>) {
        for topic in entry.take_topics() {
            let mut wakers = Vec::new();
            self.shard(&topic).remove(entry, &topic, &mut wakers);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Returns the subscribers of a topic, to be pushed to without a lock.
    pub(crate) fn members(&self, topic: &str) -> Option<Arc<Vec<Arc<Entry>>>> {
        self.shard(topic).topics.get(topic).map(|topic| topic.members.snapshot())
    }

    pub(crate) fn member_count(&self, topic: &str) -> usize {
        self.shard(topic).topics.get(topic).map_or(0, |topic| topic.members.len())
    }

    /// Returns whether a connection subscribes to a topic.
    pub(crate) fn contains(&self, entry: &Arc<Entry>, topic: &str) -> bool {
        self.shard(topic).topics.get(topic).is_some_and(|topic| topic.members.contains(entry))
    }

    /// Returns the names of all topics.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        for shard in &self.shards {
            names.extend(lock(shard).topics.keys().cloned());
        }
        names
    }

    /// Returns the number of topics.
    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).topics.len()).sum()
    }

    /// Returns the subscribers of a topic with their information.
    pub(crate) fn presence(&self, topic: &str) -> Vec<(ConnectionId, PresenceInfo)> {
        let shard = self.shard(topic);
        let Some(topic) = shard.topics.get(topic) else { return Vec::new() };
        topic.members.iter().map(|member| (member.id(), topic.info(member.id()))).collect()
    }

    /// Returns the future changes of the presence in a topic, beginning with a join for each of the
    /// present subscribers. Deregister it with [`unwatch_presence`](Topics::unwatch_presence).
    pub(crate) fn watch_presence(&self, name: &Arc<str>) -> Arc<PresenceFeed> {
        let feed = Arc::new(Feed::new());
        let mut shard = self.shard(name);
        if let Some(topic) = shard.topics.get(name) {
            for id in topic.members.iter().map(|member| member.id()) {
                // It has no reader yet.
                let _ = feed.add(&id, None, Some(&topic.info(id)));
            }
        }
        shard.presence_feeds.entry(name.clone()).or_default().push(feed.clone());
        feed
    }

    pub(crate) fn unwatch_presence(&self, name: &str, feed: &Arc<PresenceFeed>) {
        let mut shard = self.shard(name);
        let Some(feeds) = shard.presence_feeds.get_mut(name) else { return };
        feeds.retain(|known| !Arc::ptr_eq(known, feed));
        if feeds.is_empty() {
            shard.presence_feeds.remove(name);
        }
    }

    /// Returns the future beginnings and ends of topics, beginning with the present ones.
    /// Deregister it with [`unwatch_topics`](Topics::unwatch_topics).
    pub(crate) fn watch_topics(&self) -> Arc<TopicFeed> {
        let feed = Arc::new(Feed::new());
        for shard in &self.shards {
            let mut shard = lock(shard);
            for name in shard.topics.keys() {
                // It has no reader yet.
                let _ = feed.add(name, None, Some(&()));
            }
            shard.topic_feeds.push(feed.clone());
        }
        feed
    }

    pub(crate) fn unwatch_topics(&self, feed: &Arc<TopicFeed>) {
        for shard in &self.shards {
            lock(shard).topic_feeds.retain(|known| !Arc::ptr_eq(known, feed));
        }
    }

    /// Wakes the readers of all feeds, because the server has stopped.
    pub(crate) fn wake_readers(&self) {
        for shard in &self.shards {
            let shard = lock(shard);
            let mut wakers: Vec<_> = shard.topic_feeds.iter().filter_map(|feed| feed.take_waker()).collect();
            wakers.extend(shard.presence_feeds.values().flatten().filter_map(|feed| feed.take_waker()));
            drop(shard);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    fn shard(&self, topic: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(topic) as usize % SHARDS])
    }
}

impl Shard {
    /// Adds a member, or replaces its information. Returns the topic's name if it was no member.
    fn add(
        &mut self,
        entry: &Arc<Entry>,
        topic: &str,
        info: Option<PresenceInfo>,
        wakers: &mut Vec<Waker>,
    ) -> Option<Arc<str>> {
        let id = entry.id();
        if let Some(known) = self.topics.get_mut(topic)
            && known.members.contains(entry)
        {
            let info = info?;
            let before = known.info(id);
            known.infos.get_or_insert_default().insert(id, info.clone());
            self.report_presence(topic, id, Some(&before), Some(&info), wakers);
            return None;
        }
        let name = match self.topics.get_key_value(topic) {
            Some((name, _)) => name.clone(),
            None => {
                let name: Arc<str> = topic.into();
                self.report_topic(&name, false, wakers);
                name
            }
        };
        let added = self.topics.entry(name.clone()).or_default();
        added.members.add(entry);
        if let Some(info) = info {
            added.infos.get_or_insert_default().insert(id, info);
        }
        if !self.presence_feeds.is_empty() {
            let info = self.topics[topic].info(id);
            self.report_presence(topic, id, None, Some(&info), wakers);
        }
        Some(name)
    }

    /// Removes a member, and the topic with its last one.
    fn remove(&mut self, entry: &Arc<Entry>, topic: &str, wakers: &mut Vec<Waker>) {
        let Some(known) = self.topics.get_mut(topic) else { return };
        if !known.members.remove(entry) {
            return;
        }
        let info = known.take_info(entry.id());
        if known.members.is_empty()
            && let Some((name, _)) = self.topics.remove_entry(topic)
        {
            self.report_topic(&name, true, wakers);
            if self.topics.len() < self.topics.capacity() / 4 {
                self.topics.shrink_to(self.topics.len() * 2);
            }
        }
        self.report_presence(topic, entry.id(), Some(&info), None, wakers);
    }

    /// Reports the beginning or the end of a topic.
    fn report_topic(&self, name: &Arc<str>, existed: bool, wakers: &mut Vec<Waker>) {
        let (before, now) = if existed { (Some(&()), None) } else { (None, Some(&())) };
        wakers.extend(self.topic_feeds.iter().filter_map(|feed| feed.add(name, before, now)));
    }

    fn report_presence(
        &self,
        topic: &str,
        id: ConnectionId,
        before: Option<&PresenceInfo>,
        now: Option<&PresenceInfo>,
        wakers: &mut Vec<Waker>,
    ) {
        let feeds = self.presence_feeds.get(topic).into_iter().flatten();
        wakers.extend(feeds.filter_map(|feed| feed.add(&id, before, now)));
    }
}

impl Topic {
    fn info(&self, id: ConnectionId) -> PresenceInfo {
        self.infos.as_ref().and_then(|infos| infos.get(&id)).cloned().unwrap_or_default()
    }

    fn take_info(&mut self, id: ConnectionId) -> PresenceInfo {
        let Some(infos) = &mut self.infos else { return PresenceInfo::default() };
        let info = infos.remove(&id).unwrap_or_default();
        if infos.is_empty() {
            self.infos = None;
        }
        info
    }
}
