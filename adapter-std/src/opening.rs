//! A stream until its WebSocket is open, or until it has been refused.

use std::io::{self, IoSlice};
use std::time::Duration;

use sockeye_core::handshake::server::Upgrade;
use sockeye_core::session::{OpenError, Opened, Session, SessionEvent};
use sockeye_core::{Config, Instant, RecvBuf};
use sockeye_driver::end_of_input;

use crate::clock::{is_timeout, now};
use crate::read_buffer::ReadBuffer;
use crate::stream::Stream;
use crate::transport::{Transport, try_flush, try_write};
use crate::websocket::WebSocket;
use crate::wire::Wire;

/// Drives a [`Session`] over a stream. The session implements all rules.
#[derive(Debug)]
pub(crate) struct Opening<S> {
    pub(crate) session: Session,
    transport: Transport<S>,
    input: ReadBuffer,
    is_eof: bool,
    /// The error that ended writing. The peer may have sent something before, so reading continues.
    write_error: Option<io::Error>,
}

/// An event of the session that does not borrow the input.
#[derive(Debug)]
pub(crate) enum OpeningEvent {
    Upgrade(Upgrade),
    Open(Opened),
    NotOpened(OpenError),
    Ended,
}

impl<S: Stream> Opening<S> {
    /// `write_limit` is as in [`Transport::new`].
    pub(crate) fn new(session: Session, stream: Wire<S>, write_limit: Duration) -> io::Result<Self> {
        Ok(Opening {
            session,
            transport: Transport::new(stream, write_limit)?,
            input: ReadBuffer::default(),
            is_eof: false,
            write_error: None,
        })
    }

    /// Continues with bytes that have been read.
    pub(crate) fn with_unread(mut self, unread: &[u8]) -> Self {
        self.input = ReadBuffer::new(unread);
        self
    }

    /// Waits for the next event: writes what is queued, reads, and enforces the session's
    /// deadlines.
    pub(crate) fn next_event(&mut self) -> io::Result<OpeningEvent> {
        loop {
            if let Some(event) = self.take_event() {
                if matches!(event, OpeningEvent::Ended) {
                    self.shut_down();
                }
                return Ok(event);
            }
            if !self.write()? {
                self.handle_timeout();
                continue;
            }
            if self.session.wants_shutdown() {
                self.shut_down();
                if !self.transport.has_timeouts {
                    // A read could block forever, so the peer gets no time to read the response.
                    return Ok(OpeningEvent::Ended);
                }
            }
            if !self.handle_timeout() && !self.is_eof {
                self.read()?;
            }
        }
    }

    fn take_event(&mut self) -> Option<OpeningEvent> {
        let mut view = RecvBuf::new(self.input.unread());
        let event = self.session.poll_event(&mut view).map(|event| match event {
            SessionEvent::Upgrade(upgrade) => OpeningEvent::Upgrade(upgrade),
            SessionEvent::Open(opened) => OpeningEvent::Open(opened),
            SessionEvent::NotOpened(error) => OpeningEvent::NotOpened(error),
            // The connection leaves the session when it opens, so there are no messages.
            _ => OpeningEvent::Ended,
        });
        let used = view.consumed();
        self.input.consume(used);
        event
    }

    /// Acts on a deadline that has passed. Returns false if none has.
    fn handle_timeout(&mut self) -> bool {
        let now = now();
        let is_due = self.session.poll_timeout().is_some_and(|deadline| deadline <= now);
        if is_due {
            self.session.handle_timeout(now);
        }
        is_due
    }

    /// Reads once, until the session's next deadline.
    fn read(&mut self) -> io::Result<()> {
        let transport = &mut self.transport;
        let timeout = self.session.poll_timeout().map(|deadline| deadline.since(now()));
        transport.read_timeout.set(&transport.stream, timeout)?;
        match end_of_input(io::Read::read(&mut transport.stream, self.input.space())) {
            Ok(0) => {
                self.is_eof = true;
                self.session.handle_eof();
            }
            Ok(n) => self.input.filled(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) && timeout.is_some() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes and flushes what is queued. Returns false if the stream had no room in time.
    fn write(&mut self) -> io::Result<bool> {
        let result = self.try_write_all();
        result.or_else(|error| {
            self.session.handle_write_error();
            self.write_error = Some(error);
            Ok(true)
        })
    }

    fn try_write_all(&mut self) -> io::Result<bool> {
        let stream = &mut self.transport.stream;
        while let Some(transmit) = self.session.poll_transmit() {
            let Some(n) = try_write(stream, &[IoSlice::new(transmit.first())])? else { return Ok(false) };
            self.session.transmitted(n);
            self.transport.needs_flush = true;
        }
        if self.transport.needs_flush {
            self.transport.needs_flush = !try_flush(stream)?;
        }
        Ok(!self.transport.needs_flush)
    }

    fn shut_down(&mut self) {
        if !std::mem::replace(&mut self.transport.is_shut_down, true) {
            // This fails if the peer is gone. The read reports that.
            let _ = self.transport.stream.shutdown_write();
        }
    }

    /// Writes everything that is queued, or fails at `deadline`.
    pub(crate) fn flush(&mut self, deadline: Instant) -> io::Result<()> {
        while !self.write()? {
            if deadline <= now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.write_error.take().map_or(Ok(()), Err)
    }

    /// Waits until the session has ended: the last response has been written, and the peer has had
    /// time to read it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        while !matches!(self.next_event()?, OpeningEvent::Ended) {}
        self.write_error.map_or(Ok(()), Err)
    }

    /// Takes the error that ended writing.
    pub(crate) fn take_write_error(&mut self) -> Option<io::Error> {
        self.write_error.take()
    }

    /// Returns the open connection. The session must have reported [`Open`](OpeningEvent::Open),
    /// and everything must have been written.
    pub(crate) fn into_websocket(self, config: &Config, opened: &Opened) -> io::Result<WebSocket<S>> {
        let Ok(connection) = self.session.into_connection() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let subprotocol = opened.subprotocol().map(str::to_owned);
        Ok(WebSocket::with_transport(connection, self.input, self.transport, config, subprotocol))
    }
}
