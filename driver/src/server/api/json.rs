//! JSON in handlers.

use std::fmt;

use serde::de::Deserialize;
use serde::ser::Serialize;

use crate::json::{InvalidJson, read};
use crate::server::api::client::Client;
use crate::server::api::handler::BoxError;
use crate::server::api::inbound::Inbound;
use crate::server::api::outcome::Outcome;
use crate::server::registry::error::PushError;
use crate::server::registry::pushed::Pushed;

impl<'a> Inbound<'a> {
    /// Reads the message, text or binary, as JSON. The value may borrow from the message.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound};
    ///
    /// #[derive(Deserialize)]
    /// struct Question<'a> {
    ///     name: &'a str,
    /// }
    ///
    /// #[derive(Serialize)]
    /// struct Answer {
    ///     greeting: String,
    /// }
    ///
    /// struct Greeter;
    ///
    /// impl Handler for Greeter {
    ///     async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
    ///         match message.json::<Question<'_>>() {
    ///             Ok(Question { name }) => {
    ///                 client.push_json(&Answer { greeting: format!("hello, {name}") })?;
    ///             }
    ///             // With `?`, the error would end the connection with 1011.
    ///             Err(invalid) => {
    ///                 client.push(invalid.to_string())?;
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the message if it is not the JSON of a `T`. The connection continues.
    pub fn json<T: Deserialize<'a>>(self) -> Result<T, InvalidJson> {
        read(self.message)
    }
}

impl Client {
    /// Queues a value as JSON text, like [`push`](Client::push).
    ///
    /// For a broadcast, write the value once, with [`to_text`](crate::json::to_text).
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or like [`push`](Client::push).
    /// Nothing of it was queued.
    pub fn push_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<Pushed, PushJsonError> {
        let text = serde_json::to_string(value).map_err(PushJsonError::Value)?;
        self.push(text).map_err(PushJsonError::Push)
    }
}

/// The reason why [`Client::push_json`] has queued nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushJsonError {
    /// The value cannot be written as JSON: for instance, a map's keys are not strings.
    Value(serde_json::Error),
    /// The message cannot be sent.
    Push(PushError),
}

impl fmt::Display for PushJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PushJsonError::Value(error) => write!(f, "the value cannot be sent as JSON: {error}"),
            PushJsonError::Push(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PushJsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PushJsonError::Value(_) => None,
            PushJsonError::Push(error) => error.source(),
        }
    }
}

/// A closure may end with a push of JSON.
impl Outcome for Result<Pushed, PushJsonError> {
    fn into_result(self) -> Result<(), BoxError> {
        self?;
        Ok(())
    }
}
