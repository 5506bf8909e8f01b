//! Peers that begin a handshake and never end it.

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

/// What a half-open one may cost, most of all with a thread for each.
const MOST_EACH: u64 = 64 << 10;
/// How much later than it is due a connection may be cut; the machine may be busy.
const LATE: Duration = Duration::from_secs(3);

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
        peers.spawn(one(server.plain, n, drips));
    }
    tokio::time::sleep(timeout / 2).await;
    let stats = server.stats().await?;
    let each = server.resident()?.saturating_sub(before) / count as u64;
    let (mut times, mut answers, mut wrong) = (Vec::new(), 0, String::new());
    while let Some(done) = peers.join_next().await {
        match done.map_err(io::Error::other).flatten() {
            Ok((time, answer)) if is_right(drips, &answer) => {
                times.push(time);
                answers += 1;
            }
            Ok((_, answer)) => wrong = answer.escape_ascii().to_string(),
            Err(error) => wrong = error.to_string(),
        }
    }
    let left = server.until(Duration::from_secs(5), |stats| stats.get("connections") <= 2).await?;
    let name = if drips { "a byte a second" } else { "silent" };
    let report = &mut context.report;
    report.check(
        &format!("{name}: all are there at half time"),
        stats.get("connections") >= count as u64,
        format!("{} connections", stats.get("connections")),
    );
    let right = if drips { "with a 408" } else { "without a word" };
    report.check(
        &format!("{name}: all end {right}"),
        answers == count,
        format!("{answers} of {count} {wrong}"),
    );
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    report.check(&format!("{name}: none before its time"), least >= Some(timeout), spread(&times));
    report.check(&format!("{name}: all soon after it"), most <= Some(timeout + LATE), format!("{most:.2?}"));
    report.check(&format!("{name}: memory of each"), each <= MOST_EACH, bytes(each));
    report.check(&format!("{name}: none is left"), left.0.get("connections") <= 2, left.0.text());
    healthy.end(report).await;
    server.end().await.map(drop)
}

/// From before the connection is made, which is before it is accepted, to its end; and what came.
async fn one(to: SocketAddr, n: usize, drips: bool) -> io::Result<(Duration, Vec<u8>)> {
    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let begun = Instant::now();
    let mut stream = dial(to, n, None).await?;
    let mut drops = HEAD.iter().copied().chain(std::iter::repeat(b'z'));
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut answer = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut answer) => {
                read?;
                break;
            }
            _ = every.tick(), if drips => {
                let byte = drops.next().unwrap_or(b'z');
                stream.write_all(&[byte]).await?;
            }
        }
    }
    let time = begun.elapsed();
    stream.read_to_end(&mut answer).await?;
    Ok((time, answer))
}

fn is_right(drips: bool, answer: &[u8]) -> bool {
    if drips { answer.starts_with(b"HTTP/1.1 408 ") } else { answer.is_empty() }
}
