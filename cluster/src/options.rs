//! Options of a node.

use std::time::Duration;

/// The options of a node. All nodes of a cluster should have the same.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// The first part of the names of channels, to share an engine with other clusters: ASCII
    /// letters, digits, `_` and `-`. `sockeye` by default.
    pub prefix: String,
    /// The time between two heartbeats: 1 s by default.
    pub heartbeat: Duration,
    /// The silence after which a node counts as dead: 3 s by default. The other nodes notice within
    /// this time and one heartbeat more.
    pub expiry: Duration,
    /// The time that a question to other nodes may take, such as [`Cluster::presence`]: 2 s by
    /// default.
    ///
    /// [`Cluster::presence`]: crate::Cluster::presence
    pub answer_timeout: Duration,
    /// The largest message between nodes in bytes, with about 300 bytes for its header and topic:
    /// 1 MB by default, as in NATS.
    pub max_message: usize,
    /// The number of events that wait for a subscriber of [`Cluster::events`]: 256 by default.
    ///
    /// [`Cluster::events`]: crate::Cluster::events
    pub event_capacity: usize,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions {
            prefix: "sockeye".into(),
            heartbeat: Duration::from_secs(1),
            expiry: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(2),
            max_message: 1_000_000,
            event_capacity: 256,
        }
    }
}

impl ClusterOptions {
    pub(crate) fn topic_channel(&self, topic: &str) -> String {
        let mut channel = format!("{}.t.", self.prefix);
        for byte in topic.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
                channel.push(char::from(byte));
            } else {
                channel.push_str(&format!("={byte:02X}"));
            }
        }
        channel
    }

    pub(crate) fn node_channel(&self, node: crate::NodeId) -> String {
        format!("{}.n.{node}", self.prefix)
    }

    pub(crate) fn all_channel(&self) -> String {
        format!("{}.all", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterOptions;

    #[test]
    fn c1_topics_of_any_text_have_different_channels_of_safe_characters() {
        let options = ClusterOptions::default();
        assert_eq!(options.topic_channel("room-1"), "sockeye.t.room-1");
        assert_eq!(options.topic_channel("a.b *>é="), "sockeye.t.a=2Eb=20=2A=3E=C3=A9=3D");
        assert_eq!(options.topic_channel("a=2Eb"), "sockeye.t.a=3D2Eb");
    }
}
