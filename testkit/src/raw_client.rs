use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode};

use crate::PATIENCE;
use crate::frames::build::first_byte;
use crate::frames::read::into_frame;
use crate::frames::{MASK_KEY, put_frame, read_frame};
use crate::handshake::{SAMPLE_ACCEPT, upgrade_request};

/// A blocking socket that a [`RawClient`] can use.
pub trait Stream: Read + Write + Send {
    /// Returns another handle to the same socket.
    fn try_clone(&self) -> io::Result<Box<dyn Stream>>;

    /// Closes the writing side.
    fn shutdown(&self) -> io::Result<()>;

    /// Returns the socket's own address, if it is a TCP socket.
    fn local(&self) -> Option<SocketAddr> {
        None
    }
}

impl Stream for TcpStream {
    fn try_clone(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpStream::try_clone(self)?))
    }

    fn shutdown(&self) -> io::Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.local_addr().ok()
    }
}

#[cfg(unix)]
impl Stream for std::os::unix::net::UnixStream {
    fn try_clone(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(std::os::unix::net::UnixStream::try_clone(self)?))
    }

    fn shutdown(&self) -> io::Result<()> {
        std::os::unix::net::UnixStream::shutdown(self, Shutdown::Write)
    }
}

/// A blocking client that sends any bytes and reads HTTP responses and frames.
///
/// It does not depend on an async runtime, so every server sees the same client.
pub struct RawClient {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    /// Return keepalive pings as frames.
    shows_keepalive: bool,
}

impl std::fmt::Debug for RawClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawClient").field("local", &self.local()).field("received", &self.received).finish()
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    /// The status line and the header, up to the empty line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    /// Returns the first field of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl RawClient {
    /// Connects over TCP and sends nothing yet.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        RawClient::over(stream)
    }

    /// Wraps a connected socket.
    #[must_use]
    pub fn over(stream: impl Stream + 'static) -> Self {
        RawClient::over_boxed(Box::new(stream))
    }

    fn over_boxed(stream: Box<dyn Stream>) -> Self {
        RawClient { stream, received: Vec::new(), shows_keepalive: false }
    }

    /// Returns the server's keepalive pings as frames from here on. Otherwise the client answers
    /// them: a test that runs for long on a busy machine receives some.
    pub fn show_keepalive(&mut self) {
        self.shows_keepalive = true;
    }

    /// Returns the client's own address, if it is connected over TCP.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    /// Returns a second client on the same socket, to write with.
    #[must_use]
    pub fn try_clone(&self) -> Self {
        RawClient::over_boxed(self.stream.try_clone().unwrap())
    }

    /// Writes bytes. Ignores errors, because the server may have closed the connection: the next
    /// read shows that.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Opens a WebSocket at `path`.
    pub fn upgrade(&mut self, path: &str) -> Answer {
        self.upgrade_with(path, "")
    }

    /// Opens a WebSocket at `path` with more header lines, each ended by CRLF.
    pub fn upgrade_with(&mut self, path: &str, header_lines: &str) -> Answer {
        self.write(upgrade_request(path, header_lines));
        let answer = self.answer();
        assert_eq!(answer.status(), 101, "{}", answer.head);
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some(SAMPLE_ACCEPT));
        answer
    }

    /// Sends a GET request and returns the response.
    pub fn get(&mut self, target: &str) -> Answer {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// Reads the next response with its body.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let answer = Answer { head, body: Vec::new() };
        let length = answer.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        while self.received.len() < length {
            assert!(self.more(), "the body was cut: {answer:?}");
        }
        Answer { body: self.received.drain(..length).collect(), ..answer }
    }

    /// Reads the head of the next response, without a body.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..at + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more(), "no head: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Sends a frame, valid or not.
    pub fn send(&mut self, frame: &Frame<'_>) {
        let mut wire = Vec::new();
        put_frame(&mut wire, first_byte(frame), Some(MASK_KEY), &frame.data);
        self.write(wire);
    }

    /// Sends a text message.
    pub fn text(&mut self, text: &str) {
        self.send(&Frame::text(text));
    }

    /// Sends a Close.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.send(&Frame::close(&CloseFrame::new(CloseCode::from(code), reason)).unwrap());
    }

    /// Reads the next frame. Returns `None` at the end of the input.
    pub fn frame(&mut self) -> Option<Frame<'static>> {
        loop {
            let frame = self.next_frame()?;
            // The payload of a keepalive ping is a number of four bytes.
            if self.shows_keepalive || frame.opcode != Opcode::Ping || frame.data.len() != 4 {
                return Some(frame);
            }
            self.send(&Frame::new(Opcode::Pong, frame.data));
        }
    }

    fn next_frame(&mut self) -> Option<Frame<'static>> {
        loop {
            if let Some((frame, rest)) = read_frame(&self.received) {
                assert_eq!(frame.key, None, "a server does not mask its frames");
                let used = self.received.len() - rest.len();
                self.received.drain(..used);
                return Some(into_frame(frame));
            }
            if !self.more() {
                assert!(self.received.is_empty(), "the input ends inside a frame");
                return None;
            }
        }
    }

    /// Expects the next frame to be this text message.
    pub fn expect_text(&mut self, text: &str) {
        let frame = self.frame().expect("a frame");
        assert_eq!((frame.opcode, String::from_utf8_lossy(&frame.data).as_ref()), (Opcode::Text, text));
    }

    /// Expects a Close with this code, answers it, and expects the server to close the transport.
    pub fn expect_close(&mut self, code: u16) {
        let frame = self.frame().expect("a Close");
        assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
        assert_eq!(CloseFrame::parse(frame.data.clone()).unwrap().status().as_u16(), code);
        self.send(&frame);
        self.expect_end();
    }

    /// Closes the writing side.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown();
    }

    /// Expects the end of the input with nothing before it, then closes this side too, because the
    /// server waits for that.
    pub fn expect_end(&mut self) {
        while self.more() {}
        let _ = self.stream.shutdown();
        assert!(self.received.is_empty(), "{:?}", String::from_utf8_lossy(&self.received));
    }

    /// Reads more bytes. Returns false when the connection ends, orderly or not.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("timed out; received {:?}", String::from_utf8_lossy(&self.received))
            }
            Err(_) => false,
        }
    }
}
