//! The results of the operations of a cluster.

use std::fmt;
use std::sync::Arc;

use sockeye_driver::server::{Broadcast, PushError, Pushed};

use crate::broker::PublishError;
use crate::id::{GlobalId, NodeId};

/// The result of a publish or a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Published {
    /// The result on this node.
    pub local: Broadcast,
    /// Whether the message is on its way to the other nodes.
    pub remote: Result<(), PublishError>,
}

/// The result of a command to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// The connection is one of this node.
    Local(Pushed),
    /// The command is on its way to the other node.
    Sent,
}

/// An error of a command or a question to one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The connection is one of this node, and the command failed.
    Local(PushError),
    /// No such node is alive, as far as this node knows.
    UnknownNode,
    /// The command is not on its way.
    Publish(PublishError),
    /// The other node did not answer in time.
    NoAnswer,
}

/// A subscriber of a topic on any node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The connection.
    pub id: GlobalId,
    /// The information of
    /// [`Client::subscribe_with`](sockeye_driver::server::Client::subscribe_with); empty without any.
    pub info: Arc<[u8]>,
}

/// An answer that all nodes contribute to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gathered<T> {
    /// The contributions of this node and of those that have answered.
    pub value: T,
    /// The nodes that count as alive but have not answered in time.
    pub missing: Vec<NodeId>,
}

impl From<PushError> for DeliveryError {
    fn from(error: PushError) -> Self {
        DeliveryError::Local(error)
    }
}

impl From<PublishError> for DeliveryError {
    fn from(error: PublishError) -> Self {
        DeliveryError::Publish(error)
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::Local(error) => error.fmt(f),
            DeliveryError::UnknownNode => f.write_str("no node with this id is alive"),
            DeliveryError::Publish(error) => error.fmt(f),
            DeliveryError::NoAnswer => f.write_str("the other node did not answer in time"),
        }
    }
}

impl std::error::Error for DeliveryError {}
