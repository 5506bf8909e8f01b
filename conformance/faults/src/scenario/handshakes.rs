//! Peers that begin a handshake and never complete it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::Context;
use super::healthy::Healthy;
use crate::child::Server;
use crate::peer::dial;
use crate::report::{bytes, spread};

/// The largest memory of a half-open connection. The server with a thread for each comes closest.
const MEMORY_LIMIT: u64 = 64 << 10;
/// The delay with which a connection may be cut off, since the machine may be busy.
const TOLERANCE: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &mut Context<'_>) -> io::Result<()> {
    for drips in [true, false] {
        half_open(context, drips).await?;
    }
    Ok(())
}

async fn half_open(context: &mut Context<'_>, drips: bool) -> io::Result<()> {
    let count = context.size(300, 2000);
    let timeout = Duration::from_millis(context.size(1500, 10_000));
    let milliseconds = timeout.as_millis().to_string();
    let room = (count + 100).to_string();
    let options = ["--handshake-timeout", &milliseconds, "--max-handshakes", &room];
    let mut server = Server::start(context.adapter, &options).await?;
    let healthy = Healthy::start(server.plain, 1, Duration::from_millis(10)).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.resident()?;
    let mut peers = JoinSet::new();
    for n in 0..count {
        peers.spawn(time_to_end(server.plain, n, drips));
    }
    tokio::time::sleep(timeout / 2).await;
    let stats = server.stats().await?;
    let each = server.resident()?.saturating_sub(before) / count as u64;
    let (mut times, mut answers, mut wrong) = (Vec::new(), 0, String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok((time, answer)) if is_expected(drips, &answer) => {
                times.push(time);
                answers += 1;
            }
            Ok((_, answer)) => wrong = answer.escape_ascii().to_string(),
            Err(error) => wrong = error.to_string(),
        }
    }
    let left = server.wait_until(Duration::from_secs(5), |stats| stats.get("connections") <= 2).await?;
    let name = if drips { "a byte a second" } else { "silent" };
    let report = &mut context.report;
    report.check(
        &format!("{name}: all are connected at half time"),
        stats.get("connections") >= count as u64,
        format!("{} connections", stats.get("connections")),
    );
    let how = if drips { "with a 408" } else { "without an answer" };
    report.check(
        &format!("{name}: all end {how}"),
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
    report.check(&format!("{name}: memory of each"), each <= MEMORY_LIMIT, bytes(each));
    report.check(&format!("{name}: no connection is left"), left.0.get("connections") <= 2, left.0.text());
    healthy.end(report).await;
    server.end().await.map(drop)
}

/// Returns how long the connection lived and what it received. The time starts before the
/// connection is made, and so before it is accepted.
async fn time_to_end(to: SocketAddr, n: usize, drips: bool) -> io::Result<(Duration, Vec<u8>)> {
    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let started = Instant::now();
    let mut stream = dial(to, n, None).await?;
    let mut drip = HEAD.iter().copied().chain(std::iter::repeat(b'z'));
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut answer = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut answer) => {
                read?;
                break;
            }
            _ = every.tick(), if drips => {
                let byte = drip.next().unwrap_or(b'z');
                stream.write_all(&[byte]).await?;
            }
        }
    }
    let time = started.elapsed();
    stream.read_to_end(&mut answer).await?;
    Ok((time, answer))
}

fn is_expected(drips: bool, answer: &[u8]) -> bool {
    if drips { answer.starts_with(b"HTTP/1.1 408 ") } else { answer.is_empty() }
}
