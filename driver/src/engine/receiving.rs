//! The side of a connection that reads: events out of bytes, messages out of events.

use std::io;
use std::task::{Context, Poll, ready};

use sockeye_core::{Assembled, Receiver, RecvBuf, Sender};

use crate::engine::buffer::{READ, ReadBuffer};
use crate::engine::decoder::{Decoder, Part};
use crate::engine::link::{Link, ReadOutcome};
use crate::engine::shared::Access;
use crate::error::Error;
use crate::runtime::io::{Clock, Io};

#[derive(Debug)]
pub(crate) struct Receiving {
    decoder: Decoder,
    input: ReadBuffer,
    over: bool,
}

impl Receiving {
    pub(crate) fn new(receiver: Receiver, mut input: ReadBuffer) -> Self {
        input.release();
        Receiving { decoder: Decoder::new(receiver), input, over: false }
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
            self.expect_rest();
            match self.poll_more(link, cx) {
                Poll::Ready(Ok(ReadOutcome::Bytes)) => room = READ,
                Poll::Ready(Ok(ReadOutcome::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(ReadOutcome::Yield)) => {
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
        if let Some(part) = self.decoder.begun_part() {
            return Poll::Ready(Ok(Some(part)));
        }
        loop {
            let mut view = RecvBuf::new(self.decoder.part_input(self.input.unread()));
            while let Some(event) = self.decoder.next_event(&mut view, 0, link) {
                if let Some(part) = self.decoder.part(event, link) {
                    let used = view.consumed();
                    self.input.consume(used);
                    self.input.release();
                    return Poll::Ready(Ok(Some(part)));
                }
            }
            let used = view.consumed();
            self.input.consume(used);
            if !self.input.is_empty() {
                continue;
            }
            match self.poll_more(link, cx) {
                Poll::Ready(Ok(ReadOutcome::Bytes)) => {}
                Poll::Ready(Ok(ReadOutcome::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(ReadOutcome::Yield)) | Poll::Pending => {
                    self.release();
                    return Poll::Pending;
                }
            }
        }
    }

    /// For those who hand the messages out themselves, in turns of [`poll_more`](Receiving::poll_more).
    pub(crate) fn parts(&mut self) -> (&mut Decoder, &mut ReadBuffer) {
        (&mut self.decoder, &mut self.input)
    }

    /// Whether bytes have been read and not taken.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// What is left of the input is the beginning of a frame, whose rest is to be read.
    pub(crate) fn expect_rest(&mut self) {
        if !self.input.is_empty() {
            let len = self.decoder.frame_len(self.input.unread());
            self.input.expect(len);
        }
    }

    /// Waits for bytes; the end when the connection is over and how it ended has been told.
    pub(crate) fn poll_more<L: Access>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ReadOutcome, Error>> {
        if self.over {
            return Poll::Ready(Ok(ReadOutcome::End(None)));
        }
        match ready!(link.hear(cx, &mut self.input)) {
            ReadOutcome::End(error) => {
                self.over = true;
                self.decoder.discard();
                self.input.consume(usize::MAX);
                self.release();
                Poll::Ready(self.verdict(link, error).map_or(Ok(ReadOutcome::End(None)), Err))
            }
            heard => Poll::Ready(Ok(heard)),
        }
    }

    /// Gives all memory back that is not needed while nothing happens.
    pub(crate) fn release(&mut self) {
        self.input.release();
        self.decoder.release();
    }

    /// What to tell of the end: the peer's fault before the transport's, and nothing if all went well.
    fn verdict<L: Access>(&mut self, link: &mut L, error: Option<io::Error>) -> Option<Error> {
        if let Some(error) = self.decoder.failure() {
            return Some(Error::Protocol(error));
        }
        if let Some(error) = error {
            return Some(Error::Io(error));
        }
        let info = link.with(|link| link.sender.close_info().cloned())?;
        (!info.clean).then_some(Error::Abnormal(info))
    }
}

/// A way to the sender for a delivered message.
#[inline]
pub(crate) fn sender_of<I: Io, C: Clock>(link: &mut Link<I, C>) -> &mut Sender {
    link.sender_with_buffer()
}
