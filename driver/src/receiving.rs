//! The side of a connection that reads: events out of bytes, messages out of events.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sockeye_core::{
    Assembled, Assembler, Event, Incoming, MessageKind, MessageRef, ProtocolError, Receiver, RecvBuf, Sender,
    Utf8Stream,
};

use crate::buffer::{self, READ, ReadBuffer};
use crate::error::Error;
use crate::io::{Clock, Io};
use crate::link::{Heard, Link};
use crate::shared::Access;

#[derive(Debug)]
pub(crate) struct Receiving {
    decoder: Decoder,
    input: ReadBuffer,
    over: bool,
}

/// A stretch of a message, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Text or binary.
    pub kind: MessageKind,
    /// The bytes. Text may be cut inside a character; it has been checked as far as it goes.
    pub data: Bytes,
    /// Whether the message begins here.
    pub first: bool,
    /// Whether the message ends here.
    pub last: bool,
}

impl Receiving {
    pub(crate) fn new(receiver: Receiver, mut input: ReadBuffer) -> Self {
        input.release();
        let decoder = Decoder { receiver, assembler: Assembler::new(), parts: None };
        Receiving { decoder, input, over: false }
    }

    /// The end has been told.
    #[cfg(feature = "futures")]
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The loop: the next message is given to `deliver`, which may borrow it, and a way to the sender.
    pub(crate) fn poll_message<L: Access, R>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
        deliver: impl FnOnce(Assembled<'_>, &mut L) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        // A frame that fits the buffer is read to its end before it is looked at, so that it comes out in one piece; but
        // nothing stays in the buffer while the task waits.
        let mut room = READ;
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while !view.is_empty() {
                let message = match self.decoder.whole_message(&mut view) {
                    Some(message) => message.into(),
                    None => {
                        let Some(event) = self.decoder.next_event(&mut view, room, link) else { break };
                        let Some(message) = self.decoder.collect(event, link) else { continue };
                        message
                    }
                };
                let delivered = deliver(message, link);
                let used = view.consumed();
                self.input.consume(used);
                self.input.release();
                return Poll::Ready(Ok(Some(delivered)));
            }
            let used = view.consumed();
            self.input.consume(used);
            if !self.input.is_empty() {
                let len = self.decoder.receiver.frame_len(self.input.unread());
                self.input.expect(len);
            }
            match self.poll_more(link, cx) {
                Poll::Ready(Ok(Heard::Bytes)) => room = READ,
                Poll::Ready(Ok(Heard::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Heard::Yield)) => {
                    self.input.release();
                    return Poll::Pending;
                }
                Poll::Pending if self.input.is_empty() => {
                    self.release();
                    return Poll::Pending;
                }
                Poll::Pending => room = 0,
            }
        }
    }

    /// The same for whatever has arrived of a message.
    pub(crate) fn poll_part<L: Access>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Part>, Error>> {
        // What a receive of whole messages had begun when it was dropped.
        if let Some((kind, begun, utf8)) = self.decoder.assembler.take_begun() {
            self.decoder.parts = Some(utf8);
            let part = Part { kind, data: Bytes::from(begun), first: true, last: false };
            return Poll::Ready(Ok(Some(part)));
        }
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while let Some(event) = self.decoder.next_event(&mut view, 0, link) {
                if let Some(part) = self.decoder.part(event, link) {
                    let used = view.consumed();
                    self.input.consume(used);
                    self.input.release();
                    return Poll::Ready(Ok(Some(part)));
                }
            }
            self.input.consume(usize::MAX);
            match self.poll_more(link, cx) {
                Poll::Ready(Ok(Heard::Bytes)) => {}
                Poll::Ready(Ok(Heard::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Heard::Yield)) | Poll::Pending => {
                    self.release();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Waits for bytes; the end when the connection is over and how it ended has been told.
    fn poll_more<L: Access>(&mut self, link: &mut L, cx: &mut Context<'_>) -> Poll<Result<Heard, Error>> {
        if self.over {
            return Poll::Ready(Ok(Heard::End(None)));
        }
        match ready!(link.with(|link| link.poll_hear(cx, &mut self.input))) {
            Heard::End(error) => {
                self.over = true;
                self.decoder.assembler = Assembler::new();
                self.input.consume(usize::MAX);
                self.release();
                Poll::Ready(self.verdict(link, error).map_or(Ok(Heard::End(None)), Err))
            }
            heard => Poll::Ready(Ok(heard)),
        }
    }

    /// Gives all memory back that is not needed while nothing happens.
    fn release(&mut self) {
        self.input.release();
        if let Some(buffer) = self.decoder.assembler.reclaim_buffer() {
            buffer::give_message(buffer);
        }
    }

    /// What to tell of the end: the peer's fault before the transport's, and nothing if all went well.
    fn verdict<L: Access>(&mut self, link: &mut L, error: Option<io::Error>) -> Option<Error> {
        if let Some(error) = self.decoder.receiver.failure() {
            return Some(Error::Protocol(error));
        }
        if let Some(error) = error {
            return Some(Error::Io(error));
        }
        let info = link.with(|link| link.sender.close_info().cloned())?;
        (!info.clean).then_some(Error::Abnormal(info))
    }
}

/// What makes messages of bytes.
#[derive(Debug)]
struct Decoder {
    receiver: Receiver,
    assembler: Assembler,
    /// A message is being taken in parts.
    parts: Option<Utf8Stream>,
}

impl Decoder {
    /// The short way for what is nearly everything.
    #[inline(always)]
    fn whole_message<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<MessageRef<'a>> {
        if self.parts.is_some() {
            return None;
        }
        self.receiver.poll_message(input)
    }

    /// The next event, answered; a broken rule fails the connection, whose end is then told when it has come.
    fn next_event<'a, L: Access>(
        &mut self,
        input: &mut RecvBuf<'a>,
        room: usize,
        link: &mut L,
    ) -> Option<Event<'a>> {
        // The short way may have taken all there was and found it wrong.
        if input.is_empty() && self.receiver.failure().is_none() {
            return None;
        }
        match self.receiver.poll_whole_event(input, room) {
            Ok(event) => {
                // Data needs no answer: the other half's lock is not taken for it.
                if let Some(Event::Ping(_) | Event::Pong(_) | Event::Close(_)) = &event {
                    link.with(|link| event.iter().for_each(|event| link.react(event)));
                }
                event
            }
            Err(error) => {
                self.fail(error, link);
                None
            }
        }
    }

    /// Takes an event that is not a whole message by itself; gives the message that it completes.
    fn collect<'a: 'm, 'm, L: Access>(&'m mut self, event: Event<'a>, link: &mut L) -> Option<Assembled<'m>> {
        if let Event::Data { payload, first, last, .. } = &event {
            if self.parts.is_some() {
                // The rest of a message that was begun in parts: the caller has moved on.
                if *last {
                    self.parts = None;
                }
                return None;
            }
            if *first && !*last {
                self.assembler.lend_buffer(|| buffer::take_message(payload.len()));
            }
        }
        match self.assembler.push(event) {
            Ok(Some(Incoming::Message(message))) => Some(message),
            Ok(_) => None,
            Err(error) => {
                fail(&mut self.receiver, error, link);
                None
            }
        }
    }

    /// Takes an event as a part of a message, if it is one; its text is checked with what came before it.
    fn part<L: Access>(&mut self, event: Event<'_>, link: &mut L) -> Option<Part> {
        let Event::Data { kind, payload, first, last, .. } = event else { return None };
        let mut utf8 = self.parts.take().unwrap_or_default();
        if kind == MessageKind::Text {
            let checked = utf8.push(payload, |_| ());
            if checked.is_err() || last && !utf8.is_complete() {
                self.fail(ProtocolError::InvalidUtf8, link);
                return None;
            }
        }
        self.parts = (!last).then_some(utf8);
        Some(Part { kind, data: Bytes::copy_from_slice(payload), first, last })
    }

    fn fail<L: Access>(&mut self, error: ProtocolError, link: &mut L) {
        fail(&mut self.receiver, error, link);
    }
}

/// Fails both sides.
fn fail<L: Access>(receiver: &mut Receiver, error: ProtocolError, link: &mut L) {
    receiver.fail(error);
    link.with(|link| link.fail(error));
}

/// A way to the sender for a delivered message.
#[inline]
pub(crate) fn sender_of<I: Io, C: Clock>(link: &mut Link<I, C>) -> &mut Sender {
    link.sender_with_buffer()
}
