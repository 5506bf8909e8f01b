//! The trait of brokers, and their errors.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A connection to an engine that carries messages between nodes, such as NATS or Redis.
///
/// No method blocks or waits. A broker connects by itself, and again whenever the connection is
/// lost, with growing pauses. It then renews its subscriptions. Delivery is at most once.
///
/// The names of channels have only ASCII letters, digits, and `_`, `-`, `=` and `.`, and at most
/// 1,000 bytes.
///
/// The module `conformance` (a feature of the same name) checks an implementation.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Begins to connect, and passes all that arrives to `receiver`. The cluster calls it once, on
    /// a task of its runtime. Subscriptions may come before.
    fn start(&self, receiver: Arc<dyn Receiver>);

    /// Queues a message for the subscribers of a channel. It may come back to this node.
    /// The messages of one thread to a channel arrive in order. The queue is bounded.
    ///
    /// # Errors
    ///
    /// Returns an error if the message certainly reaches no other node. A message that was queued
    /// may still be lost.
    fn publish(&self, channel: &str, message: Bytes) -> Result<(), PublishError>;

    /// Subscribes to a channel, now or as soon as the broker is connected.
    fn subscribe(&self, channel: &str);

    /// Ends a subscription.
    fn unsubscribe(&self, channel: &str);

    /// Sends what is queued, ends the connection and all tasks of the broker, and drops the
    /// receiver. Returns at once.
    fn stop(&self);
}

/// The node, as its broker sees it. No method blocks, and each may be called on any thread.
pub trait Receiver: fmt::Debug + Send + Sync + 'static {
    /// Takes a message of a channel. The messages of one channel must come one after the other.
    fn message(&self, message: &[u8]);

    /// The broker is connected, and has renewed its subscriptions.
    fn connected(&self);

    /// The broker has lost its connection, and connects again.
    fn disconnected(&self);
}

/// An error of publishing to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The broker is not connected at the moment.
    Disconnected,
    /// The queue to the broker is full.
    QueueFull,
    /// The message is larger than a limit.
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The node has left the cluster.
    Stopped,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Disconnected => {
                f.write_str("the broker is not connected; other nodes get no message")
            }
            PublishError::QueueFull => f.write_str("the queue to the broker is full; publish less or later"),
            PublishError::TooLarge { size, limit } => {
                write!(f, "{size} bytes exceed the cluster's limit of {limit} bytes")
            }
            PublishError::Stopped => f.write_str("the node has left the cluster"),
        }
    }
}

impl std::error::Error for PublishError {}
