//! Sending and receiving JSON by the halves.

use std::future::poll_fn;

use serde::de::DeserializeOwned;
use serde::ser::Serialize;

use crate::json::{JsonError, read, received, to_text};
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf};

impl<I: Io, C: Clock> RecvHalf<I, C> {
    /// Waits for the next message and reads it as JSON, like
    /// [`WebSocket::recv_json`](crate::WebSocket::recv_json).
    ///
    /// # Errors
    ///
    /// Returns an error like [`WebSocket::recv_json`](crate::WebSocket::recv_json).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the poll that takes a message also returns its value.
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JsonError> {
        received(poll_fn(|cx| self.poll_message(cx, |message| read(message.as_ref()))).await)
    }
}

impl<I: Io, C: Clock> SendHalf<I, C> {
    /// Sends a value as JSON text, like [`send`](SendHalf::send).
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or like [`send`](SendHalf::send).
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all, like in [`send`](SendHalf::send).
    pub async fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        Ok(self.send(to_text(value)?).await?)
    }
}
