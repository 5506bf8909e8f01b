//! Checks that a broker keeps the contract of [`Broker`], for the authors of brokers.
//!
//! ```
//! use sockeye_cluster::MemoryEngine;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let engine = MemoryEngine::new();
//! sockeye_cluster::conformance::check(|| engine.broker()).await;
//! # }
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::broker::{Broker, PublishError, Receiver};
use crate::node::lock;

/// The time that an engine may take for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// The number of messages whose order is checked.
const MANY: u32 = 2000;

/// Checks a broker. The engine must be up, and `create` must return a new broker for each call.
///
/// # Panics
///
/// Panics if the broker breaks its contract, with a text that says how.
pub async fn check<B: Broker>(mut create: impl FnMut() -> B) {
    let (one, two) = (Peer::new(create()), Peer::new(create()));
    let unused = create();
    assert!(unused.publish("c.unused", Bytes::new()).is_err(), "a broker that is not connected must refuse");
    drop(unused);
    one.connected().await;
    two.connected().await;

    two.subscribe(&one, "c.kit-1").await;
    check_contents(&one, &two).await;
    check_order(&one, &two).await;
    check_channels(&one, &two).await;

    one.broker.stop();
    until("the receiver of a stopped broker to be dropped", || Arc::strong_count(&one.seen) == 1).await;
    assert_eq!(
        one.broker.publish("c.kit-1", Bytes::new()),
        Err(PublishError::Stopped),
        "a stopped broker must refuse to publish"
    );
    two.broker.stop();
}

async fn check_contents(one: &Peer<impl Broker>, two: &Peer<impl Broker>) {
    let large = Bytes::from((0..900_000_u32).map(|index| index as u8).collect::<Vec<_>>());
    for message in [Bytes::new(), Bytes::from_static(b"\0\r\n\xff"), large] {
        one.publish("c.kit-1", message.clone());
        let arrived = two.next().await;
        assert!(arrived == message, "a message of {} bytes arrived changed", message.len());
    }
}

async fn check_order(one: &Peer<impl Broker>, two: &Peer<impl Broker>) {
    for number in 0..MANY {
        one.publish("c.kit-1", Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    for number in 0..MANY {
        assert_eq!(two.next().await, number.to_be_bytes(), "messages must arrive once and in order");
    }
}

async fn check_channels(one: &Peer<impl Broker>, two: &Peer<impl Broker>) {
    // Two subscriptions are one.
    two.broker.subscribe("c.kit-1");
    two.subscribe(one, "c.kit-2").await;
    one.publish("c.kit-1", Bytes::from_static(b"once"));
    one.publish("c.other", Bytes::from_static(b"to no subscriber"));
    assert_eq!(two.next().await, b"once");
    two.broker.unsubscribe("c.kit-1");
    // The engine may still deliver until it has processed the end of the subscription.
    let mut is_over = false;
    for _ in 0..1000 {
        one.publish("c.kit-1", Bytes::from_static(b"late"));
        one.publish("c.kit-2", Bytes::from_static(b"marker"));
        let first = two.next().await;
        if first == b"late" {
            assert_eq!(two.next().await, b"marker");
        } else {
            is_over = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_over, "messages must not arrive after the end of the subscription");
    two.subscribe(one, "c.kit-1").await;
}

/// A broker with what it has received.
struct Peer<B> {
    broker: B,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_connected: bool,
    messages: std::collections::VecDeque<Vec<u8>>,
}

impl<B: Broker> Peer<B> {
    fn new(broker: B) -> Self {
        let seen = Arc::new(Seen::default());
        broker.start(seen.clone());
        Peer { broker, seen }
    }

    async fn connected(&self) {
        until("the broker to connect", || lock(&self.seen.0).is_connected).await;
    }

    #[track_caller]
    fn publish(&self, channel: &str, message: Bytes) {
        let result = self.broker.publish(channel, message);
        assert_eq!(result, Ok(()), "a connected broker must accept {MANY} messages");
    }

    /// Subscribes, and waits until messages of `publisher` arrive.
    async fn subscribe(&self, publisher: &Peer<impl Broker>, channel: &str) {
        const PROBE: &[u8] = b"probe";
        self.broker.subscribe(channel);
        until("a subscription", || {
            publisher.publish(channel, Bytes::from_static(PROBE));
            lock(&self.seen.0).messages.pop_front().is_some()
        })
        .await;
        publisher.publish(channel, Bytes::from_static(b"last probe"));
        while self.next().await == PROBE {}
    }

    async fn next(&self) -> Vec<u8> {
        let mut next = None;
        until("a message", || {
            next = lock(&self.seen.0).messages.pop_front();
            next.is_some()
        })
        .await;
        next.unwrap_or_default()
    }
}

impl Receiver for Seen {
    fn message(&self, message: &[u8]) {
        lock(&self.0).messages.push_back(message.into());
    }

    fn connected(&self) {
        lock(&self.0).is_connected = true;
    }

    fn disconnected(&self) {
        lock(&self.0).is_connected = false;
    }
}

async fn until(event: &str, mut is_true: impl FnMut() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "waited for {event} for {DEADLINE:?}");
}
