#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod broker;
mod cluster;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counters;
mod event;
mod id;
#[cfg(any(feature = "nats", feature = "redis"))]
mod link;
mod members;
mod memory;
#[cfg(feature = "nats")]
pub mod nats;
mod node;
mod options;
mod outcome;
mod questions;
#[cfg(feature = "redis")]
pub mod redis;
mod remote;
mod sequence;
mod wire;

pub use broker::{Broker, PublishError, Receiver};
pub use cluster::Cluster;
pub use counters::ClusterStats;
pub use event::ClusterEvent;
pub use id::{GlobalId, NodeId, ParseIdError};
pub use memory::{MemoryBroker, MemoryEngine};
pub use options::ClusterOptions;
pub use outcome::{Delivery, DeliveryError, Gathered, Member, Published};
pub use remote::RemoteInfo;
