//! A client that speaks bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode};

use super::PATIENCE;

pub(crate) trait Stream: Read + Write + Send {
    fn try_clone(&self) -> io::Result<Box<dyn Stream>>;
    fn shutdown(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn try_clone(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpStream::try_clone(self)?))
    }

    fn shutdown(&self) -> io::Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
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

pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    /// The address of this end, over TCP.
    pub(crate) local: Option<SocketAddr>,
}

/// The head of a response, and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The handshake of RFC 6455 1.3.
pub(crate) fn upgrade_head(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let local = stream.local_addr().ok();
        Raw { local, ..Raw::over(stream) }
    }

    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Raw { stream: Box::new(stream), received: Vec::new(), local: None }
    }

    /// Another end for writes.
    pub(crate) fn try_clone(&self) -> Self {
        Raw { stream: self.stream.try_clone().unwrap(), received: Vec::new(), local: self.local }
    }

    /// The server may have closed the connection already: what is read tells.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(crate) fn upgrade(&mut self, path: &str) -> Answer {
        self.upgrade_with(path, "")
    }

    pub(crate) fn upgrade_with(&mut self, path: &str, more: &str) -> Answer {
        self.write(upgrade_head(path, more));
        let answer = self.answer();
        assert_eq!(answer.status(), 101, "{}", answer.head);
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        answer
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// The next response, with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let answer = Answer { head, body: Vec::new() };
        let length = answer.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        while self.received.len() < length {
            assert!(self.more(), "the body was cut: {answer:?}");
        }
        Answer { body: self.received.drain(..length).collect(), ..answer }
    }

    /// The head of the next response alone.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..at + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more(), "no head: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame<'_>) {
        self.write(frame.pack_masked([1, 2, 3, 4]));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.send(&Frame::text(text));
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.send(&Frame::close(&CloseFrame::new(CloseCode::from(code), reason)).unwrap());
    }

    /// The next frame; `None` at the end.
    pub(crate) fn frame(&mut self) -> Option<Frame<'static>> {
        loop {
            if let Some((frame, used)) = Frame::unpack(&self.received).expect("valid frames") {
                let frame =
                    Frame { opcode: frame.opcode, data: frame.data.into_owned().into(), flags: frame.flags };
                self.received.drain(..used);
                return Some(frame);
            }
            if !self.more() {
                assert!(self.received.is_empty(), "a cut frame");
                return None;
            }
        }
    }

    pub(crate) fn expect_text(&mut self, text: &str) {
        let frame = self.frame().expect("a frame");
        assert_eq!((frame.opcode, String::from_utf8_lossy(&frame.data).as_ref()), (Opcode::Text, text));
    }

    /// The next frame is this Close; it is answered, and the server closes the transport.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let frame = self.frame().expect("a Close");
        assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
        assert_eq!(CloseFrame::parse(frame.data.clone()).unwrap().status().as_u16(), code);
        self.send(&frame);
        self.expect_end();
    }

    /// Nothing more comes, and the transport is closed; this end does the same, which the server waits for.
    pub(crate) fn expect_end(&mut self) {
        while self.more() {}
        let _ = self.stream.shutdown();
        assert!(self.received.is_empty(), "{:?}", String::from_utf8_lossy(&self.received));
    }

    /// Reads; `false` at the end, be it orderly or not.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("nothing came; there is {:?}", String::from_utf8_lossy(&self.received))
            }
            Err(_) => false,
        }
    }
}
