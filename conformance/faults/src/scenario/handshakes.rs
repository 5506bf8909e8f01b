//! Peers that begin a handshake and never complete it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_testkit::tls::CA;
use sockeye_tokio::driver::tls::TlsSession;
use sockeye_tokio::tls::ClientTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::Context;
use super::healthy::Healthy;
use crate::child::Server;
use crate::peer::dial;
use crate::report::{bytes, spread};

/// The largest memory of a half-open connection. The server with a thread for each comes closest.
const MEMORY_LIMIT: u64 = 64 << 10;
/// The same with TLS, whose handshake uses more of a thread's stack.
const TLS_MEMORY_LIMIT: u64 = 128 << 10;
/// The delay with which a connection may be cut off, since the machine may be busy.
const TOLERANCE: Duration = Duration::from_secs(3);

/// The ways in which a peer does not complete its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    /// Sends a request, a byte a second.
    Dripping,
    /// Sends nothing.
    Silent,
    /// Sends nothing to a port with TLS.
    SilentTls,
    /// Begins TLS, a byte a second.
    DrippingTls,
    /// Begins TLS, and does not react to the server's answer.
    HalfTls,
}

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    for stall in [Stall::Dripping, Stall::Silent, Stall::SilentTls, Stall::DrippingTls, Stall::HalfTls] {
        half_open(context, stall).await?;
    }
    Ok(())
}

async fn half_open(context: &mut Context<'_>, stall: Stall) -> io::Result<()> {
    let count = context.size(300, 2000);
    let timeout = Duration::from_millis(context.size(1500, 10_000));
    let milliseconds = timeout.as_millis().to_string();
    let room = (count + 100).to_string();
    let options = ["--handshake-timeout", &milliseconds, "--max-handshakes", &room];
    let mut server = Server::start(context.adapter, &options).await?;
    let mut healthy = Healthy::start(server.plain, 1, Duration::from_millis(10)).await?;
    let to = if stall.has_tls() { server.tls } else { server.plain };
    if stall.has_tls() {
        healthy.add_tls_newcomers(server.tls);
    }
    let begin = stall.bytes()?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.resident()?;
    let mut peers = JoinSet::new();
    for n in 0..count {
        peers.spawn(time_to_end(to, n, stall, begin.clone()));
    }
    tokio::time::sleep(timeout / 2).await;
    let stats = server.stats().await?;
    let each = server.resident()?.saturating_sub(before) / count as u64;
    let (mut times, mut answers, mut wrong) = (Vec::new(), 0, String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok((time, answer)) if stall.expects(&answer) => {
                times.push(time);
                answers += 1;
            }
            Ok((_, answer)) => wrong = answer.escape_ascii().to_string(),
            Err(error) => wrong = error.to_string(),
        }
    }
    let left = server.wait_until(Duration::from_secs(5), |stats| stats.get("connections") <= 3).await?;
    let after = server.resident()?.saturating_sub(before) / count as u64;
    let name = stall.name();
    let limit = if stall.has_tls() { TLS_MEMORY_LIMIT } else { MEMORY_LIMIT };
    let report = &mut context.report;
    report.check(
        &format!("{name}: all are connected at half time"),
        stats.get("connections") >= count as u64,
        format!("{} connections", stats.get("connections")),
    );
    report.check(
        &format!("{name}: all end {}", stall.end()),
        answers == count,
        format!("{answers} of {count} {wrong}"),
    );
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    report.check(&format!("{name}: none ends before the deadline"), least >= Some(timeout), spread(&times));
    report.check(
        &format!("{name}: all end soon after it"),
        most <= Some(timeout + TOLERANCE),
        format!("{most:.2?}"),
    );
    report.check(&format!("{name}: memory of each"), each <= limit, bytes(each));
    report.check(&format!("{name}: no connection is left"), left.0.get("connections") <= 3, left.0.text());
    report.note(&format!("{name}: memory of each afterwards"), bytes(after));
    healthy.end(report).await;
    server.end().await.map(drop)
}

/// Returns how long the connection lived and what it received. The time starts before the
/// connection is made, and so before it is accepted.
async fn time_to_end(
    to: SocketAddr,
    n: usize,
    stall: Stall,
    begin: Arc<[u8]>,
) -> io::Result<(Duration, Vec<u8>)> {
    let started = Instant::now();
    let mut stream = dial(to, n, None).await?;
    let mut drip = begin.iter().copied();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut answer = Vec::new();
    if stall == Stall::HalfTls {
        stream.write_all(&begin).await?;
    }
    loop {
        tokio::select! {
            read = stream.read_buf(&mut answer) => {
                // The answer to the beginning of TLS is not the end.
                if read? == 0 || stall != Stall::HalfTls {
                    break;
                }
            }
            _ = every.tick(), if stall.drips() => {
                stream.write_all(&[drip.next().unwrap_or(b'z')]).await?;
            }
        }
    }
    let time = started.elapsed();
    stream.read_to_end(&mut answer).await?;
    Ok((time, answer))
}

impl Stall {
    fn name(self) -> &'static str {
        match self {
            Stall::Dripping => "a byte a second",
            Stall::Silent => "silent",
            Stall::SilentTls => "silent, with TLS",
            Stall::DrippingTls => "a byte a second of TLS",
            Stall::HalfTls => "half of TLS",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Stall::SilentTls | Stall::DrippingTls | Stall::HalfTls)
    }

    fn drips(self) -> bool {
        matches!(self, Stall::Dripping | Stall::DrippingTls)
    }

    /// Returns what the peer sends.
    fn bytes(self) -> io::Result<Arc<[u8]>> {
        if !self.has_tls() {
            return Ok(Arc::from(*b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "));
        }
        let tls = ClientTls::with_ca_pem(CA).map_err(io::Error::other)?;
        let name = tls.name_for("localhost").map_err(io::Error::other)?;
        let session = TlsSession::client(&tls, name).map_err(io::Error::other)?;
        Ok(session.output().into())
    }

    /// Returns how the server ends such a connection.
    fn end(self) -> &'static str {
        match self {
            Stall::Dripping => "with a 408",
            Stall::HalfTls => "after the server's half of the handshake",
            Stall::Silent | Stall::SilentTls | Stall::DrippingTls => "without an answer",
        }
    }

    fn expects(self, answer: &[u8]) -> bool {
        match self {
            Stall::Dripping => answer.starts_with(b"HTTP/1.1 408 "),
            // A record of the handshake.
            Stall::HalfTls => answer.starts_with(&[0x16, 3]),
            Stall::Silent | Stall::SilentTls | Stall::DrippingTls => answer.is_empty(),
        }
    }
}
