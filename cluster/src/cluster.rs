//! The handle of a node, which applications use.

use std::fmt;
use std::sync::Arc;

use sockeye_core::{CloseCode, Payload};
use sockeye_driver::server::{Client, ConnectionId, Publish, ServerHandle, TopicChange, TopicWatch};
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::broker::{Broker, PublishError};
use crate::counters::ClusterStats;
use crate::event::ClusterEvent;
use crate::id::{GlobalId, NodeId};
use crate::node::{Node, Reply, lock};
use crate::options::ClusterOptions;
use crate::outcome::{Delivery, DeliveryError, Gathered, Member, Published};
use crate::questions::Answers;
use crate::remote::RemoteInfo;
use crate::wire::{Body, Content, Question};

/// A node of a cluster: a server and its connection to the others. It is cheap to clone.
///
/// Subscribe connections with the methods of the server, such as
/// [`Client::subscribe`](sockeye_driver::server::Client::subscribe). Publish with the methods of the
/// cluster.
///
/// # Guarantees
///
/// - *At most once.* A message reaches each subscriber once or not at all. [`stats`](Cluster::stats)
///   counts the losses, and [`ClusterEvent::Lost`] reports them.
/// - *In order.* The messages that one task or thread publishes to a topic arrive in order.
/// - *Local delivery does not need the broker.* While it is away, a publish reaches the subscribers
///   of this node, and says that it reaches no others.
/// - *Bounded.* Nothing is kept for a broker or a node that is away.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
    leave: Arc<watch::Sender<bool>>,
}

impl Cluster {
    /// Joins a cluster with the default options, on the present runtime of tokio. Returns at once;
    /// [`ClusterEvent::Connected`] says when the broker is connected.
    ///
    /// The node leaves when the server has stopped, or by [`leave`](Cluster::leave).
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime of tokio.
    pub fn join(server: ServerHandle, broker: impl Broker) -> Self {
        Cluster::join_with(server, broker, ClusterOptions::default())
    }

    /// Joins a cluster like [`join`](Cluster::join), with options.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime of tokio.
    pub fn join_with(server: ServerHandle, broker: impl Broker, options: ClusterOptions) -> Self {
        let topics = server.watch_topics();
        let node = Arc::new(Node::new(server, Arc::new(broker), options));
        node.broker.subscribe(&node.options.all_channel());
        node.broker.subscribe(&node.options.node_channel(node.id));
        node.broker.start(node.clone());
        let leave = Arc::new(watch::Sender::new(false));
        tokio::spawn(run(node.clone(), topics, leave.clone()));
        Cluster { node, leave }
    }

    /// Returns the id of this node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node.id
    }

    /// Returns the server of this node.
    #[must_use]
    pub fn server(&self) -> &ServerHandle {
        &self.node.server
    }

    /// Returns the id in the cluster of a connection of this node.
    #[must_use]
    pub fn global_id(&self, connection: ConnectionId) -> GlobalId {
        GlobalId { node: self.node.id, connection }
    }

    /// Returns the other nodes that are alive, in no particular order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        lock(&self.node.membership).nodes().collect()
    }

    /// Returns the figures of this node.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        self.node.counters.snapshot()
    }

    /// Returns the events of this node from now on. A slow subscriber misses the oldest
    /// ones and receives their number.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.node.events.subscribe()
    }

    /// Publishes a message to the subscribers of a topic on all nodes. Text stays text, and binary
    /// stays binary. Topics have at most 255 bytes.
    pub fn publish<'p>(&self, topic: impl AsRef<str>, message: impl Into<Payload<'p>>) -> Published {
        self.publish_except_id(topic.as_ref(), None, message.into())
    }

    /// Publishes a message like [`publish`](Cluster::publish), to all but one connection of this
    /// node: the sender of the message, in most cases.
    pub fn publish_from<'p>(
        &self,
        client: &Client,
        topic: impl AsRef<str>,
        message: impl Into<Payload<'p>>,
    ) -> Published {
        self.publish_except_id(topic.as_ref(), Some(client.id()), message.into())
    }

    fn publish_except_id(
        &self,
        topic: &str,
        except: Option<ConnectionId>,
        message: Payload<'_>,
    ) -> Published {
        let remote = self.node.send_to_topic(topic, content(&message));
        let mut publish = Publish::new(message);
        if let Some(id) = except {
            publish = publish.except(id);
        }
        Published { local: self.node.server.publish(topic, publish), remote }
    }

    /// Sends a message to all open WebSockets on all nodes.
    pub fn broadcast<'p>(&self, message: impl Into<Payload<'p>>) -> Published {
        let message = message.into();
        let remote = self.node.send_to_all(Body::Broadcast { message: content(&message) });
        Published { local: self.node.server.broadcast(|_| true, message), remote }
    }

    /// Queues a message for one connection, wherever it is.
    ///
    /// # Errors
    ///
    /// Returns an error if the message certainly does not arrive. A message to another node may be
    /// lost later, for instance if the connection has just ended there.
    pub fn push<'p>(&self, id: GlobalId, message: impl Into<Payload<'p>>) -> Result<Delivery, DeliveryError> {
        let message = message.into();
        if self.is_local(id)? {
            return Ok(Delivery::Local(self.node.server.push(id.connection, message)?));
        }
        let connection = id.connection.as_u64();
        self.node.send_to_node(id.node, Body::Push { connection, message: content(&message) })?;
        Ok(Delivery::Sent)
    }

    /// Closes one connection, wherever it is.
    ///
    /// # Errors
    ///
    /// Returns an error like [`push`](Cluster::push). On another node, an invalid code or reason
    /// has no effect.
    pub fn disconnect(
        &self,
        id: GlobalId,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> Result<Delivery, DeliveryError> {
        let code = code.into();
        if self.is_local(id)? {
            return Ok(Delivery::Local(self.node.server.disconnect(id.connection, code, reason)?));
        }
        let body = Body::Disconnect { connection: id.connection.as_u64(), code: code.into(), reason };
        self.node.send_to_node(id.node, body)?;
        Ok(Delivery::Sent)
    }

    /// Returns information about one connection, wherever it is, or `None` if its node does not
    /// have it.
    ///
    /// # Errors
    ///
    /// Returns an error if the node is unknown or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future withdraws the question.
    pub async fn info(&self, id: GlobalId) -> Result<Option<RemoteInfo>, DeliveryError> {
        if self.is_local(id)? {
            return Ok(RemoteInfo::of(&self.node.server, id.connection));
        }
        let question = Question::Info { connection: id.connection.as_u64() };
        let answers = self.ask(Some(id.node), question).await?;
        match answers.answers.into_iter().next() {
            Some((_, Reply::Info(info))) => Ok(Some(info)),
            Some(_) => Ok(None),
            None => Err(DeliveryError::NoAnswer),
        }
    }

    /// Returns the subscribers of a topic on all nodes, in no particular order.
    ///
    /// # Errors
    ///
    /// Returns an error if the other nodes cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future withdraws the question.
    pub async fn presence(&self, topic: impl AsRef<str>) -> Result<Gathered<Vec<Member>>, PublishError> {
        let topic = topic.as_ref();
        let answers = self.ask(None, Question::Presence { topic }).await?;
        let here = self.node.server.presence(topic).into_iter();
        let mut value: Vec<_> =
            here.map(|member| Member { id: self.global_id(member.id), info: member.info }).collect();
        value.extend(answers.answers.into_iter().filter_map(|(node, reply)| match reply {
            Reply::Member(connection, info) => Some(Member { id: GlobalId { node, connection }, info }),
            _ => None,
        }));
        Ok(Gathered { value, missing: answers.missing })
    }

    /// Returns the number of subscribers of a topic on all nodes.
    ///
    /// # Errors
    ///
    /// Returns an error if the other nodes cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future withdraws the question.
    pub async fn subscriber_count(&self, topic: impl AsRef<str>) -> Result<Gathered<u64>, PublishError> {
        let topic = topic.as_ref();
        let answers = self.ask(None, Question::Count { topic }).await?;
        let remote = answers.answers.iter().map(|(_, reply)| match reply {
            Reply::Count(count) => *count,
            _ => 0,
        });
        let value = remote.fold(self.node.server.subscriber_count(topic) as u64, u64::saturating_add);
        Ok(Gathered { value, missing: answers.missing })
    }

    /// Leaves the cluster. The server continues alone.
    pub fn leave(&self) {
        self.leave.send_replace(true);
    }

    /// Returns whether a connection is one of this node, or an error if its node is unknown.
    fn is_local(&self, id: GlobalId) -> Result<bool, DeliveryError> {
        let is_local = id.node == self.node.id;
        if !is_local && !lock(&self.node.membership).nodes().any(|node| node == id.node) {
            return Err(DeliveryError::UnknownNode);
        }
        Ok(is_local)
    }

    /// Asks one node, or all that are alive, and waits for the answers.
    async fn ask(
        &self,
        node: Option<NodeId>,
        question: Question<'_>,
    ) -> Result<Answers<Reply>, PublishError> {
        let nodes = match node {
            Some(node) => vec![node],
            None => self.nodes(),
        };
        if nodes.is_empty() {
            return Ok(Answers { answers: Vec::new(), missing: Vec::new() });
        }
        let (request, wait) = lock(&self.node.questions).open(nodes.into_iter());
        let open = OpenQuestion { node: &self.node, request };
        let body = Body::Ask { request, question };
        match node {
            Some(node) => self.node.send_to_node(node, body)?,
            None => self.node.send_to_all(body)?,
        }
        // At the deadline the nodes that have not answered are missing.
        let _ = timeout(self.node.options.answer_timeout, wait).await;
        Ok(open.close())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("node", &self.node.id).finish_non_exhaustive()
    }
}

/// A question that is withdrawn when its task gives up.
struct OpenQuestion<'a> {
    node: &'a Node,
    request: u64,
}

impl OpenQuestion<'_> {
    fn close(&self) -> Answers<Reply> {
        lock(&self.node.questions).close(self.request)
    }
}

impl Drop for OpenQuestion<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

fn content<'a>(message: &'a Payload<'_>) -> Content<'a> {
    Content { kind: message.kind(), payload: message.as_bytes() }
}

/// Follows the topics of the server and sends heartbeats, until the server stops or the node leaves.
async fn run(node: Arc<Node>, mut topics: TopicWatch, leave: Arc<watch::Sender<bool>>) {
    // The task keeps the sender: without handles the node works on for its server.
    let mut left = leave.subscribe();
    let mut heartbeat = interval(node.options.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            change = topics.next() => match change {
                Some(TopicChange::Active(topic)) => node.follow_topic(&topic, true),
                Some(TopicChange::Inactive(topic)) => node.follow_topic(&topic, false),
                Some(_) => {}
                None => break,
            },
            _ = heartbeat.tick() => {
                node.expire();
                // If it fails, the broker is away or busy, and the next one follows.
                let _ = node.send_to_all(Body::Heartbeat);
            }
            _ = left.wait_for(|left| *left) => break,
        }
    }
    // Without it the other nodes notice after the expiry.
    let _ = node.send_to_all(Body::Leave);
    node.broker.stop();
}
