//! The futures of the traits.
//!
//! They are named types rather than `async` functions, so that each is `Send` if its channel is.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::{Channel, RecvMessage, SendMessage};
use crate::close::{CloseCode, CloseInfo};
use crate::message::{Message, Payload};

/// The future of [`RecvMessage::recv`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Recv<'a, C: ?Sized> {
    channel: &'a mut C,
}

impl<'a, C: ?Sized> Recv<'a, C> {
    pub(super) fn new(channel: &'a mut C) -> Self {
        Recv { channel }
    }
}

impl<C: RecvMessage + ?Sized> Future for Recv<'_, C> {
    type Output = Result<Option<Message>, C::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.channel.poll_recv(cx)
    }
}

/// The future of [`SendMessage::feed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Feed<'a, 'p, C: ?Sized> {
    channel: &'a mut C,
    payload: Option<Payload<'p>>,
}

impl<'a, 'p, C: ?Sized> Feed<'a, 'p, C> {
    pub(super) fn new(channel: &'a mut C, payload: Payload<'p>) -> Self {
        Feed { channel, payload: Some(payload) }
    }
}

impl<C: SendMessage + ?Sized> Future for Feed<'_, '_, C> {
    type Output = Result<(), C::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Feed { channel, payload } = self.get_mut();
        channel.poll_feed(cx, payload)
    }
}

/// The future of [`SendMessage::send`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Send<'a, 'p, C: ?Sized> {
    channel: &'a mut C,
    payload: Option<Payload<'p>>,
}

impl<'a, 'p, C: ?Sized> Send<'a, 'p, C> {
    pub(super) fn new(channel: &'a mut C, payload: Payload<'p>) -> Self {
        Send { channel, payload: Some(payload) }
    }
}

impl<C: SendMessage + ?Sized> Future for Send<'_, '_, C> {
    type Output = Result<(), C::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Send { channel, payload } = self.get_mut();
        ready!(channel.poll_feed(cx, payload))?;
        channel.poll_flush(cx)
    }
}

/// The future of [`SendMessage::flush`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Flush<'a, C: ?Sized> {
    channel: &'a mut C,
}

impl<'a, C: ?Sized> Flush<'a, C> {
    pub(super) fn new(channel: &'a mut C) -> Self {
        Flush { channel }
    }
}

impl<C: SendMessage + ?Sized> Future for Flush<'_, C> {
    type Output = Result<(), C::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.channel.poll_flush(cx)
    }
}

/// The future of [`SendMessage::begin_close`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct BeginClose<'a, C: ?Sized> {
    channel: &'a mut C,
    /// `None` once the Close is queued.
    close: Option<(CloseCode, &'a str)>,
}

impl<'a, C: ?Sized> BeginClose<'a, C> {
    pub(super) fn new(channel: &'a mut C, code: CloseCode, reason: &'a str) -> Self {
        BeginClose { channel, close: Some((code, reason)) }
    }
}

impl<C: SendMessage + ?Sized> Future for BeginClose<'_, C> {
    type Output = Result<(), C::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((code, reason)) = self.close.take() {
            self.channel.start_close(code, reason)?;
        }
        self.channel.poll_flush(cx)
    }
}

/// The future of [`Channel::close`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Close<'a, C: ?Sized> {
    channel: &'a mut C,
    code: CloseCode,
    reason: &'a str,
}

impl<'a, C: ?Sized> Close<'a, C> {
    pub(super) fn new(channel: &'a mut C, code: CloseCode, reason: &'a str) -> Self {
        Close { channel, code, reason }
    }
}

impl<C: Channel + ?Sized> Future for Close<'_, C> {
    type Output = Result<CloseInfo, C::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Close { channel, code, reason } = self.get_mut();
        channel.poll_close(cx, *code, reason)
    }
}
