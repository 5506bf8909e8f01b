//! The side of a connection that reads: the blocking loop.

use std::io;
use std::thread;
use std::time::Duration;

use sockeye_core::{Assembled, Control, Incoming, Instant, Receiver, RecvBuf, Sender, State};
use sockeye_driver::tuning::READS_IN_A_ROW;
use sockeye_driver::{Decoded, Decoder, Error, Part, SenderAccess, WebSocketEvent, end_of_input};

use crate::clock::{is_timeout, now};
use crate::link::{Link, Timers, WriteOutcome, run_timers};
use crate::read_buffer::ReadBuffer;
use crate::transport::WRITE_TURN;

/// The time limit of a read on a finished connection, which only discards input that has already
/// arrived.
const LAST_READ: Duration = Duration::from_millis(1);

/// The time between two receives from which on it counts that nothing was read in between.
const PAUSE: Duration = Duration::from_secs(1);

/// The reading side: the decoder and the bytes that it has not decoded yet.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    input: ReadBuffer,
    /// The peer has closed its side.
    is_eof: bool,
    /// The caller knows how the connection ended.
    end_reported: bool,
    /// The caller has received the peer's Close. Unless the caller answers it, the next receive
    /// does.
    close_delivered: bool,
    /// The number of reads before the next attempt to write, after an attempt that was blocked.
    reads_before_write: u8,
    /// When the latest receive ran into its time limit, unless one has begun since.
    timed_out_at: Option<Instant>,
}

/// The outcome of a receive.
#[derive(Debug)]
pub(crate) enum RecvOutcome<T> {
    Item(T),
    TimedOut,
    /// The connection has ended, and the caller knows how.
    Closed,
}

impl<T> RecvOutcome<T> {
    pub(crate) fn item(self) -> Option<T> {
        match self {
            RecvOutcome::Item(item) => Some(item),
            RecvOutcome::TimedOut | RecvOutcome::Closed => None,
        }
    }
}

/// The outcome of waiting for the peer.
enum ReadOutcome {
    /// The input holds new bytes.
    Bytes,
    TimedOut,
    /// The connection has ended. Holds the error if the stream broke first.
    End(Option<io::Error>),
}

impl Reader {
    pub(crate) fn new(receiver: Receiver, input: ReadBuffer) -> Self {
        let decoder = Decoder::new(receiver);
        Reader {
            decoder,
            input,
            is_eof: false,
            end_reported: false,
            close_delivered: false,
            reads_before_write: 0,
            timed_out_at: None,
        }
    }

    /// Waits for the next message, no longer than until `until`, and passes it to `deliver`
    /// together with the link.
    pub(crate) fn message<L: Link, R>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
        deliver: impl FnOnce(Assembled<'_, '_>, &mut L) -> R,
    ) -> Result<RecvOutcome<R>, Error> {
        let mut deliver = Some(deliver);
        self.receive(link, until, |incoming, link| match incoming {
            Incoming::Message(message) => deliver.take().map(|deliver| deliver(message, link)),
            Incoming::Control(control) => {
                Decoder::skip(&control, &mut LinkSender(link));
                None
            }
        })
    }

    /// Waits for the next message or control frame, no longer than until `until`.
    pub(crate) fn event<L: Link>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
    ) -> Result<RecvOutcome<WebSocketEvent>, Error> {
        self.event_with(link, until, |incoming, _| incoming.into())
    }

    /// Waits for the next message or control frame, no longer than until `until`, and passes it to
    /// `deliver` together with the link.
    pub(crate) fn event_with<L: Link, R>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
        deliver: impl FnOnce(Incoming<'_, '_>, &mut L) -> R,
    ) -> Result<RecvOutcome<R>, Error> {
        let (mut deliver, mut is_close) = (Some(deliver), false);
        let received = self.receive(link, until, |incoming, link| {
            is_close = matches!(incoming, Incoming::Control(Control::Close(_)));
            deliver.take().map(|deliver| deliver(incoming, link))
        });
        self.close_delivered |= is_close;
        received
    }

    /// Waits until `deliver` takes something, no longer than until `until`.
    fn receive<L: Link, R>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
        mut deliver: impl FnMut(Incoming<'_, '_>, &mut L) -> Option<R>,
    ) -> Result<RecvOutcome<R>, Error> {
        let mut has_read = false;
        loop {
            let mut view = RecvBuf::new(self.input.unread());
            while let Some(decoded) = self.decoder.decode(&mut view, 0, &mut LinkSender(link)) {
                let delivered = match decoded {
                    Decoded::Message(message) => deliver(Incoming::Message(message), link),
                    Decoded::Control(control) => deliver(Incoming::Control(control), link),
                    Decoded::Incomplete => None,
                };
                if let Some(delivered) = delivered {
                    let used = view.consumed();
                    self.input.consume(used);
                    return Ok(RecvOutcome::Item(delivered));
                }
            }
            // The decoder has taken everything, also an incomplete frame.
            self.input.consume(usize::MAX);
            self.decoder.release();
            // A peer that sends pings without a pause must not extend the time limit.
            if has_read && is_past(until) {
                return Ok(RecvOutcome::TimedOut);
            }
            if let Some(end) = self.read_more(link, until)? {
                return Ok(end);
            }
            has_read = true;
        }
    }

    /// Waits for the next part of a message.
    pub(crate) fn part<L: Link>(&mut self, link: &mut L) -> Result<RecvOutcome<Part>, Error> {
        // A receive of a whole message may have timed out halfway: return what it has collected.
        if let Some(part) = self.decoder.take_partial_message(&mut LinkSender(link)) {
            return Ok(RecvOutcome::Item(part));
        }
        loop {
            let mut view = RecvBuf::new(self.decoder.part_input(self.input.unread()));
            let part = self.decoder.decode_part(&mut view, &mut LinkSender(link));
            let used = view.consumed();
            self.input.consume(used);
            if let Some(part) = part {
                return Ok(RecvOutcome::Item(part));
            }
            if !self.input.is_empty() {
                continue;
            }
            if let Some(end) = self.read_more(link, None)? {
                return Ok(end);
            }
        }
    }

    /// Waits for bytes and returns `None`, or returns how the receive ends. Returns an abnormal end
    /// as an error, once.
    fn read_more<L: Link, T>(
        &mut self,
        link: &mut L,
        until: Option<Instant>,
    ) -> Result<Option<RecvOutcome<T>>, Error> {
        if self.end_reported {
            return Ok(Some(RecvOutcome::Closed));
        }
        if std::mem::take(&mut self.close_delivered) {
            link.with(Sender::answer_close);
        }
        if self.timed_out_at.take().is_some_and(|at| now().since(at) >= PAUSE) {
            // The program has not read in between, so the message timeout begins again.
            link.with(|sender| sender.handle_progress(None));
        }
        match self.wait_for_input(link, until) {
            ReadOutcome::Bytes => Ok(None),
            ReadOutcome::TimedOut => {
                self.timed_out_at = Some(now());
                Ok(Some(RecvOutcome::TimedOut))
            }
            ReadOutcome::End(error) => {
                self.end_reported = true;
                self.decoder.discard();
                self.input = ReadBuffer::default();
                let info = link.with(|sender| sender.close_info().cloned());
                match Error::from_end(self.decoder.failure(), error, info) {
                    Some(error) => Err(error),
                    None => Ok(Some(RecvOutcome::Closed)),
                }
            }
        }
    }

    /// Writes the queue, unless the stream was blocked shortly before.
    fn write_or_skip<L: Link>(&mut self, link: &mut L) -> io::Result<WriteOutcome> {
        if self.reads_before_write > 0 {
            self.reads_before_write -= 1;
            return Ok(WriteOutcome::Blocked);
        }
        let written = link.write();
        if matches!(written, Ok(WriteOutcome::Blocked)) {
            self.reads_before_write = READS_IN_A_ROW;
        }
        written
    }

    /// Writes the queue, closes what has ended, and waits for bytes. Keeps reading while writing is
    /// blocked.
    fn wait_for_input<L: Link>(&mut self, link: &mut L, until: Option<Instant>) -> ReadOutcome {
        loop {
            // Ignore write errors here. The read reports them after delivering the remaining input.
            let written = self.write_or_skip(link);
            let is_blocked = matches!(written, Ok(WriteOutcome::Blocked));
            let progress = self.decoder.progress();
            let (timers, is_clean) = link.with(|sender| {
                sender.handle_progress(progress);
                (run_timers(sender), is_cleanly_finished(sender))
            });
            let deadline = match timers {
                Timers::Closed => return ReadOutcome::End(None),
                Timers::Ran => continue,
                Timers::Next(deadline) => deadline,
            };
            // The closing handshake is complete, so do not wait until the peer closes its side. But
            // read what has arrived: dropping a socket with unread input would reset the
            // connection, and the peer might lose this end's Close.
            let is_over = is_clean && link.is_shut_down();
            // The other thread is writing this end's Close.
            let is_ending = matches!(written, Ok(WriteOutcome::OtherThread)) && link.with(is_closing);
            if self.is_eof {
                // Only the queue keeps the connection open. Do not read: every read would return
                // EOF at once.
                if is_past(until) {
                    return ReadOutcome::TimedOut;
                }
                thread::sleep(WRITE_TURN);
                continue;
            }
            let deadline = earlier(deadline, until);
            let turn = (is_blocked || is_ending).then_some(WRITE_TURN);
            let turn = if is_over { Some(LAST_READ) } else { turn };
            let timeout = earlier(deadline.map(|deadline| deadline.since(now())), turn);
            let timeout = earlier(timeout, link.max_read_wait());
            let result = link.set_read_timeout(timeout).and_then(|()| link.read(self.input.space()));
            let result = end_of_input(result);
            match result {
                Ok(0) => {
                    self.is_eof = true;
                    link.with(Sender::handle_eof);
                }
                Ok(n) if is_over || link.with(|sender| sender.ignores_input()) => {
                    link.with(|sender| sender.handle_received(n));
                }
                Ok(n) => {
                    self.input.filled(n);
                    link.with(|sender| sender.handle_received(n));
                    return ReadOutcome::Bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // If no timeout is set, the socket is non-blocking, and reading again would be a
                // busy loop.
                Err(error) if is_timeout(&error) && is_over => {
                    link.with(Sender::handle_eof);
                    return ReadOutcome::End(None);
                }
                Err(error) if is_timeout(&error) && timeout.is_some() => {
                    self.reads_before_write = 0;
                    if is_past(until) {
                        return ReadOutcome::TimedOut;
                    }
                }
                Err(error) => {
                    let is_clean = link.with(|sender| {
                        // After both Closes, a peer that resets the connection has done nothing
                        // wrong.
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
}

/// Returns whether the closing handshake is complete, everything is written, and this end must
/// close its side.
fn is_cleanly_finished(sender: &mut Sender) -> bool {
    sender.wants_shutdown() && sender.is_finished() && sender.close_info().is_some_and(|info| info.clean)
}

fn is_closing(sender: &mut Sender) -> bool {
    sender.state() != State::Open
}

/// Returns the earlier of two instants, or the shorter of two durations, of which each may be none.
fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn is_past(until: Option<Instant>) -> bool {
    until.is_some_and(|until| until <= now())
}

/// Access to the sender for the decoder.
struct LinkSender<'l, L>(&'l mut L);

impl<L: Link> SenderAccess for LinkSender<'_, L> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        self.0.with(f);
    }
}
