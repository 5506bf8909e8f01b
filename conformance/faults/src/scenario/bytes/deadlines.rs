//! Checks of deadlines and resets, which scripts do not cover.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::peer::{Peer, TEXT, dial};

/// The default deadline of 10 s, and a tolerance for a busy machine.
const LATEST: Duration = Duration::from_secs(15);

/// Runs all checks at the same time on these ports. Returns how long each connection lived.
pub(super) async fn run(ports: [(&'static str, SocketAddr); 2]) -> Vec<(String, io::Result<String>)> {
    let mut running = JoinSet::new();
    for (port, to) in ports {
        running.spawn(async move {
            let lived = half_open(to, b"").await;
            (format!("H12 {port}: a silent client is disconnected"), lived)
        });
        running.spawn(async move {
            let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n";
            let lived = half_open(to, request).await;
            (format!("H12 {port}: a slow request is cut off"), lived)
        });
        running.spawn(async move {
            let lived = unanswered_close(to).await;
            (format!("O8 {port}: a peer that ignores a Close is disconnected"), lived)
        });
    }
    let mut outcomes = running.join_all().await;
    outcomes.sort_by(|(one, _), (other, _)| one.cmp(other));
    outcomes
}

/// Sends a byte of `request` every half second, and waits for the end of the connection.
async fn half_open(to: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = dial(to, 0, None).await?;
    time_to_end(&mut stream, request).await
}

/// Breaks the protocol and ignores the server's Close.
async fn unanswered_close(to: SocketAddr) -> io::Result<String> {
    let mut peer = Peer::open(to, "/").await?;
    peer.stream.write_all(b"\x81\x02no").await?;
    match peer.recv().await? {
        Some(frame) if frame.code() == Some(1002) => time_to_end(&mut peer.stream, b"").await,
        other => Err(io::Error::other(format!("expected a Close with 1002, got {other:?}"))),
    }
}

async fn time_to_end(stream: &mut TcpStream, drip: &[u8]) -> io::Result<String> {
    let begun = Instant::now();
    let mut drip = drip.iter();
    let mut every = tokio::time::interval(Duration::from_millis(500));
    let mut received = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut received) => match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            },
            _ = every.tick() => {
                if let Some(byte) = drip.next() {
                    // An error means that the server has ended the connection: the read returns
                    // next.
                    drop(stream.write_all(&[*byte]).await);
                }
            }
            () = tokio::time::sleep(LATEST.saturating_sub(begun.elapsed())) => {
                return Err(io::Error::other(format!("still open after {LATEST:.0?}")));
            }
        }
    }
    Ok(format!("{:.2?}", begun.elapsed()))
}

/// Resets 20 connections, each during a message. Then fails unless another connection is served.
pub(super) async fn reset_then_echo(to: SocketAddr) -> io::Result<()> {
    for _ in 0..20 {
        let mut peer = Peer::open(to, "/").await?;
        peer.send(TEXT, &[b'x'; 1000]).await?;
        peer.stream.set_zero_linger()?;
    }
    Peer::open(to, "/").await?.echo(b"hi").await
}
