//! The provided functions of the channel traits, over a scripted channel.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sockeye_core::channel::{Channel, ErrorType, RecvMessage, SendMessage};
use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Message, Payload, SendError};

#[derive(Debug, PartialEq)]
enum Error {
    Broken,
    Send(SendError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Error::Send(error)
    }
}

#[derive(Debug, Default)]
struct Script {
    has_room: bool,
    can_write: bool,
    is_closing: bool,
    /// The results of the next polls of a receive. Later polls return `Pending`.
    received: VecDeque<Result<Option<Message>, Error>>,
    /// The queued messages and Closes, as text.
    queued: Vec<String>,
}

impl ErrorType for Script {
    type Error = Error;
}

impl RecvMessage for Script {
    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.received.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn close_info(&self) -> Option<CloseInfo> {
        self.is_closing.then(CloseInfo::unknown)
    }
}

impl SendMessage for Script {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.has_room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        if self.is_closing {
            return Err(SendError::Closed);
        }
        self.queued.push(String::from_utf8_lossy(payload.as_bytes()).into());
        Ok(())
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        CloseFrame::new(code, reason).payload()?;
        if self.is_closing {
            return Err(SendError::Closed);
        }
        self.is_closing = true;
        self.queued.push(format!("{code} {reason}"));
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.can_write { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Channel for Script {
    fn subprotocol(&self) -> Option<&str> {
        Some("script")
    }
}

/// Polls a new future once and drops it.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_message_is_queued_once_there_is_room_and_not_before() {
    let mut script = Script::default();
    assert!(poll(script.feed("one")).is_pending());
    assert!(script.queued.is_empty());
    script.has_room = true;
    assert_eq!(poll(script.feed("two")), Poll::Ready(Ok(())));
    assert_eq!(script.queued, ["two"]);
}

#[test]
fn a_send_queues_once_and_then_waits_for_the_flush() {
    let mut script = Script { has_room: true, ..Script::default() };
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut send = pin!(script.send("one"));
        assert!(send.as_mut().poll(&mut cx).is_pending());
        assert!(send.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(script.queued, ["one"]);
    script.can_write = true;
    assert_eq!(poll(script.send("two")), Poll::Ready(Ok(())));
    assert_eq!(script.queued, ["one", "two"]);
}

#[test]
fn a_refused_message_is_an_error_of_the_channel() {
    let mut script = Script { has_room: true, is_closing: true, ..Script::default() };
    let refused = Poll::Ready(Err(Error::Send(SendError::Closed)));
    assert_eq!(poll(script.feed("one")), refused);
    assert_eq!(poll(script.send("one")), refused);
    assert_eq!(poll(script.begin_close(CloseCode::NORMAL, "")), refused);
}

#[test]
fn closing_discards_messages_until_the_end() {
    let received = VecDeque::from([Ok(Some("late".into())), Ok(None)]);
    let mut script = Script { received, ..Script::default() };
    assert_eq!(poll(script.close(CloseCode::NORMAL, "done")), Poll::Ready(Ok(CloseInfo::unknown())));
    assert_eq!(script.queued, ["1000 (normal) done"]);
}

#[test]
fn closing_ends_with_the_error_that_ends_the_connection() {
    let mut script = Script { received: VecDeque::from([Err(Error::Broken)]), ..Script::default() };
    assert_eq!(poll(script.close(CloseCode::NORMAL, "")), Poll::Ready(Ok(CloseInfo::unknown())));
}

#[test]
fn closing_can_be_cancelled_and_continued() {
    let mut script = Script::default();
    assert!(poll(script.close(CloseCode::NORMAL, "")).is_pending());
    script.received.push_back(Ok(None));
    assert!(poll(script.close(CloseCode::NORMAL, "")).is_ready());
    assert_eq!(script.queued.len(), 1);
}

#[test]
fn a_code_that_cannot_be_sent_closes_nothing() {
    let mut script = Script::default();
    let refused = SendError::InvalidCloseCode(CloseCode::NO_STATUS);
    assert_eq!(poll(script.close(CloseCode::NO_STATUS, "")), Poll::Ready(Err(refused.into())));
    assert!(!script.is_closing);
}

#[test]
fn references_and_boxes_are_channels() {
    async fn talk<C: Channel<Error = Error>>(mut channel: C) -> Option<Message> {
        assert_eq!(channel.subprotocol(), Some("script"));
        channel.send("out").await.unwrap();
        let message = channel.recv().await.unwrap();
        assert!(channel.close_info().is_none());
        channel.begin_close(CloseCode::NORMAL, "").await.unwrap();
        channel.close(CloseCode::NORMAL, "").await.unwrap();
        message
    }
    let script = || Script {
        has_room: true,
        can_write: true,
        received: VecDeque::from([Ok(Some("in".into())), Ok(None)]),
        ..Script::default()
    };
    let answer = Poll::Ready(Some(Message::from("in")));
    let mut by_reference = script();
    assert_eq!(poll(talk(&mut by_reference)), answer);
    assert_eq!(by_reference.queued, ["out", "1000 (normal) "]);
    assert_eq!(poll(talk(Box::new(script()))), answer);
    let mut by_box: Box<dyn Channel<Error = Error> + Send> = Box::new(script());
    assert_eq!(poll(talk(&mut by_box)), answer);
}
