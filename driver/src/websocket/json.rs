//! Sending and receiving JSON.

use std::future::poll_fn;

use serde::de::DeserializeOwned;
use serde::ser::Serialize;

use crate::json::{JsonError, read, received, to_text};
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

impl<I: Io, C: Clock> WebSocket<I, C> {
    /// Sends a value as JSON text, like [`send`](WebSocket::send). The module [`json`](crate::json)
    /// has an example.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or like [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all, like in [`send`](WebSocket::send).
    pub async fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        Ok(self.send(to_text(value)?).await?)
    }

    /// Waits for the next message and reads it as JSON, text or binary. Returns `None` once the
    /// connection is over, like [`recv`](WebSocket::recv).
    ///
    /// # Errors
    ///
    /// Returns [`JsonError::Received`] with the message if it is not the JSON of a `T`. The
    /// connection continues, and the next call reads the next message. Returns
    /// [`JsonError::Connection`] like [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`recv`](WebSocket::recv): the poll that takes a message also returns its
    /// value.
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JsonError> {
        let outcome =
            poll_fn(|cx| self.reader.poll_message(&mut self.link, cx, |message, _| read(message.as_ref())));
        received(outcome.await)
    }
}
