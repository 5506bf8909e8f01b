//! A peer that builds frames with the testkit and parses them by its own code. It uses no client of
//! Sockeye.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use sockeye_testkit::frames::put_frame;
use sockeye_testkit::handshake::upgrade_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// The longest time that any single operation may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

/// A received frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) data: Vec<u8>,
}

impl Frame {
    /// Returns the code of a Close.
    pub(crate) fn code(&self) -> Option<u16> {
        match (self.opcode, &*self.data) {
            (CLOSE, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }
}

/// Returns a request for a WebSocket.
pub(crate) fn request(path: &str) -> String {
    upgrade_request(path, "")
}

/// The masking key of every frame, from the examples in RFC 6455.
pub(crate) const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns a masked frame with FIN.
pub(crate) fn masked(opcode: u8, data: &[u8]) -> Vec<u8> {
    masked_with_first_byte(0x80 | opcode, data)
}

/// Returns a masked frame with this first byte, which may be invalid.
pub(crate) fn masked_with_first_byte(first: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_frame(&mut frame, first, Some(MASKING_KEY), data);
    frame
}

/// Parses the first frame of `bytes`, which must be unmasked and have FIN. Returns its opcode, its
/// payload and its size, or `None` if it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(u8, &[u8], usize)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(io::Error::other(format!(
            "the server sent a frame that begins with {first:#04x} {second:#04x}"
        )));
    }
    let (len, rest) = match (second, rest) {
        (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, rest)
        }
        (126 | 127, _) => return Ok(None),
        (len, rest) => (usize::from(*len), rest),
    };
    let used = bytes.len() - rest.len() + len;
    Ok(rest.get(..len).map(|data| (first & 0x0f, data, used)))
}

/// Opens the `n`th TCP connection. A source address has 28,000 ports, so every 5,000 connections
/// share an address.
pub(crate) async fn dial(to: SocketAddr, n: usize, receive_buffer: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if to.ip().is_loopback() {
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + (n / 5000) as u8), 0)))?;
    }
    let stream = within(socket.connect(to)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Fails if the future takes longer than [`PATIENCE`].
pub(crate) async fn within<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, future).await?
}

impl Peer {
    pub(crate) async fn open(to: SocketAddr, path: &str) -> io::Result<Self> {
        Self::open_on(dial(to, 0, None).await?, path).await
    }

    pub(crate) async fn open_on(stream: TcpStream, path: &str) -> io::Result<Self> {
        let mut peer = Peer { stream, input: Vec::new() };
        peer.stream.write_all(request(path).as_bytes()).await?;
        let end = loop {
            if let Some(at) = peer.input.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !peer.read().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        if !peer.input.starts_with(b"HTTP/1.1 101 ") {
            let head = String::from_utf8_lossy(&peer.input[..end]).into_owned();
            return Err(io::Error::other(head));
        }
        peer.input.drain(..end);
        Ok(peer)
    }

    pub(crate) async fn send(&mut self, opcode: u8, data: &[u8]) -> io::Result<()> {
        within(self.stream.write_all(&masked(opcode, data))).await
    }

    /// Returns the next frame, or `None` at the end of the stream. Answers pings without returning
    /// them.
    pub(crate) async fn recv(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((opcode, data, used)) = parse(&self.input)? {
                let data = data.to_vec();
                self.input.drain(..used);
                if opcode != PING {
                    return Ok(Some(Frame { opcode, data }));
                }
                self.send(PONG, &data).await?;
                continue;
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Returns the next frame like [`recv`](Peer::recv), or `None` if none arrives until `deadline`.
    /// The end of the stream is an error.
    pub(crate) async fn recv_until(&mut self, deadline: Instant) -> io::Result<Option<Frame>> {
        loop {
            if let Some((opcode, data, used)) = parse(&self.input)? {
                let data = data.to_vec();
                self.input.drain(..used);
                if opcode != PING {
                    return Ok(Some(Frame { opcode, data }));
                }
                self.send(PONG, &data).await?;
                continue;
            }
            let Ok(readable) = timeout_at(deadline, self.stream.readable()).await else { return Ok(None) };
            readable?;
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Sends a message and fails unless it comes back.
    pub(crate) async fn echo(&mut self, data: &[u8]) -> io::Result<()> {
        self.send(BINARY, data).await?;
        match self.recv().await? {
            Some(frame) if frame.opcode == BINARY && frame.data == data => Ok(()),
            other => Err(io::Error::other(format!("expected the echo, got {other:?}"))),
        }
    }

    /// Reads frames up to the end of the stream and answers a Close. Returns the code of the last
    /// Close.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Option<u16>> {
        let mut code = None;
        while let Some(frame) = self.recv().await? {
            if frame.opcode == CLOSE {
                code = frame.code();
                // The server may have closed the connection already.
                let _ = self.send(CLOSE, &frame.data).await;
            }
        }
        Ok(code)
    }

    async fn read(&mut self) -> io::Result<bool> {
        Ok(within(self.stream.read_buf(&mut self.input)).await? != 0)
    }
}

/// The options of a process that holds peers, which can be stopped or cut off.
#[derive(Debug, Args)]
pub(crate) struct HoldOptions {
    address: SocketAddr,
    count: usize,
}

pub(crate) fn hold(options: &HoldOptions) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let peers = runtime.block_on(async {
        let mut peers = Vec::new();
        for n in 0..options.count {
            peers.push(Peer::open_on(dial(options.address, n, None).await?, "/hold").await?);
        }
        io::Result::Ok(peers)
    })?;
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(peers);
    Ok(())
}
