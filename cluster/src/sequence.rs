//! Positions in the streams of publishers, and the losses that they reveal.

use std::collections::HashMap;

use crate::id::NodeId;
use crate::wire::Position;

/// The number of targets after which a publisher begins to forget those that it has not used.
const TARGETS: usize = 4096;

/// The positions of one publisher, for each of its targets.
///
/// The memory is bounded: at most two generations of targets are kept. A target that was forgotten
/// begins a new stream.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    young: HashMap<Box<str>, Position>,
    old: HashMap<Box<str>, Position>,
    streams: u32,
}

impl Outgoing {
    /// Returns the position of the next message for a target.
    pub(crate) fn next(&mut self, target: &str) -> Position {
        if let Some(position) = self.young.get_mut(target) {
            position.sequence += 1;
            return *position;
        }
        let mut position = self.old.remove(target).unwrap_or_else(|| {
            self.streams = self.streams.wrapping_add(1);
            Position { stream: self.streams, sequence: 0 }
        });
        position.sequence += 1;
        if self.young.len() >= TARGETS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(target.into(), position);
        position
    }
}

/// The latest positions that were received of each node, for each target.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    targets: HashMap<Box<str>, Vec<(NodeId, Position)>>,
}

/// The place of a message in the sequence of its node, compared with the messages before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the first of this node, or follows the one before.
    InOrder,
    /// So many messages of this node are missing before it.
    After { lost: u64 },
    /// It was received before.
    Duplicate,
}

impl Incoming {
    /// Begins to keep the positions of a target. Those of others are ignored, so that nothing is kept
    /// of messages that arrive after the end of a subscription.
    pub(crate) fn follow(&mut self, target: &str) {
        self.targets.entry(target.into()).or_default();
    }

    pub(crate) fn receive(&mut self, target: &str, node: NodeId, position: Position) -> Arrival {
        let Some(known) = self.targets.get_mut(target) else { return Arrival::InOrder };
        let Some((_, last)) = known.iter_mut().find(|(id, _)| *id == node) else {
            known.push((node, position));
            return Arrival::InOrder;
        };
        let expected = if position.stream == last.stream {
            if position.sequence <= last.sequence {
                return Arrival::Duplicate;
            }
            last.sequence.saturating_add(1)
        } else {
            1
        };
        *last = position;
        match position.sequence.saturating_sub(expected) {
            0 => Arrival::InOrder,
            lost => Arrival::After { lost },
        }
    }

    /// Forgets a target to which this node no longer subscribes.
    pub(crate) fn forget_target(&mut self, target: &str) {
        self.targets.remove(target);
    }

    /// Forgets a node that has gone.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.targets.values_mut().for_each(|known| known.retain(|(id, _)| *id != node));
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Incoming, Outgoing, TARGETS};
    use crate::id::NodeId;

    const NODE: NodeId = NodeId::from_u64(1);

    #[test]
    fn c4_gaps_and_duplicates_are_counted_for_each_publisher_and_target() {
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        incoming.follow("a");
        let first = outgoing.next("a");
        assert_eq!(incoming.receive("a", NODE, first), Arrival::InOrder);
        assert_eq!(incoming.receive("a", NODE, first), Arrival::Duplicate);
        assert_eq!(incoming.receive("a", NodeId::from_u64(2), first), Arrival::InOrder);
        let _other = outgoing.next("b");
        let _lost = (outgoing.next("a"), outgoing.next("a"));
        assert_eq!(incoming.receive("a", NODE, outgoing.next("a")), Arrival::After { lost: 2 });
        assert_eq!(incoming.receive("a", NODE, outgoing.next("a")), Arrival::InOrder);
    }

    #[test]
    fn c4_a_new_subscription_and_a_new_node_begin_anywhere() {
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        incoming.follow("a");
        for _ in 0..5 {
            outgoing.next("a");
        }
        assert_eq!(incoming.receive("a", NODE, outgoing.next("a")), Arrival::InOrder);
        incoming.forget_target("a");
        incoming.receive("a", NODE, outgoing.next("a"));
        assert!(incoming.targets.is_empty(), "a message after the end of the subscription leaves nothing");
        incoming.follow("a");
        outgoing.next("a");
        assert_eq!(incoming.receive("a", NODE, outgoing.next("a")), Arrival::InOrder);
        incoming.forget_node(NODE);
        outgoing.next("a");
        assert_eq!(incoming.receive("a", NODE, outgoing.next("a")), Arrival::InOrder);
        assert_eq!(incoming.targets.len(), 1);
    }

    #[test]
    fn c4_a_publisher_forgets_unused_targets_and_then_begins_new_streams() {
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        incoming.follow("rare");
        incoming.receive("rare", NODE, outgoing.next("rare"));
        for topic in 0..10 * TARGETS {
            outgoing.next(&topic.to_string());
            outgoing.next("frequent");
        }
        assert!(outgoing.young.len() + outgoing.old.len() <= 2 * TARGETS + 1);
        assert_eq!(outgoing.next("frequent").sequence as usize, 10 * TARGETS + 1);
        let again = outgoing.next("rare");
        assert_eq!(again.sequence, 1);
        assert_eq!(incoming.receive("rare", NODE, again), Arrival::InOrder);
    }
}
