//! The side of a connection that reads: the blocking loop.

use std::io;
use std::thread;

use sockeye_core::{Assembled, CloseInfo, Instant, Receiver, RecvBuf, Sender};
use sockeye_driver::{Decoded, Decoder, Error, Part, SenderAccess};

use crate::clock::{is_timeout, now};
use crate::input::Input;
use crate::link::{Link, Look, TURN, Written, look};

/// While writing is blocked so many reads in a row go before it is tried again: a mebibyte.
const READS_IN_A_ROW: u8 = 16;

#[derive(Debug)]
pub(crate) struct Incoming {
    decoder: Decoder,
    input: Input,
    /// The peer has closed its side.
    eof: bool,
    over: bool,
    /// Reads that go before the next write, which would be blocked.
    reads_first: u8,
}

/// What a receive ended with.
#[derive(Debug)]
pub(crate) enum Next<T> {
    Item(T),
    TimedOut,
    Over,
}

impl<T> Next<T> {
    pub(crate) fn item(self) -> Option<T> {
        match self {
            Next::Item(item) => Some(item),
            Next::TimedOut | Next::Over => None,
        }
    }
}

/// What became of a wait for the peer.
enum ReadOutcome {
    /// Bytes are in the buffer.
    Bytes,
    TimedOut,
    /// The connection is over; with an error if the transport broke first.
    End(Option<io::Error>),
}

impl Incoming {
    pub(crate) fn new(receiver: Receiver, input: Input) -> Self {
        Incoming { decoder: Decoder::new(receiver), input, eof: false, over: false, reads_first: 0 }
    }

    /// The next message, waited for until `until`: it is given to `deliver`, which may borrow it, and the link.
    pub(crate) fn message<L: Link, R>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
        deliver: impl FnOnce(Assembled<'_>, &mut L) -> R,
    ) -> Result<Next<R>, Error> {
        let mut has_read = false;
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while let Some(decoded) = self.decoder.decode(&mut view, 0, &mut Coupled(link)) {
                let Decoded::Message(message) = decoded else { continue };
                let delivered = deliver(message, link);
                let used = view.consumed();
                self.input.consume(used);
                return Ok(Next::Item(delivered));
            }
            self.decoder.release();
            // What comes without end, such as pings, is no message: the time counts all the same.
            if has_read && is_past(until) {
                return Ok(Next::TimedOut);
            }
            if let Some(end) = self.more(link, until)? {
                return Ok(end);
            }
            has_read = true;
        }
    }

    /// The same for whatever has arrived of a message.
    pub(crate) fn part<L: Link>(&mut self, link: &mut L) -> Result<Next<Part>, Error> {
        // What a receive of whole messages had begun when its time was up.
        if let Some(part) = self.decoder.take_partial_message() {
            return Ok(Next::Item(part));
        }
        loop {
            let mut view = RecvBuf::new(self.decoder.part_input(self.input.unread()));
            let part = self.decoder.decode_part(&mut view, &mut Coupled(link));
            let used = view.consumed();
            self.input.consume(used);
            if let Some(part) = part {
                return Ok(Next::Item(part));
            }
            if !self.input.is_empty() {
                continue;
            }
            if let Some(end) = self.more(link, None)? {
                return Ok(end);
            }
        }
    }

    /// Waits for bytes; else says how the receive ends.
    fn more<L: Link, T>(&mut self, link: &mut L, until: Option<Instant>) -> Result<Option<Next<T>>, Error> {
        self.input.consume(usize::MAX);
        if self.over {
            return Ok(Some(Next::Over));
        }
        match self.hear(link, until) {
            ReadOutcome::Bytes => Ok(None),
            ReadOutcome::TimedOut => Ok(Some(Next::TimedOut)),
            ReadOutcome::End(error) => {
                self.over = true;
                self.decoder.discard();
                self.input = Input::default();
                match self.verdict(error, link.with(|sender| sender.close_info().cloned())) {
                    Some(error) => Err(error),
                    None => Ok(Some(Next::Over)),
                }
            }
        }
    }

    /// Writes what is queued, ends what is over, waits for bytes. Reading goes on while writing is blocked.
    fn hear<L: Link>(&mut self, link: &mut L, until: Option<Instant>) -> ReadOutcome {
        loop {
            // An error is met again by the read, which brings first what the peer still had to say.
            let is_blocked = self.reads_first > 0 || matches!(link.write(), Ok(Written::Blocked));
            self.reads_first = match self.reads_first {
                0 if is_blocked => READS_IN_A_ROW,
                reads => reads.saturating_sub(1),
            };
            let deadline = match link.with(look) {
                Look::Over => return ReadOutcome::End(None),
                Look::Again => continue,
                Look::Until(deadline) => deadline,
            };
            if self.eof {
                // Only what is queued is waited for; the end would be read again and again.
                if is_past(until) {
                    return ReadOutcome::TimedOut;
                }
                thread::sleep(TURN);
                continue;
            }
            let deadline = [deadline, until].into_iter().flatten().min();
            let turn = is_blocked.then_some(TURN);
            let timeout = [deadline.map(|deadline| deadline.since(now())), turn, link.patience()];
            let timeout = timeout.into_iter().flatten().min();
            let result = link.set_read_timeout(timeout).and_then(|()| link.read(self.input.space()));
            match result {
                Ok(0) => {
                    self.eof = true;
                    link.with(Sender::handle_eof);
                }
                Ok(_) if link.with(|sender| sender.ignores_input()) => {}
                Ok(n) => {
                    self.input.filled(n);
                    link.with(Sender::handle_received);
                    return ReadOutcome::Bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Without a timeout it is a socket that does not block: reading it again would be a busy loop.
                Err(error) if is_timeout(&error) && timeout.is_some() => {
                    self.reads_first = 0;
                    if is_past(until) {
                        return ReadOutcome::TimedOut;
                    }
                }
                Err(error) => {
                    let is_clean = link.with(|sender| {
                        // Both sides had said Close: the peer's hurry does not matter any more.
                        let is_clean = sender.close_info().is_some_and(|info| info.clean);
                        sender.handle_write_error();
                        sender.handle_eof();
                        is_clean
                    });
                    return ReadOutcome::End((!is_clean).then_some(error));
                }
            }
        }
    }

    /// What to tell of the end: the peer's fault before the transport's, and nothing if all went well.
    fn verdict(&self, error: Option<io::Error>, info: Option<CloseInfo>) -> Option<Error> {
        if let Some(error) = self.decoder.failure() {
            return Some(Error::Protocol(error));
        }
        if let Some(error) = error {
            return Some(Error::Io(error));
        }
        info.filter(|info| !info.clean).map(Error::Abnormal)
    }
}

fn is_past(until: Option<Instant>) -> bool {
    until.is_some_and(|until| until <= now())
}

/// The link as the decoder sees it.
struct Coupled<'l, L>(&'l mut L);

impl<L: Link> SenderAccess for Coupled<'_, L> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        self.0.with(f);
    }
}
