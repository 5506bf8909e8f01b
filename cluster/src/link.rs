//! The part of a broker that does not depend on its engine: the bounded queue of messages, and the
//! subscriptions that the node wants.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use crate::broker::{PublishError, Receiver};
use crate::node::lock;

/// The bounds of the queue.
const MAX_MESSAGES: usize = 16_384;
const MAX_BYTES: usize = 64 << 20;

/// The first and the longest pause before connecting again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Link {
    queue: mpsc::Sender<Message>,
    queued: Mutex<Option<mpsc::Receiver<Message>>>,
    bytes: AtomicUsize,
    is_connected: AtomicBool,
    stopped: watch::Sender<bool>,
    subscriptions: Mutex<Subscriptions>,
    pub(crate) changed: Notify,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) channel: Box<str>,
    pub(crate) payload: Bytes,
}

#[derive(Debug, Default)]
struct Subscriptions {
    wanted: HashSet<Box<str>>,
    /// The names whose subscription may differ from what is wanted.
    changed: HashSet<Box<str>>,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        let (queue, queued) = mpsc::channel(MAX_MESSAGES);
        Arc::new(Link {
            queue,
            queued: Mutex::new(Some(queued)),
            bytes: AtomicUsize::new(0),
            is_connected: AtomicBool::new(false),
            stopped: watch::Sender::new(false),
            subscriptions: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn publish(&self, channel: &str, payload: Bytes) -> Result<(), PublishError> {
        if *self.stopped.borrow() {
            return Err(PublishError::Stopped);
        }
        if !self.is_connected.load(Relaxed) {
            return Err(PublishError::Disconnected);
        }
        let size = payload.len();
        if self.bytes.fetch_add(size, Relaxed) > MAX_BYTES {
            self.bytes.fetch_sub(size, Relaxed);
            return Err(PublishError::QueueFull);
        }
        self.queue.try_send(Message { channel: channel.into(), payload }).map_err(|_| {
            self.bytes.fetch_sub(size, Relaxed);
            PublishError::QueueFull
        })
    }

    pub(crate) fn subscribe(&self, channel: &str, is_wanted: bool) {
        {
            let mut subscriptions = lock(&self.subscriptions);
            if is_wanted {
                subscriptions.wanted.insert(channel.into());
            } else {
                subscriptions.wanted.remove(channel);
            }
            subscriptions.changed.insert(channel.into());
        }
        self.changed.notify_one();
    }

    /// Returns all subscriptions that are wanted, for a new connection.
    pub(crate) fn wanted(&self) -> Vec<Box<str>> {
        let mut subscriptions = lock(&self.subscriptions);
        subscriptions.changed.clear();
        subscriptions.wanted.iter().cloned().collect()
    }

    /// Returns the names that have changed, each with whether it is wanted.
    pub(crate) fn take_changes(&self) -> Vec<(Box<str>, bool)> {
        let mut subscriptions = lock(&self.subscriptions);
        let changed = std::mem::take(&mut subscriptions.changed);
        changed
            .into_iter()
            .map(|name| {
                let is_wanted = subscriptions.wanted.contains(&name);
                (name, is_wanted)
            })
            .collect()
    }

    /// Returns the queue's other end, once.
    pub(crate) fn take_queue(&self) -> Option<mpsc::Receiver<Message>> {
        lock(&self.queued).take()
    }

    /// Counts messages out of the queue.
    pub(crate) fn dequeued(&self, messages: &[Message]) {
        let size = messages.iter().map(|message| message.payload.len()).sum();
        self.bytes.fetch_sub(size, Relaxed);
    }

    /// Reports a connection or its loss to the node, unless it knows.
    pub(crate) fn set_connected(&self, is_connected: bool, receiver: &dyn Receiver) {
        if self.is_connected.swap(is_connected, Relaxed) == is_connected {
            return;
        }
        if is_connected { receiver.connected() } else { receiver.disconnected() }
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Waits until the broker is stopped.
    pub(crate) async fn stopped(&self) {
        // The link has the sender, so there is no error.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// Returns the pause before a new attempt: longer after each one, and different on each node.
pub(crate) fn pause(attempt: usize) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::{Link, MAX_BYTES, MAX_MESSAGES, pause};
    use crate::broker::{PublishError, Receiver};
    use bytes::Bytes;
    use std::time::Duration;

    #[derive(Debug)]
    struct Silent;

    impl Receiver for Silent {
        fn message(&self, _message: &[u8]) {}
        fn connected(&self) {}
        fn disconnected(&self) {}
    }

    #[test]
    fn c4_the_queue_is_bounded_by_messages_and_by_bytes() {
        let link = Link::new();
        assert_eq!(link.publish("a", Bytes::new()), Err(PublishError::Disconnected));
        link.set_connected(true, &Silent);
        let accepted = (0..2 * MAX_MESSAGES).take_while(|_| link.publish("a", Bytes::new()).is_ok()).count();
        assert_eq!(accepted, MAX_MESSAGES);
        assert_eq!(link.publish("a", Bytes::new()), Err(PublishError::QueueFull));

        let link = Link::new();
        link.set_connected(true, &Silent);
        let large = Bytes::from(vec![0; MAX_BYTES / 4]);
        let accepted = (0..100).take_while(|_| link.publish("a", large.clone()).is_ok()).count();
        assert!((4..=5).contains(&accepted));
        link.stop();
        assert_eq!(link.publish("a", Bytes::new()), Err(PublishError::Stopped));
    }

    #[test]
    fn c4_changes_of_a_subscription_become_one() {
        let link = Link::new();
        for _ in 0..1000 {
            link.subscribe("a", true);
            link.subscribe("b", true);
            link.subscribe("b", false);
        }
        let mut changes = link.take_changes();
        changes.sort();
        assert_eq!(changes, [(Box::<str>::from("a"), true), (Box::from("b"), false)]);
        assert_eq!(link.wanted(), [Box::<str>::from("a")]);
        assert_eq!(link.take_changes(), []);
    }

    #[test]
    fn c4_pauses_grow_to_their_limit() {
        assert!(pause(0) <= Duration::from_millis(50));
        assert!((0..100).map(pause).all(|pause| pause <= Duration::from_secs(2)));
        assert!(pause(50) >= Duration::from_secs(1));
    }
}
