//! TLS without I/O: records in, plaintext out, and the reverse.

use std::io::{self, IoSlice};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;

use super::buffers::{Output, Scratch, with_gather};
use super::config::{ClientTls, ServerTls};
use super::connection::{Action, Connection, Step, take_server_name};
use super::error::TlsError;
use super::info::TlsInfo;

/// The largest record: a header, 16 KiB of plaintext, and the most that encryption may add (RFC
/// 8446 5.2).
const RECORD: usize = 5 + (16 << 10) + 256;

/// The bytes that a usual record adds to its plaintext: header, content type and tag.
const OVERHEAD: usize = 22;

/// The plaintext that one write encrypts: two records.
const WRITE: usize = 32 << 10;

/// The first byte of a record that holds a handshake message (RFC 8446 5.1), as in every ClientHello.
const HANDSHAKE: u8 = 0x16;

/// One end of a TLS connection, without I/O.
///
/// [`TlsIo`](super::TlsIo) drives it over an async transport, and `sockeye-std` over a blocking
/// one. While it is idle it owns no buffers.
///
/// To read, call [`read_buffered`](TlsSession::read_buffered). If that returns zero, read records
/// into [`space`](TlsSession::space) and pass them to [`receive`](TlsSession::receive). To write,
/// write all of [`output`](TlsSession::output), then call [`send`](TlsSession::send), and write
/// `output` again.
#[derive(Debug)]
pub struct TlsSession {
    connection: Connection,
    /// The beginning of a record, or of a handshake message, that has not arrived completely.
    input: Vec<u8>,
    /// Plaintext that has been decrypted and not been read, from `plain_start` on.
    plain: Vec<u8>,
    plain_start: usize,
    output: Output,
    server_name: Option<Box<str>>,
    has_input: bool,
    /// The peer has sent `close_notify`.
    peer_closed: bool,
    close_sent: bool,
    /// A record broke a rule, so nothing more can be sent or received.
    failed: bool,
}

impl TlsSession {
    /// Begins a connection to the server of this name.
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration does not fit the name.
    pub fn client(tls: &ClientTls, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(tls.config().clone(), name)?;
        let mut session = Self::new(Connection::Client(connection));
        session.advance(Action::None, &mut [], &mut [])?;
        Ok(session)
    }

    /// Begins a connection of a client, with the certificate that is current now.
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration is invalid.
    pub fn server(tls: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::new(Connection::Server(UnbufferedServerConnection::new(tls.config())?)))
    }

    fn new(connection: Connection) -> Self {
        TlsSession {
            connection,
            input: Vec::new(),
            plain: Vec::new(),
            plain_start: 0,
            output: Output::default(),
            server_name: None,
            has_input: false,
            peer_closed: false,
            close_sent: false,
            failed: false,
        }
    }

    /// Returns true until both ends have authenticated the handshake. Plaintext can be sent and
    /// received afterwards.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.state().is_handshaking()
    }

    pub(super) fn is_client(&self) -> bool {
        matches!(self.connection, Connection::Client(_))
    }

    /// Returns true if the peer has sent `close_notify`: no more plaintext follows.
    #[must_use]
    pub fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Returns what the handshake has agreed on.
    #[must_use]
    pub fn info(&self) -> TlsInfo {
        TlsInfo::new(self.connection.state(), self.server_name.clone())
    }

    /// Returns the records that wait to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.unsent()
    }

    /// Removes records from the front of the [`output`](TlsSession::output) that were written.
    pub fn sent(&mut self, n: usize) {
        self.output.sent(n);
    }

    /// Reads plaintext that is decrypted already. Returns zero if there is none.
    pub fn read_buffered(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plain[self.plain_start..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.plain_start += n;
        if self.plain_start == self.plain.len() {
            (self.plain, self.plain_start) = (Vec::new(), 0);
        }
        n
    }

    /// Receives records that were read before the session began, such as those that arrived with the
    /// answer of a proxy.
    ///
    /// # Errors
    ///
    /// Returns an error like [`receive`](TlsSession::receive).
    pub fn receive_unread(&mut self, mut unread: &[u8]) -> Result<(), TlsError> {
        while !unread.is_empty() {
            let (mut scratch, reserved) = (Scratch::take(), self.reserved());
            let space = TlsSession::space(&mut scratch, reserved, 0)?;
            let n = io::Read::read(&mut unread, space).unwrap_or_default();
            self.receive(&mut scratch, reserved, n, &mut [])?;
        }
        Ok(())
    }

    /// Returns the number of bytes that must precede new records in a [`Scratch`].
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.input.len()
    }

    /// Returns the part of `scratch` after the first `reserved` bytes to read records into, for a
    /// read of `wanted` bytes of plaintext.
    ///
    /// # Errors
    ///
    /// Returns an error if a handshake message is larger than any buffer.
    pub fn space(scratch: &mut Scratch, reserved: usize, wanted: usize) -> Result<&mut [u8], TlsError> {
        let overhead = (wanted >> 14).saturating_add(1).saturating_mul(OVERHEAD);
        let size = wanted.saturating_add(overhead).max(RECORD);
        let space = scratch.bytes().get_mut(reserved..).unwrap_or_default();
        if space.is_empty() {
            return Err(TlsError::Rustls(rustls::InvalidMessage::HandshakePayloadTooLarge.into()));
        }
        let size = size.min(space.len());
        Ok(&mut space[..size])
    }

    /// Processes `n` bytes that were read into the [`space`](TlsSession::space). Returns how much
    /// plaintext it has written into `buffer`. Plaintext beyond that is
    /// [buffered](TlsSession::read_buffered).
    ///
    /// The [`output`](TlsSession::output) may grow, even if the call fails: write it, because it
    /// holds the alert for the peer.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer broke a rule of TLS, could not be authenticated, or sent an
    /// alert.
    pub fn receive(
        &mut self,
        scratch: &mut Scratch,
        reserved: usize,
        n: usize,
        buffer: &mut [u8],
    ) -> Result<usize, TlsError> {
        self.check_working()?;
        let start = reserved.saturating_sub(self.input.len());
        let records = &mut scratch.bytes()[start..reserved + n];
        records[..self.input.len()].copy_from_slice(&self.input);
        if !self.has_input {
            self.has_input = true;
            self.check_first_bytes(records)?;
        }
        let (used, read) = self.advance(Action::None, records, buffer)?;
        self.input = records[used..].to_vec();
        Ok(read)
    }

    fn check_working(&self) -> Result<(), TlsError> {
        if self.failed { Err(io::Error::from(io::ErrorKind::NotConnected).into()) } else { Ok(()) }
    }

    /// Recognizes a peer that does not speak TLS by its first bytes.
    fn check_first_bytes(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        let is_plain = match self.connection {
            Connection::Client(_) => bytes.starts_with(b"HTTP/"),
            Connection::Server(_) => {
                bytes.first().is_some_and(|first| *first != HANDSHAKE && first.is_ascii_alphabetic())
            }
        };
        if !is_plain {
            return Ok(());
        }
        self.failed = true;
        Err(match self.connection {
            Connection::Client(_) => TlsError::PlainServer,
            Connection::Server(_) => TlsError::PlainClient,
        })
    }

    /// Encrypts bytes at the front of `slices` and appends them to the
    /// [`output`](TlsSession::output), which must be empty. Returns how many it has taken: 32 KiB
    /// at most.
    ///
    /// Slices that fit into one record share one.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection cannot send any more.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        let len = slices.iter().fold(0_usize, |len, slice| len.saturating_add(slice.len())).min(WRITE);
        match slices.first() {
            Some(first) if first.len() >= len => self.send_bytes(&first[..len])?,
            _ => with_gather(|gathered| {
                for slice in slices {
                    let room = len - gathered.len();
                    gathered.extend_from_slice(&slice[..room.min(slice.len())]);
                }
                self.send_bytes(gathered)
            })?,
        }
        Ok(len)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.check_working()?;
        if self.close_sent || self.is_handshaking() {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        self.act(Action::Send(bytes))
    }

    /// Appends the alert `close_notify` to the [`output`](TlsSession::output), unless the connection
    /// has failed: nothing more can be sent.
    pub fn close(&mut self) {
        if !self.failed && !self.close_sent && !self.is_handshaking() {
            // Ignore an error here: it means that nothing more can be sent.
            let _ = self.act(Action::Close);
        }
        self.close_sent = true;
    }

    /// Does something for which the connection need not have received anything.
    fn act(&mut self, action: Action<'_>) -> Result<(), TlsError> {
        let mut input = std::mem::take(&mut self.input);
        let result = self.advance(action, &mut input, &mut []);
        let (used, _) = result?;
        input.drain(..used);
        self.input = input;
        Ok(())
    }

    /// Takes steps until the connection needs more input, and then the action. Returns how many
    /// bytes of `input` it has used, and how many it has written into `buffer`.
    fn advance(
        &mut self,
        action: Action<'_>,
        input: &mut [u8],
        buffer: &mut [u8],
    ) -> Result<(usize, usize), TlsError> {
        let (mut used, mut read) = (0, 0);
        let TlsSession { connection, output, plain, .. } = self;
        let mut deliver = |bytes: &[u8]| {
            let (now, later) = bytes.split_at(bytes.len().min(buffer.len() - read));
            buffer[read..read + now.len()].copy_from_slice(now);
            read += now.len();
            plain.extend_from_slice(later);
        };
        let was_handshaking = connection.state().is_handshaking();
        if was_handshaking {
            // Another connection of this thread may have failed before it took its own.
            let _ = take_server_name();
        }
        let error = loop {
            let (discard, step) = connection.step(&mut input[used..], action, output, &mut deliver);
            used += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::Idle | Step::Closed) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = error {
            self.failed = true;
            self.queue_alert(&mut input[used..]);
            return Err(error.into());
        }
        if was_handshaking && let Some(name) = take_server_name() {
            self.server_name = Some(name);
        }
        Ok((used, read))
    }

    /// Queues the alert that names the error to the peer. rustls may refer to the `input` that it
    /// has not used.
    fn queue_alert(&mut self, mut input: &mut [u8]) {
        // A step that has nothing to write would process the input again.
        while self.connection.state().wants_write() {
            let (used, step) = self.connection.step(input, Action::None, &mut self.output, &mut |_| ());
            if step != Ok(Step::Again) {
                return;
            }
            input = &mut input[used..];
        }
    }
}
