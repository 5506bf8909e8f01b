//! A message for the subscribers of a topic.

use sockeye_core::{Payload, Prepared};

use crate::server::registry::broadcast::{Broadcast, Outgoing};
use crate::server::registry::hub::Hub;
use crate::server::registry::info::ConnectionId;

/// A message for [`ServerHandle::publish`](crate::server::ServerHandle::publish), with its options.
///
/// Everything that converts to a [`Payload`] converts to it:
///
/// ```
/// use sockeye_driver::server::{Client, Publish};
///
/// fn move_to(client: &Client, position: &str) {
///     let server = client.server();
///     server.publish("board", position);
///     // To all others. `client.publish` does the same.
///     server.publish("board", Publish::new(position).except(client.id()));
///     // Without compression, whatever the port's policy says.
///     server.publish("board", Publish::new(position).compress(false));
/// }
/// ```
#[derive(Debug)]
pub struct Publish<'p> {
    message: Outgoing<'p>,
    except: Option<ConnectionId>,
}

impl<'p> Publish<'p> {
    /// Creates a message for all subscribers: a string, bytes, a
    /// [`Message`](sockeye_core::Message) or a [`Payload`].
    pub fn new(message: impl Into<Payload<'p>>) -> Self {
        Publish { message: Outgoing::Payload(message.into()), except: None }
    }

    /// Creates it from a message that was encoded before, for instance to publish it to several
    /// topics.
    #[must_use]
    pub fn prepared(prepared: &'p Prepared) -> Self {
        Publish { message: Outgoing::Prepared(prepared), except: None }
    }

    /// Leaves out one connection, for instance the sender of the message.
    #[must_use]
    pub fn except(mut self, id: ConnectionId) -> Self {
        self.except = Some(id);
        self
    }

    /// Requests that the message be compressed or not, like [`Payload::compress`]. It has no effect
    /// on a message that is [encoded](Publish::prepared) already.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.message = match self.message {
            Outgoing::Payload(payload) => Outgoing::Payload(payload.compress(compress)),
            prepared => prepared,
        };
        self
    }

    /// Leaves out `id` unless another connection is left out already.
    pub(crate) fn except_sender(mut self, id: ConnectionId) -> Self {
        self.except.get_or_insert(id);
        self
    }

    pub(crate) fn send(&self, hub: &Hub, topic: &str) -> Broadcast {
        let Some(members) = hub.topics.members(topic) else { return Broadcast::default() };
        match self.except {
            None => self.message.push_to(hub, members.iter()),
            Some(id) => self.message.push_to(hub, members.iter().filter(|member| member.id() != id)),
        }
    }
}

impl<'p, T: Into<Payload<'p>>> From<T> for Publish<'p> {
    fn from(message: T) -> Self {
        Publish::new(message)
    }
}
