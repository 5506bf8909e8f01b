//! Peers that send as fast as the server reads.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use sockeye_testkit::deflate::deflating_pair;
use sockeye_testkit::frames::put_frame;
use sockeye_testkit::handshake::upgrade_request;
use sockeye_tokio::Config;
use sockeye_tokio::protocol::deflate::Deflate;

use crate::peer::{BINARY, MASKING_KEY};

/// The kind of a busy peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Frames of one byte.
    Tiny,
    /// Frames of one byte to a handler that computes for 20 us.
    Handler,
    /// Compressed messages of 2 kB that inflate to 2 MB, which the handler drops.
    Inflate,
    /// The same, which the handler echoes.
    InflateEcho,
    /// Frames of 100 kB.
    Large,
}

impl Kind {
    fn is_compressed(self) -> bool {
        matches!(self, Kind::Inflate | Kind::InflateEcho)
    }

    /// Returns whether the handler echoes messages.
    pub(super) fn is_echoed(self) -> bool {
        self != Kind::Inflate
    }

    /// Returns the CPU time of the handler.
    pub(super) fn handler_time(self) -> Duration {
        if self == Kind::Handler { Duration::from_micros(20) } else { Duration::ZERO }
    }

    /// Returns the bytes that the peer sends again and again.
    fn bytes(self) -> Vec<u8> {
        let mut frame = Vec::new();
        if self.is_compressed() {
            let config =
                Config::new().deflate(Deflate::new()).max_send_size(4 << 20).high_water_mark(8 << 20);
            let mut client = deflating_pair(config.clone(), config).client;
            client.connection.send(vec![0; 2_000_000]).expect("the message can be sent");
            let transmit = client.connection.poll_transmit().expect("the message is queued");
            transmit.slices().for_each(|slice| frame.extend_from_slice(slice));
        } else {
            let len = if self == Kind::Large { 100_000 } else { 1 };
            put_frame(&mut frame, 0x80 | BINARY, Some(MASKING_KEY), &vec![b'x'; len]);
        }
        frame.repeat((64 << 10) / frame.len() + 1)
    }
}

/// Starts busy peers. Each has a thread that writes and one that discards what the server sends.
pub(super) fn start(address: SocketAddr, kind: Kind, count: usize) -> io::Result<()> {
    let bytes = Arc::new(kind.bytes());
    (0..count).try_for_each(|_| start_one(address, kind, bytes.clone()))
}

fn start_one(address: SocketAddr, kind: Kind, bytes: Arc<Vec<u8>>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let request = upgrade_request("/", if kind.is_compressed() { extension } else { "" });
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut reader = stream.try_clone()?;
    thread::spawn(move || while stream.write_all(&bytes).is_ok() {});
    thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while reader.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    Ok(())
}
