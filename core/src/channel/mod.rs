//! Traits for libraries that run over any WebSocket connection: JSON-RPC, STOMP, WAMP, GraphQL.
//!
//! Write the library once, generic over [`Channel`]. It then runs over the connections of
//! `sockeye-tokio`, `sockeye-smol` and `sockeye-std`, of any other runtime with `sockeye-driver`,
//! and over your own types. It depends on this crate only.
//!
//! ```
//! use sockeye_core::Message;
//! use sockeye_core::channel::Channel;
//!
//! /// Asks the peer a question and returns its answer, or `None` if it closes the connection.
//! async fn ask<C: Channel>(channel: &mut C, question: &str) -> Result<Option<Message>, C::Error> {
//!     channel.send(question).await?;
//!     channel.recv().await
//! }
//!
//! /// The future is `Send` if the channel is, with no further bound.
//! fn can_be_spawned<C: Channel + Send>(channel: &mut C) {
//!     fn assert_send(_: impl Send) {}
//!     assert_send(ask(channel, "how are you?"));
//! }
//! ```
//!
//! | Trait | Implemented by | Methods |
//! |---|---|---|
//! | [`Channel`] | `WebSocket` | those of the two below, [`close`](Channel::close), [`subprotocol`](Channel::subprotocol) |
//! | [`RecvMessage`] | `WebSocket`, `RecvHalf` | [`recv`](RecvMessage::recv) |
//! | [`SendMessage`] | `WebSocket`, `SendHalf` | [`send`](SendMessage::send), [`feed`](SendMessage::feed), [`flush`](SendMessage::flush), [`begin_close`](SendMessage::begin_close) |
//!
//! Mutable references and boxes implement the traits too, so `Box<dyn Channel<Error = E> + Send>`
//! is a channel.
//!
//! Each future is a named type that borrows the channel. It is therefore `Send` exactly if the
//! channel is: a library needs no `Send` bound of its own, and runs on executors of one thread,
//! over transports that are not `Send`. All futures are cancel safe: progress is kept in the
//! channel. Futures written by hand call the `poll_*` functions.
//!
//! # Blocking connections
//!
//! Over `sockeye_std::WebSocket` and its halves, each poll blocks until it is ready. It never
//! returns `Pending` and ignores the waker. Run the library with `sockeye_std::block_on`, and offer
//! blocking callers a function that does so.
//!
//! While such a poll blocks, nothing else in its task runs: a timeout or another branch of a
//! `select!` has to wait. So flush before you receive, and do not receive when no message is
//! expected.
//!
//! # Sending while receiving
//!
//! Two ways work over every connection:
//!
//! - One task: receive in a loop, and send the answer to each message.
//! - Two tasks or, over `sockeye-std`, two threads: split the connection with its own method
//!   `split`. Write the loop that reads over [`RecvMessage`], the one that writes over
//!   [`SendMessage`], and connect the two with a queue such as `async-channel`.
//!
//! A third way works over async connections only: one task polls
//! [`poll_recv`](RecvMessage::poll_recv) and its own queue in turn. A receive that waits also
//! writes everything that has been queued.
//!
//! # Servers with handlers
//!
//! The `server` modules call a handler for each message, and their `Client` is a handle that sends
//! and never receives. It is not a channel. To support channels and handlers, keep the library's
//! logic apart from waiting: write a struct with a function that maps one incoming message to its
//! answers.
//!
//! ```
//! use sockeye_core::MessageRef;
//! use sockeye_core::channel::Channel;
//!
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! impl Counter {
//!     /// Returns the answer to a message.
//!     fn answer(&mut self, message: MessageRef<'_>) -> String {
//!         self.0 += 1;
//!         format!("{} messages, the last with {} bytes", self.0, message.as_bytes().len())
//!     }
//!
//!     /// For channels: answers messages until the connection ends.
//!     async fn run<C: Channel>(mut self, channel: &mut C) -> Result<(), C::Error> {
//!         while let Some(message) = channel.recv().await? {
//!             let answer = self.answer(message.as_ref());
//!             channel.feed(answer).await?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! The channel's loop calls `answer`, as above. A handler keeps one `Counter` for each client,
//! calls `answer` in its `message` event, and passes the result to `Client::push`.

use core::error;
use core::task::{Context, Poll, ready};

use self::future::{BeginClose, Close, Feed, Flush, Recv};
use crate::close::{CloseCode, CloseInfo};
use crate::error::SendError;
use crate::message::{Message, Payload};

mod forward;
pub mod future;

/// The error of a channel. It is a trait of its own so that `C::Error` is one type for a `C` that
/// both sends and receives.
pub trait ErrorType {
    /// Why an operation failed. A [`SendError`] concerns one message only: unless it is
    /// [`SendError::Closed`], the channel remains usable. Any other error means that the channel
    /// has ended.
    type Error: error::Error + From<SendError> + Send + Sync + 'static;
}

/// A WebSocket connection that sends and receives whole messages.
///
/// See the [module](self) for how to write a library with it.
pub trait Channel: RecvMessage + SendMessage {
    /// Returns the subprotocol that the two ends agreed on, if any (RFC 6455 1.9).
    fn subprotocol(&self) -> Option<&str>;

    /// Polls [`close`](Channel::close). Pass the same code and reason to every poll.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The connection remains open.
    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        code: CloseCode,
        reason: &str,
    ) -> Poll<Result<CloseInfo, Self::Error>> {
        match self.start_close(code, reason) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        // The returned info covers errors, too.
        while let Ok(Some(_)) = ready!(self.poll_recv(cx)) {}
        Poll::Ready(Ok(self.close_info().unwrap_or_else(CloseInfo::unknown)))
    }

    /// Closes the connection and returns how it ended. [`CloseInfo::clean`] says whether the peer
    /// completed the closing handshake.
    ///
    /// It sends a Close and discards messages until the connection is over, for at most
    /// [`Config::close_timeout`](crate::Config#structfield.close_timeout). If the connection is
    /// closing already, it only waits for the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The connection remains open.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close. Call it again to continue waiting.
    fn close<'a>(&'a mut self, code: impl Into<CloseCode>, reason: &'a str) -> Close<'a, Self>
    where
        Self: Sized,
    {
        Close::new(self, code.into(), reason)
    }
}

/// The receiving side of a channel: a whole connection, or its receiving half.
///
/// The connection makes progress while it receives: it writes what is queued, answers pings and
/// Closes, and keeps the deadlines. So receive until the end, even after sending a Close.
pub trait RecvMessage: ErrorType {
    /// Polls [`recv`](RecvMessage::recv).
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake. Every
    /// poll after that returns `None`.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>>;

    /// Returns how the connection ended or is ending, or `None` while it is open.
    fn close_info(&self) -> Option<CloseInfo>;

    /// Waits for the next message. Returns `None` once the connection is over.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake: the
    /// peer violated the protocol or vanished, or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the channel keeps the part of a message that has arrived.
    fn recv(&mut self) -> Recv<'_, Self>
    where
        Self: Sized,
    {
        Recv::new(self)
    }
}

/// The sending side of a channel: a whole connection, or its sending half.
///
/// Messages are queued first and written by a flush or by the next receive. So one write can carry
/// many messages.
pub trait SendMessage: ErrorType {
    /// Returns `Ready` when [`start_send`](SendMessage::start_send) has room for a message.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Queues a message. Call [`poll_ready`](SendMessage::poll_ready) first.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent. Then nothing is queued. On a sending half,
    /// [`SendError::Backpressure`] is possible even after `poll_ready`: the receiving half may have
    /// queued answers to pings in between. [`poll_feed`](SendMessage::poll_feed) handles this: it
    /// waits again.
    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError>;

    /// Queues a Close. No message can be queued after it.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, or [`SendError::Closed`] if the
    /// connection is closing already.
    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError>;

    /// Polls [`flush`](SendMessage::flush).
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Waits for room and queues the message. Takes the payload out of the `Option` when the
    /// message is queued or refused. Returns `Ready` at once if the `Option` is `None`.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke.
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        payload: &mut Option<Payload<'_>>,
    ) -> Poll<Result<(), Self::Error>> {
        if payload.is_none() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_ready(cx))?;
        Poll::Ready(match payload.take() {
            Some(payload) => self.start_send(payload).map_err(Into::into),
            None => Ok(()),
        })
    }

    /// Sends a message: queues it, then writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all. To know which, call [`feed`](SendMessage::feed),
    /// then [`flush`](SendMessage::flush).
    fn send<'a, 'p>(&'a mut self, payload: impl Into<Payload<'p>>) -> future::Send<'a, 'p, Self>
    where
        Self: Sized,
    {
        future::Send::new(self, payload.into())
    }

    /// Queues a message. The next [`flush`](SendMessage::flush) or receive writes it.
    ///
    /// It waits only while [`Config::high_water_mark`](crate::Config#structfield.high_water_mark)
    /// bytes or more are queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future returns as soon as the message is queued, so a cancelled call has
    /// queued nothing.
    fn feed<'a, 'p>(&'a mut self, payload: impl Into<Payload<'p>>) -> Feed<'a, 'p, Self>
    where
        Self: Sized,
    {
        Feed::new(self, payload.into())
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call continues where this one stopped.
    fn flush(&mut self) -> Flush<'_, Self>
    where
        Self: Sized,
    {
        Flush::new(self)
    }

    /// Sends a Close and returns when it has been written. The receiving side then returns the
    /// messages that the peer sent before its own Close, and after them the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, the connection is closing already, or
    /// the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close.
    fn begin_close<'a>(&'a mut self, code: impl Into<CloseCode>, reason: &'a str) -> BeginClose<'a, Self>
    where
        Self: Sized,
    {
        BeginClose::new(self, code.into(), reason)
    }
}
