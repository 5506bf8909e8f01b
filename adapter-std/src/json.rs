//! Messages in JSON, by serde.
//!
//! ```no_run
//! use std::collections::HashMap;
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = sockeye_std::connect("ws://127.0.0.1:9501/")?;
//! ws.send_json(&HashMap::from([("subscribe", "prices")]))?;
//! while let Some(price) = ws.recv_json::<HashMap<String, u64>>()? {
//!     println!("{price:?}");
//! }
//! # Ok(()) }
//! ```
//!
//! JSON is sent as text, and read from text and from binary messages. A message that is not the
//! expected JSON is an error with that message, and the connection continues.

use serde::de::DeserializeOwned;
use serde::ser::Serialize;
use sockeye_driver::json::received;

use crate::split::{RecvHalf, SendHalf};
use crate::stream::Stream;
use crate::websocket::WebSocket;

pub use sockeye_driver::json::{InvalidJson, JsonError, MessageJson, to_text};

impl<S: Stream> WebSocket<S> {
    /// Sends a value as JSON text, like [`send`](WebSocket::send).
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or like [`send`](WebSocket::send).
    pub fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        Ok(self.send(to_text(value)?)?)
    }

    /// Receives the next message and reads it as JSON, text or binary. Returns `None` once the
    /// connection is over, like [`recv`](WebSocket::recv).
    ///
    /// # Errors
    ///
    /// Returns [`JsonError::Received`] with the message if it is not the JSON of a `T`. The
    /// connection continues, and the next call reads the next message. Returns
    /// [`JsonError::Connection`] like [`recv`](WebSocket::recv).
    pub fn recv_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JsonError> {
        let outcome = self.reader.message(&mut self.link, None, |message, _| message.as_ref().json::<T>());
        received(outcome.map(crate::reader::RecvOutcome::item))
    }
}

impl<S> RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Receives the next message and reads it as JSON, like [`WebSocket::recv_json`].
    ///
    /// # Errors
    ///
    /// Returns an error like [`WebSocket::recv_json`].
    pub fn recv_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JsonError> {
        received(self.recv_with(|message| message.json::<T>()))
    }
}

impl<S> SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Sends a value as JSON text, like [`send`](SendHalf::send).
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or like [`send`](SendHalf::send).
    pub fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        Ok(self.send(to_text(value)?)?)
    }
}
