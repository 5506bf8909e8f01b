//! JSON-RPC 2.0 over any WebSocket connection: the model for a library that is written once.
//!
//! [`Peer`] is generic over the core's [`Channel`], so it runs on tokio, smol and threads, over
//! transports that are `Send` or not. It waits only for the channel. [`Dispatcher`] interprets the
//! messages. It never waits, so a server's handler can use it without a channel.
//!
//! Batches are not supported: a peer that sends one gets the error "Invalid Request".

mod dispatch;

use std::fmt;

use serde_json::{Value, json};
use sockeye_core::channel::Channel;
use sockeye_core::{CloseCode, CloseInfo};

pub use dispatch::{Dispatcher, Incoming, RpcError, Service};

/// One end of a connection. Both ends can call and be called.
#[derive(Debug)]
pub struct Peer<C, S> {
    channel: C,
    dispatcher: Dispatcher<S>,
    last_id: u64,
}

impl<C: Channel, S: Service> Peer<C, S> {
    /// The subprotocol to agree on in the opening handshake.
    pub const SUBPROTOCOL: &str = "jsonrpc";

    /// Creates a peer that offers `service` to the other end.
    pub fn new(channel: C, service: S) -> Self {
        Peer { channel, dispatcher: Dispatcher(service), last_id: 0 }
    }

    /// Returns the channel.
    pub fn channel(&self) -> &C {
        &self.channel
    }

    /// Calls a method of the other end and waits for its result. Meanwhile it answers the calls of
    /// the other end.
    ///
    /// # Errors
    ///
    /// Returns an error if the method failed, or the connection ended first.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the method may have been called. Its response is ignored.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError<C::Error>> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.channel.send(request.to_string()).await.map_err(CallError::Channel)?;
        while let Some(incoming) = self.next().await.map_err(CallError::Channel)? {
            // A response with another id belongs to a call that was dropped.
            if let Incoming::Response { id: response_id, result } = incoming
                && response_id == id
            {
                return result.map_err(CallError::Method);
            }
        }
        Err(CallError::Closed(self.channel.close_info()))
    }

    /// Notifies the other end: calls a method without a response, and does not wait for it.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent.
    pub async fn notify(&mut self, method: &str, params: Value) -> Result<(), C::Error> {
        self.channel.send(json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await
    }

    /// Answers the calls of the other end until the connection ends. Returns the service.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ended without a complete closing handshake.
    pub async fn serve(mut self) -> Result<S, C::Error> {
        while self.next().await?.is_some() {}
        Ok(self.dispatcher.0)
    }

    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the Close cannot be sent.
    pub async fn close(mut self) -> Result<CloseInfo, C::Error> {
        self.channel.close(CloseCode::NORMAL, "").await
    }

    /// Waits for the next message and queues the answer to it, which the next wait writes.
    async fn next(&mut self) -> Result<Option<Incoming>, C::Error> {
        let Some(message) = self.channel.recv().await? else { return Ok(None) };
        let incoming = self.dispatcher.handle(message.as_bytes());
        if let Incoming::Request { answer } = &incoming {
            self.channel.feed(answer).await?;
        }
        Ok(Some(incoming))
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub enum CallError<E> {
    /// The method returned an error.
    Method(RpcError),
    /// The connection was closed before the response.
    Closed(Option<CloseInfo>),
    /// The connection broke.
    Channel(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Method(_) => f.write_str("the method failed"),
            CallError::Closed(Some(info)) => write!(f, "the connection ended before the response: {info}"),
            CallError::Closed(None) => f.write_str("the connection ended before the response"),
            CallError::Channel(_) => f.write_str("the connection broke"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Method(error) => Some(error),
            CallError::Channel(error) => Some(error),
            CallError::Closed(_) => None,
        }
    }
}
