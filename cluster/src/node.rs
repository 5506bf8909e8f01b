//! A node: what it sends to the others, and what it does with their messages.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye_core::{CloseCode, MessageKind, Payload};
use sockeye_driver::server::{ConnectionId, Publish, ServerHandle};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::broker::{Broker, PublishError, Receiver};
use crate::counters::{Counters, count};
use crate::event::ClusterEvent;
use crate::id::NodeId;
use crate::members::Membership;
use crate::options::ClusterOptions;
use crate::questions::Questions;
use crate::remote::RemoteInfo;
use crate::sequence::{Arrival, Incoming, Outgoing};
use crate::wire::{Answer, Body, Content, Envelope, Members, Position, Question};

/// The number of locks of the publishers' positions: threads that publish to different topics
/// rarely wait for each other.
const LANES: usize = 16;

/// The length of the longest topic in bytes.
const MAX_TOPIC: usize = 255;

/// The bytes of members in one part of an answer.
const PART: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) server: ServerHandle,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) options: ClusterOptions,
    pub(crate) counters: Counters,
    pub(crate) events: broadcast::Sender<ClusterEvent>,
    pub(crate) membership: Mutex<Membership>,
    pub(crate) questions: Mutex<Questions<Reply>>,
    joined: Instant,
    outgoing: [Mutex<Outgoing>; LANES],
    incoming: Mutex<Positions>,
}

/// The positions of what has arrived.
#[derive(Debug)]
struct Positions {
    topics: Incoming,
    broadcasts: Incoming,
}

/// An answer of another node, or a part of it.
#[derive(Debug)]
pub(crate) enum Reply {
    Member(ConnectionId, Arc<[u8]>),
    Count(u64),
    Unknown,
    Info(RemoteInfo),
}

impl Node {
    pub(crate) fn new(server: ServerHandle, broker: Arc<dyn Broker>, options: ClusterOptions) -> Self {
        let mut broadcasts = Incoming::default();
        broadcasts.follow("");
        Node {
            id: NodeId::from_u64(rand::random()),
            server,
            broker,
            counters: Counters::default(),
            events: broadcast::Sender::new(options.event_capacity.max(1)),
            membership: Mutex::new(Membership::new(options.expiry)),
            questions: Mutex::new(Questions::new()),
            joined: Instant::now(),
            outgoing: Default::default(),
            incoming: Mutex::new(Positions { topics: Incoming::default(), broadcasts }),
            options,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.joined.elapsed()
    }

    fn send(&self, channel: &str, body: Body<'_>) -> Result<(), PublishError> {
        // Heartbeats, questions, answers and pushes have no positions: a deadline reveals the loss of
        // the first three, and pushes go to connections that may have ended.
        let result = match body {
            Body::Publish { .. } | Body::Broadcast { .. } => self.send_in_order(channel, body),
            _ => self.queue(channel, body, Position::default()),
        };
        let counter = if result.is_ok() { &self.counters.published } else { &self.counters.refused };
        count(counter, 1);
        result
    }

    fn send_in_order(&self, channel: &str, body: Body<'_>) -> Result<(), PublishError> {
        let lane = channel.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        // The lock is held until the message is queued, so that the positions are in order. A
        // message that is refused has a position, too: its loss shows at the receivers.
        let mut outgoing = lock(&self.outgoing[lane % LANES]);
        let position = outgoing.next(channel);
        self.queue(channel, body, position)
    }

    fn queue(&self, channel: &str, body: Body<'_>, position: Position) -> Result<(), PublishError> {
        let message = Envelope { origin: self.id, position, body }.encode();
        if message.len() > self.options.max_message {
            return Err(PublishError::TooLarge { size: message.len(), limit: self.options.max_message });
        }
        self.broker.publish(channel, message.into())
    }

    /// Sends a message to the subscribers of a topic on other nodes.
    pub(crate) fn send_to_topic(&self, topic: &str, message: Content<'_>) -> Result<(), PublishError> {
        if topic.len() > MAX_TOPIC {
            return Err(PublishError::TooLarge { size: topic.len(), limit: MAX_TOPIC });
        }
        self.send(&self.options.topic_channel(topic), Body::Publish { topic, message })
    }

    pub(crate) fn send_to_node(&self, node: NodeId, body: Body<'_>) -> Result<(), PublishError> {
        self.send(&self.options.node_channel(node), body)
    }

    pub(crate) fn send_to_all(&self, body: Body<'_>) -> Result<(), PublishError> {
        self.send(&self.options.all_channel(), body)
    }

    /// Subscribes to a topic at the broker, or ends the subscription.
    pub(crate) fn follow_topic(&self, topic: &str, is_active: bool) {
        // No other node can publish to it.
        if topic.len() > MAX_TOPIC {
            return;
        }
        let channel = self.options.topic_channel(topic);
        if is_active {
            lock(&self.incoming).topics.follow(topic);
            self.broker.subscribe(&channel);
            self.counters.topics.fetch_add(1, Relaxed);
        } else {
            self.broker.unsubscribe(&channel);
            self.counters.topics.fetch_sub(1, Relaxed);
            lock(&self.incoming).topics.forget_target(topic);
        }
    }

    /// Removes the nodes that have been silent for too long.
    pub(crate) fn expire(&self) {
        let gone = lock(&self.membership).expire(self.now());
        gone.into_iter().for_each(|node| self.forget_node(node));
    }

    fn forget_node(&self, node: NodeId) {
        {
            let mut incoming = lock(&self.incoming);
            incoming.topics.forget_node(node);
            incoming.broadcasts.forget_node(node);
        }
        lock(&self.questions).forget_node(node);
        self.report(ClusterEvent::NodeLeft(node));
    }

    fn report(&self, event: ClusterEvent) {
        // Without a subscriber the event is not needed.
        let _ = self.events.send(event);
    }

    fn heard(&self, node: NodeId) {
        if lock(&self.membership).heard(node, self.now()) {
            self.report(ClusterEvent::NodeJoined(node));
            // The new node learns of this one without waiting for a heartbeat.
            let _ = self.send_to_node(node, Body::Heartbeat);
        }
    }

    /// Returns false if the message was received before. Counts those that are missing before it.
    fn is_new(&self, envelope: &Envelope<'_>) -> bool {
        let Envelope { origin, position, body } = *envelope;
        let arrival = match body {
            Body::Publish { topic, .. } => lock(&self.incoming).topics.receive(topic, origin, position),
            Body::Broadcast { .. } => lock(&self.incoming).broadcasts.receive("", origin, position),
            _ => return true,
        };
        match arrival {
            Arrival::InOrder => {}
            Arrival::After { lost } => {
                count(&self.counters.lost, lost);
                self.report(ClusterEvent::Lost { node: origin, messages: lost });
            }
            Arrival::Duplicate => {
                count(&self.counters.duplicates, 1);
                return false;
            }
        }
        true
    }

    fn handle_body(&self, origin: NodeId, body: Body<'_>) {
        match body {
            Body::Publish { topic, message } => {
                with_payload(message, |payload| self.server.publish(topic, Publish::new(payload)));
            }
            Body::Broadcast { message } => {
                with_payload(message, |payload| self.server.broadcast(|_| true, payload));
            }
            Body::Push { connection, message } => {
                let id = ConnectionId::from_u64(connection);
                // The connection may have ended meanwhile; pushes to other nodes are at most once.
                let _ = with_payload(message, |payload| self.server.push(id, payload));
            }
            Body::Disconnect { connection, code, reason } => {
                let id = ConnectionId::from_u64(connection);
                // As above.
                let _ = self.server.disconnect(id, CloseCode::from(code), reason);
            }
            Body::Heartbeat => self.heard(origin),
            Body::Leave => {
                if lock(&self.membership).leave(origin) {
                    self.forget_node(origin);
                }
            }
            Body::Ask { request, question } => self.answer(origin, request, question),
            Body::Answer { request, answer } => self.take_answer(origin, request, answer),
        }
    }

    fn answer(&self, node: NodeId, request: u64, question: Question<'_>) {
        let send = |answer: Answer<'_>| {
            // Without an answer the node waits until its deadline.
            let _ = self.send_to_node(node, Body::Answer { request, answer });
        };
        match question {
            Question::Count { topic } => send(Answer::Count(self.server.subscriber_count(topic) as u64)),
            Question::Presence { topic } => {
                let mut encoded = Vec::new();
                for member in self.server.presence(topic) {
                    Members::encode(&mut encoded, member.id.as_u64(), &member.info);
                    if encoded.len() >= PART {
                        send(Answer::Presence { is_last: false, members: Members::from_encoded(&encoded) });
                        encoded.clear();
                    }
                }
                send(Answer::Presence { is_last: true, members: Members::from_encoded(&encoded) });
            }
            Question::Info { connection } => {
                match RemoteInfo::of(&self.server, ConnectionId::from_u64(connection)) {
                    None => send(Answer::Unknown),
                    Some(info) => send(Answer::Info {
                        is_established: info.is_established,
                        age_millis: u64::try_from(info.age.as_millis()).unwrap_or(u64::MAX),
                        queued: info.queued,
                        peer: &info.peer,
                    }),
                }
            }
        }
    }

    fn take_answer(&self, node: NodeId, request: u64, answer: Answer<'_>) {
        let (replies, is_last) = match answer {
            Answer::Count(count) => (vec![Reply::Count(count)], true),
            Answer::Unknown => (vec![Reply::Unknown], true),
            Answer::Info { is_established, age_millis, queued, peer } => {
                let age = Duration::from_millis(age_millis);
                (vec![Reply::Info(RemoteInfo { is_established, age, queued, peer: peer.into() })], true)
            }
            Answer::Presence { is_last, members } => {
                let members =
                    members.iter().map(|(id, info)| Reply::Member(ConnectionId::from_u64(id), info.into()));
                (members.collect(), is_last)
            }
        };
        lock(&self.questions).answer(request, node, replies, is_last);
    }
}

impl Receiver for Node {
    fn message(&self, message: &[u8]) {
        let envelope = match Envelope::decode(message) {
            Ok(envelope) => envelope,
            Err(_) => return count(&self.counters.invalid, 1),
        };
        // Engines return a node's own messages.
        if envelope.origin == self.id {
            return;
        }
        count(&self.counters.received, 1);
        if self.is_new(&envelope) {
            self.handle_body(envelope.origin, envelope.body);
        }
    }

    fn connected(&self) {
        lock(&self.membership).connected(self.now());
        self.report(ClusterEvent::Connected);
        // The other nodes learn of this one at once. A failure is repaired by the next heartbeat.
        let _ = self.send_to_all(Body::Heartbeat);
    }

    fn disconnected(&self) {
        lock(&self.membership).disconnected();
        count(&self.counters.disconnects, 1);
        self.report(ClusterEvent::Disconnected);
    }
}

/// Calls `f` with the message as it was published: text or binary.
fn with_payload<T>(message: Content<'_>, f: impl FnOnce(Payload<'_>) -> T) -> T {
    match (message.kind, std::str::from_utf8(message.payload)) {
        (MessageKind::Text, Ok(text)) => f(Payload::from(text)),
        _ => f(Payload::from(message.payload)),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
