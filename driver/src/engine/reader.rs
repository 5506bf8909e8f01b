//! The side of a connection that reads: bytes in, messages out.

use std::io;
#[cfg(feature = "server")]
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sockeye_core::{Assembled, Control, Incoming, Receiver, RecvBuf, Sender};
#[cfg(feature = "server")]
use sockeye_core::{Config, Role};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::{READ, ReadBuffer};
use crate::engine::decoder::{Decoded, Decoder, Part};
use crate::engine::deliver::{Deliver, Events, Messages};
use crate::engine::link::ReadOutcome;
use crate::engine::turn::Turn;
use crate::error::Error;

/// The reading side: the decoder and the bytes that it has not decoded yet.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    input: ReadBuffer,
    /// The caller knows how the connection ended. From here on every receive returns `None`.
    end_reported: bool,
    /// The caller has received the peer's Close. Unless the caller answers it, the next receive
    /// does.
    close_delivered: bool,
    /// Counts the work of the task since it last waited or yielded.
    turn: Turn,
}

impl Reader {
    pub(crate) fn new(receiver: Receiver, mut input: ReadBuffer) -> Self {
        input.release();
        Reader {
            decoder: Decoder::new(receiver),
            input,
            end_reported: false,
            close_delivered: false,
            turn: Turn::default(),
        }
    }

    /// Returns true once a receive has reported the end of the connection.
    pub(crate) fn is_end_reported(&self) -> bool {
        self.end_reported
    }

    /// Waits for the next message and passes it to `deliver`, together with the link.
    #[inline]
    pub(crate) fn poll_message<L: LinkAccess, R>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
        deliver: impl FnOnce(Assembled<'_, '_>, &mut L) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        self.poll(link, cx, Messages(deliver))
    }

    /// Waits for the next message or control frame and passes it to `deliver`, together with the
    /// link.
    pub(crate) fn poll_event<L: LinkAccess, R>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
        deliver: impl FnOnce(Incoming<'_, '_>, &mut L) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        self.poll(link, cx, Events(deliver))
    }

    fn poll<L: LinkAccess, D: Deliver<L>>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
        mut deliver: D,
    ) -> Poll<Result<Option<D::Output>, Error>> {
        self.turn.begin(|| link.now());
        // Read a frame that fits the buffer to its end before decoding it, so that it comes out in
        // one piece. But decode what has arrived before the task waits, because a waiting
        // connection owns no buffer.
        let mut hold = READ;
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while !view.is_empty() || self.decoder.is_inflating() {
                if self.turn.add_inflated(&mut self.decoder, || link.now()) {
                    let used = view.consumed();
                    self.input.consume(used);
                    return self.end_turn(link, cx);
                }
                // Deliver the common case at once: a detour over `Decoded` costs a fifth of a small
                // message's time.
                if let Some(message) = self.decoder.decode_whole(&mut view) {
                    self.turn.add_message(message.as_bytes().len(), || link.now());
                    let delivered = deliver.message(message.into(), link);
                    let used = view.consumed();
                    self.input.consume_and_release(used);
                    return Poll::Ready(Ok(Some(delivered)));
                }
                let before = view.consumed();
                let decoded = self.decoder.decode_event(&mut view, hold, link);
                let used = view.consumed() - before;
                match &decoded {
                    None => break,
                    Some(Decoded::Incomplete) => self.turn.add_frame(used, || link.now()),
                    Some(_) => self.turn.add_message(used, || link.now()),
                };
                match decoded {
                    None => break,
                    Some(Decoded::Message(message)) => {
                        let delivered = deliver.message(message, link);
                        let used = view.consumed();
                        self.input.consume_and_release(used);
                        return Poll::Ready(Ok(Some(delivered)));
                    }
                    Some(Decoded::Control(control)) => {
                        let is_close = matches!(control, Control::Close(_));
                        deliver = match deliver.control(control, link) {
                            Err(deliver) => deliver,
                            Ok(delivered) => {
                                self.close_delivered |= is_close;
                                let used = view.consumed();
                                self.input.consume_and_release(used);
                                return Poll::Ready(Ok(Some(delivered)));
                            }
                        };
                    }
                    Some(Decoded::Incomplete) => {}
                }
            }
            let used = view.consumed();
            self.input.consume(used);
            self.limit_read_to_frame();
            match self.poll_input(link, cx) {
                Poll::Ready(Ok(ReadOutcome::Bytes)) => hold = READ,
                Poll::Ready(Ok(ReadOutcome::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(ReadOutcome::Yield)) => {
                    self.turn.restart();
                    self.input.release();
                    return Poll::Pending;
                }
                Poll::Pending if self.input.is_empty() => {
                    self.turn.restart();
                    self.release();
                    return Poll::Pending;
                }
                Poll::Pending => hold = 0,
            }
        }
    }

    /// Lets other tasks run before the rest of the input is decoded.
    #[cold]
    fn end_turn<L: LinkAccess, T>(&mut self, link: &mut L, cx: &mut Context<'_>) -> Poll<T> {
        self.turn.restart();
        self.input.release();
        link.yield_now(cx);
        Poll::Pending
    }

    /// Waits for the next part of a message.
    pub(crate) fn poll_part<L: LinkAccess>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Part>, Error>> {
        // A receive of a whole message may have been dropped halfway: return what it has collected.
        if let Some(part) = self.decoder.take_partial_message(link) {
            return Poll::Ready(Ok(Some(part)));
        }
        self.turn.begin(|| link.now());
        loop {
            if self.turn.add_inflated(&mut self.decoder, || link.now()) {
                return self.end_turn(link, cx);
            }
            let mut view = RecvBuf::new(self.decoder.part_input(self.input.unread()));
            let part = self.decoder.decode_part(&mut view, link);
            let used = view.consumed();
            self.input.consume(used);
            if part.is_none() {
                self.turn.add_frame(used, || link.now());
            }
            if let Some(part) = part {
                self.turn.add_message(used, || link.now());
                self.input.release();
                return Poll::Ready(Ok(Some(part)));
            }
            if !self.input.is_empty() || self.decoder.is_inflating() {
                continue;
            }
            match self.poll_input(link, cx) {
                Poll::Ready(Ok(ReadOutcome::Bytes)) => {}
                Poll::Ready(Ok(ReadOutcome::End(_))) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(ReadOutcome::Yield)) | Poll::Pending => {
                    self.turn.restart();
                    self.release();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Returns whether the caller has received the peer's Close, and nothing has been received since.
    #[cfg(feature = "server")]
    pub(crate) fn is_close_delivered(&self) -> bool {
        self.close_delivered
    }

    #[cfg(feature = "server")]
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Returns the decoder and its input, for a caller that reads and decodes itself.
    #[cfg(feature = "server")]
    pub(crate) fn decoder_and_input(&mut self) -> (&mut Decoder, &mut ReadBuffer) {
        (&mut self.decoder, &mut self.input)
    }

    /// Takes the decoder and its input, for a caller that keeps them elsewhere.
    #[cfg(feature = "server")]
    pub(crate) fn take(&mut self, config: &Arc<Config>) -> (Decoder, ReadBuffer) {
        let unused = Decoder::new(Receiver::new(Role::Server, config.clone()));
        (std::mem::replace(&mut self.decoder, unused), std::mem::take(&mut self.input))
    }

    /// Returns how many received bytes wait to be decoded or to become a whole message.
    #[cfg(feature = "server")]
    pub(crate) fn held(&self) -> usize {
        self.input.len() + self.decoder.partial_len()
    }

    /// Discards everything that has been received and not delivered.
    #[cfg(feature = "server")]
    pub(crate) fn discard(&mut self) {
        self.decoder.discard();
        self.input.consume(usize::MAX);
        self.release();
    }

    /// Limits the next read to the rest of the frame at the front of the input, if that rest is
    /// long.
    pub(crate) fn limit_read_to_frame(&mut self) {
        if !self.input.is_empty() {
            let len = self.decoder.frame_len(self.input.unread());
            self.input.limit_read_to_frame(len);
        }
    }

    /// Waits for bytes or for the end of the connection. Returns an abnormal end as an error, once.
    pub(crate) fn poll_input<L: LinkAccess>(
        &mut self,
        link: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ReadOutcome, Error>> {
        if self.end_reported {
            return Poll::Ready(Ok(ReadOutcome::End(None)));
        }
        if std::mem::take(&mut self.close_delivered) {
            link.with_sender(Sender::answer_close);
        }
        match ready!(link.poll_io(cx, &mut self.input, self.decoder.unfinished())) {
            ReadOutcome::End(error) => {
                self.end_reported = true;
                self.decoder.discard();
                self.input.consume(usize::MAX);
                self.release();
                Poll::Ready(self.verdict(link, error).map_or(Ok(ReadOutcome::End(None)), Err))
            }
            outcome => Poll::Ready(Ok(outcome)),
        }
    }

    /// Frees all memory that an idle connection does not need.
    pub(crate) fn release(&mut self) {
        self.input.release();
        self.decoder.release();
    }

    /// Returns why the connection ended abnormally; `None` if it closed cleanly.
    fn verdict<L: LinkAccess>(&mut self, link: &mut L, error: Option<io::Error>) -> Option<Error> {
        let info = link.with_link(|link| link.sender.close_info().cloned());
        Error::from_end(self.decoder.failure(), error, info)
    }
}
