//! The side of a connection that reads: the blocking loop.

use std::io;
use std::thread;

use bytes::Bytes;
use sockeye_core::{
    Assembled, Assembler, CloseInfo, Event, Incoming as Assembly, Instant, MessageKind, ProtocolError,
    Receiver, RecvBuf, Sender, Utf8Stream,
};
use sockeye_driver::{Error, Part};

use crate::clock::{is_timeout, now};
use crate::input::Input;
use crate::link::{Link, Look, TURN, Written, look};

/// While writing is blocked so many reads in a row go before it is tried again: a mebibyte.
const READS_IN_A_ROW: u8 = 16;

#[derive(Debug)]
pub(crate) struct Incoming {
    receiver: Receiver,
    assembler: Assembler,
    input: Input,
    /// A message is being taken in parts.
    parts: Option<Utf8Stream>,
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
enum Heard {
    /// Bytes are in the buffer.
    Bytes,
    TimedOut,
    /// The connection is over; with an error if the transport broke first.
    End(Option<io::Error>),
}

impl Incoming {
    pub(crate) fn new(receiver: Receiver, input: Input) -> Self {
        Incoming {
            receiver,
            assembler: Assembler::new(),
            input,
            parts: None,
            eof: false,
            over: false,
            reads_first: 0,
        }
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
            while let Some(event) = next_event(&mut self.receiver, &mut view, link) {
                if self.parts.is_some() {
                    // The rest of a message that was begun in parts: the caller has moved on.
                    if let Event::Data { last: true, .. } = event {
                        self.parts = None;
                    }
                    continue;
                }
                match self.assembler.push(event) {
                    Ok(Some(Assembly::Message(message))) => {
                        let delivered = deliver(message, link);
                        let used = view.consumed();
                        self.input.consume(used);
                        return Ok(Next::Item(delivered));
                    }
                    Ok(_) => {}
                    Err(error) => fail(&mut self.receiver, link, error),
                }
            }
            self.assembler.release();
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
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while let Some(event) = next_event(&mut self.receiver, &mut view, link) {
                let Event::Data { kind, payload, first, last, .. } = event else { continue };
                if let Err(error) = check_part(&mut self.parts, kind, payload, last) {
                    fail(&mut self.receiver, link, error);
                    continue;
                }
                let part = Part { kind, data: Bytes::copy_from_slice(payload), first, last };
                let used = view.consumed();
                self.input.consume(used);
                return Ok(Next::Item(part));
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
            Heard::Bytes => Ok(None),
            Heard::TimedOut => Ok(Some(Next::TimedOut)),
            Heard::End(error) => {
                self.over = true;
                self.input = Input::default();
                match self.verdict(error, link.with(|sender| sender.close_info().cloned())) {
                    Some(error) => Err(error),
                    None => Ok(Some(Next::Over)),
                }
            }
        }
    }

    /// Writes what is queued, ends what is over, waits for bytes. Reading goes on while writing is blocked.
    fn hear<L: Link>(&mut self, link: &mut L, until: Option<Instant>) -> Heard {
        loop {
            // An error is met again by the read, which brings first what the peer still had to say.
            let is_blocked = self.reads_first > 0 || matches!(link.write(), Ok(Written::Blocked));
            self.reads_first = match self.reads_first {
                0 if is_blocked => READS_IN_A_ROW,
                reads => reads.saturating_sub(1),
            };
            let deadline = match link.with(look) {
                Look::Over => return Heard::End(None),
                Look::Again => continue,
                Look::Until(deadline) => deadline,
            };
            if self.eof {
                // Only what is queued is waited for; the end would be read again and again.
                if is_past(until) {
                    return Heard::TimedOut;
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
                    return Heard::Bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Without a timeout it is a socket that does not block: reading it again would be a busy loop.
                Err(error) if is_timeout(&error) && timeout.is_some() => {
                    self.reads_first = 0;
                    if is_past(until) {
                        return Heard::TimedOut;
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
                    return Heard::End((!is_clean).then_some(error));
                }
            }
        }
    }

    /// What to tell of the end: the peer's fault before the transport's, and nothing if all went well.
    fn verdict(&self, error: Option<io::Error>, info: Option<CloseInfo>) -> Option<Error> {
        if let Some(error) = self.receiver.failure() {
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

/// The next event, answered; a broken rule fails the connection, whose end is then told when it has come.
fn next_event<'a, L: Link>(
    receiver: &mut Receiver,
    input: &mut RecvBuf<'a>,
    link: &mut L,
) -> Option<Event<'a>> {
    if input.is_empty() {
        return None;
    }
    let result = receiver.poll_event(input);
    match &result {
        // Data needs no answer: the lock of a split connection is not taken for it.
        Ok(Some(Event::Data { .. }) | None) => {}
        Ok(Some(event)) => link.with(|sender| sender.react(event)),
        Err(error) => link.with(|sender| sender.fail(error)),
    }
    result.ok().flatten()
}

/// Ends the connection for what the layer above the receiver found.
fn fail<L: Link>(receiver: &mut Receiver, link: &mut L, error: ProtocolError) {
    receiver.fail(error);
    link.with(|sender| sender.fail(&error));
}

/// Checks the text of a part with what came before it.
fn check_part(
    parts: &mut Option<Utf8Stream>,
    kind: MessageKind,
    payload: &[u8],
    last: bool,
) -> Result<(), ProtocolError> {
    let mut utf8 = parts.take().unwrap_or_default();
    if kind == MessageKind::Text {
        let checked = utf8.push(payload, |_| ());
        if checked.is_err() || last && !utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
    }
    *parts = (!last).then_some(utf8);
    Ok(())
}
