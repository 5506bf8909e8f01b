//! Ids of nodes and, with them, of connections in the whole cluster.

use std::fmt;
use std::str::FromStr;

use sockeye_driver::server::ConnectionId;

/// The id of a node: a random number, which a node chooses when it joins. A node that restarts has
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

/// The id of a connection in the whole cluster.
///
/// ```
/// use sockeye_cluster::GlobalId;
///
/// let id: GlobalId = "00000000000000ff-7".parse().unwrap();
/// assert_eq!(id.connection.as_u64(), 7);
/// assert_eq!(id.to_string(), "00000000000000ff-7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalId {
    /// The node that has the connection.
    pub node: NodeId,
    /// The connection's id there.
    pub connection: ConnectionId,
}

/// An error of parsing a [`NodeId`] or a [`GlobalId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseIdError;

impl NodeId {
    /// Returns the id as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Converts a number from [`as_u64`](NodeId::as_u64) back to the id.
    #[must_use]
    pub const fn from_u64(id: u64) -> Self {
        NodeId(id)
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let is_valid = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = is_valid.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(NodeId).ok_or(ParseIdError)
    }
}

/// The node and the connection with a hyphen between them, for logs and messages.
impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.node, self.connection)
    }
}

impl FromStr for GlobalId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (node, connection) = text.split_once('-').ok_or(ParseIdError)?;
        let connection = connection.parse().map_err(|_| ParseIdError)?;
        Ok(GlobalId { node: node.parse()?, connection: ConnectionId::from_u64(connection) })
    }
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not an id of a node or of a connection in a cluster")
    }
}

impl std::error::Error for ParseIdError {}
