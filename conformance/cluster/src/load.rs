//! The clients, which check the messages that they receive.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sockeye_tokio::connect;

/// The topics of each connection.
const TOPICS: usize = 3;

pub(crate) struct Clients {
    topics: usize,
    /// The node and the topics of each connection.
    connections: Vec<(usize, [usize; TOPICS])>,
    /// The number of messages that each node has published so far.
    published: HashMap<usize, u64>,
    /// The number of deliveries that each node owes its connections.
    expected: Vec<u64>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Deliveries by node of the connection.
    received: [AtomicU64; 3],
    /// Set while messages may be missing.
    gaps: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Clients {
    pub(crate) async fn open(
        nodes: &[crate::process::NodeProcess],
        count: usize,
        topics: usize,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let mut connections = Vec::new();
        for index in 0..count {
            let node = index % nodes.len();
            // Topics differ, and each has subscribers on all nodes.
            let chosen = [0, 1, 2].map(|place| (index / nodes.len() + place * topics / TOPICS) % topics);
            let list = chosen.map(|topic| format!("t{topic}")).join(",");
            let mut socket = connect(&format!("ws://{}/{list}", nodes[node].address))
                .await
                .map_err(|error| error.to_string())?;
            let ready = socket.recv().await.map_err(|error| error.to_string())?;
            if ready.is_none() {
                return Err("a connection was closed".into());
            }
            let shared = shared.clone();
            tokio::spawn(async move {
                let mut last: HashMap<(String, String), u64> = HashMap::new();
                while let Ok(Some(message)) = socket.recv().await {
                    if let Err(error) =
                        check(message.as_text(), &mut last, topics as u64, shared.gaps.load(SeqCst))
                    {
                        *shared.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                    shared.received[node].fetch_add(1, SeqCst);
                }
            });
            connections.push((node, chosen));
        }
        let expected = vec![0; nodes.len()];
        Ok(Clients { topics, connections, published: HashMap::new(), expected, shared })
    }

    /// Notes that a node publishes so many messages.
    pub(crate) fn expect(&mut self, publisher: usize, count: u64) {
        let mut subscribers = vec![vec![0; self.topics]; self.expected.len()];
        for (node, topics) in &self.connections {
            topics.iter().for_each(|topic| subscribers[*node][*topic] += 1);
        }
        let first = self.published.entry(publisher).or_default();
        for number in *first..*first + count {
            let topic = (number % self.topics as u64) as usize;
            for (expected, subscribers) in self.expected.iter_mut().zip(&subscribers) {
                *expected += subscribers[topic];
            }
        }
        *first += count;
    }

    /// From now on messages may be missing, but not out of order.
    pub(crate) fn expect_gaps(&mut self) {
        self.shared.gaps.store(true, SeqCst);
    }

    /// Waits until nothing more arrives, and counts from then on.
    pub(crate) async fn settle(&mut self) {
        loop {
            let before = self.received_by_all();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if before == self.received_by_all() {
                break;
            }
        }
        for (expected, received) in self.expected.iter_mut().zip(&self.shared.received) {
            *expected = received.load(SeqCst);
        }
    }

    /// Waits until the connections of these nodes have received everything, and no more.
    pub(crate) async fn expect_all(&self, nodes: &[usize]) -> Result<u64, String> {
        for _ in 0..1200 {
            if nodes.iter().all(|node| self.received(*node) >= self.expected[*node]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A message that arrives twice would arrive now.
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Some(error) = &*self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.clone());
        }
        for node in nodes {
            let (received, expected) = (self.received(*node), self.expected[*node]);
            if received != expected {
                return Err(format!("the clients of node {node} have {received} of {expected} messages"));
            }
        }
        Ok(nodes.iter().map(|node| self.received(*node)).sum())
    }

    /// Returns the number of messages that arrived at connections of a node.
    pub(crate) fn received(&self, node: usize) -> u64 {
        self.shared.received[node].load(SeqCst)
    }

    fn received_by_all(&self) -> u64 {
        (0..self.expected.len()).map(|node| self.received(node)).sum()
    }

    /// Returns the number of connections of these nodes that subscribe to a topic.
    pub(crate) fn subscribers(&self, topic: &str, nodes: &[usize]) -> usize {
        let has_topic = |topics: &[usize]| topics.iter().any(|number| format!("t{number}") == topic);
        self.connections.iter().filter(|(node, topics)| nodes.contains(node) && has_topic(topics)).count()
    }
}

/// Checks the place of a message among those of its publisher to its topic.
fn check(
    text: Option<&str>,
    last: &mut HashMap<(String, String), u64>,
    topics: u64,
    may_have_gaps: bool,
) -> Result<(), String> {
    let words: Vec<&str> = text.unwrap_or_default().split(' ').collect();
    let [publisher, topic, number] = words[..] else { return Err(format!("{text:?} is no message")) };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} has no number"))?;
    match last.insert((publisher.into(), topic.into()), number) {
        Some(before) if number <= before => Err(format!("{number} of {topic} follows {before}")),
        Some(before) if number != before + topics && !may_have_gaps => {
            Err(format!("{number} of {topic} follows {before}, with a gap"))
        }
        None if number >= topics && !may_have_gaps => Err(format!("{topic} begins with {number}")),
        _ => Ok(()),
    }
}
