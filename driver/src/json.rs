//! Messages in JSON, by serde.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//!
//! # async fn f(mut ws: sockeye_driver::WebSocket<impl sockeye_driver::Io, impl sockeye_driver::Clock>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! #[derive(Serialize)]
//! struct Subscribe<'a> {
//!     subscribe: &'a str,
//! }
//!
//! #[derive(Deserialize)]
//! struct Price {
//!     name: String,
//!     cents: u64,
//! }
//!
//! ws.send_json(&Subscribe { subscribe: "prices" }).await?;
//! while let Some(Price { name, cents }) = ws.recv_json().await? {
//!     println!("{name} costs {cents}");
//! }
//! # Ok(()) }
//! ```
//!
//! JSON is sent as text. It is read from text and from binary messages, because many programs send
//! it as binary.
//!
//! A message that is not the expected JSON is an error, and the connection continues. The error has
//! the message, so that the application can read it in another way:
//!
//! ```no_run
//! use sockeye_driver::json::JsonError;
//!
//! # async fn f(mut ws: sockeye_driver::WebSocket<impl sockeye_driver::Io, impl sockeye_driver::Clock>)
//! # -> Result<(), sockeye_driver::json::JsonError> {
//! loop {
//!     match ws.recv_json::<u64>().await {
//!         Ok(Some(number)) => println!("{number}"),
//!         Ok(None) => return Ok(()),
//!         Err(JsonError::Received(invalid)) => println!("{invalid}: {:?}", invalid.message()),
//!         Err(error) => return Err(error),
//!     }
//! }
//! # }
//! ```

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;
use sockeye_core::{Message, MessageKind, MessageRef};

use crate::error::Error;

/// The reason why JSON was not sent or received.
#[derive(Debug)]
#[non_exhaustive]
pub enum JsonError {
    /// The connection has failed, or cannot send the message.
    Connection(Error),
    /// A message is not the expected JSON. The connection continues.
    Received(InvalidJson),
    /// The value cannot be written as JSON: for instance, a map's keys are not strings. Nothing was
    /// sent, and the connection continues.
    Value(serde_json::Error),
}

impl JsonError {
    /// Returns whether the connection remains usable: only this one operation failed.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        match self {
            JsonError::Connection(error) => error.is_recoverable(),
            JsonError::Received(_) | JsonError::Value(_) => true,
        }
    }
}

/// A received message that is not the expected JSON.
///
/// Its text says what was wrong and where, but not the content of the message, which may be secret.
#[derive(Debug)]
pub struct InvalidJson {
    message: Message,
    error: serde_json::Error,
}

impl InvalidJson {
    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }

    /// Returns what was wrong: the syntax, or a field that is missing or of another type.
    #[must_use]
    pub fn error(&self) -> &serde_json::Error {
        &self.error
    }
}

/// Reads messages as JSON.
///
/// ```
/// use sockeye_core::Message;
/// use sockeye_driver::json::MessageJson;
///
/// let message = Message::from("[1, 2, 3]");
/// assert_eq!(message.json::<Vec<u32>>()?, [1, 2, 3]);
/// // The text of the error names the kind and the size of the message, and the place.
/// let error = Message::from("[1, true]").json::<Vec<u32>>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "a text message of 9 bytes is not the expected JSON: \
///      invalid type: boolean `true`, expected u32 at line 1 column 8"
/// );
/// # Ok::<(), sockeye_driver::json::InvalidJson>(())
/// ```
pub trait MessageJson {
    /// Reads the message, text or binary, as JSON. The value may borrow from the message.
    ///
    /// # Errors
    ///
    /// Returns the message if it is not the JSON of a `T`.
    fn json<'m, T: Deserialize<'m>>(&'m self) -> Result<T, InvalidJson>;
}

impl MessageJson for Message {
    fn json<'m, T: Deserialize<'m>>(&'m self) -> Result<T, InvalidJson> {
        serde_json::from_slice(self.as_bytes()).map_err(|error| InvalidJson { message: self.clone(), error })
    }
}

impl MessageJson for MessageRef<'_> {
    fn json<'m, T: Deserialize<'m>>(&'m self) -> Result<T, InvalidJson> {
        read(*self)
    }
}

/// Reads a message whose memory outlives this call.
pub(crate) fn read<'m, T: Deserialize<'m>>(message: MessageRef<'m>) -> Result<T, InvalidJson> {
    serde_json::from_slice(message.as_bytes())
        .map_err(|error| InvalidJson { message: message.to_message(), error })
}

/// Converts the outcome of a receive that has read JSON.
///
/// # Errors
///
/// Returns the error of the connection or of the message.
pub fn received<T: DeserializeOwned>(
    outcome: Result<Option<Result<T, InvalidJson>>, Error>,
) -> Result<Option<T>, JsonError> {
    Ok(outcome?.transpose()?)
}

/// Writes a value as JSON text.
///
/// # Errors
///
/// Returns an error if the value cannot be written as JSON.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String, JsonError> {
    serde_json::to_string(value).map_err(JsonError::Value)
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Connection(error) => error.fmt(f),
            JsonError::Received(invalid) => invalid.fmt(f),
            JsonError::Value(error) => write!(f, "the value cannot be sent as JSON: {error}"),
        }
    }
}

impl std::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // All of these display the error that they wrap, so the next source is that error's.
        match self {
            JsonError::Connection(error) => error.source(),
            JsonError::Received(_) | JsonError::Value(_) => None,
        }
    }
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.message.kind() {
            MessageKind::Text => "text",
            MessageKind::Binary => "binary",
        };
        let len = self.message.len();
        write!(f, "a {kind} message of {len} bytes is not the expected JSON: {}", self.error)
    }
}

impl std::error::Error for InvalidJson {}

impl From<Error> for JsonError {
    fn from(error: Error) -> Self {
        JsonError::Connection(error)
    }
}

impl From<InvalidJson> for JsonError {
    fn from(invalid: InvalidJson) -> Self {
        JsonError::Received(invalid)
    }
}

/// An attempt whose closure fails over JSON has failed.
#[cfg(feature = "reconnect")]
impl From<JsonError> for crate::reconnect::Cause {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Connection(error) => error.into(),
            error => crate::reconnect::Cause::other(error),
        }
    }
}
