//! The checks of a transport.

use std::io::IoSlice;
use std::task::Poll;
use std::time::Duration;

use crate::conformance::polls::{poll_read, poll_write, receive_byte, send_byte};
use crate::conformance::rule::{Breach, Rule};
use crate::conformance::transfer::transfer;
use crate::conformance::wake::{PATIENCE, Probe, REPEATS, TURN, complete, works};
use crate::runtime::io::Io;

/// A transport that accepts this many unread bytes is never full.
const NEVER_FULL: usize = 16 << 20;

/// The size of a write that fills a transport.
const FILL: [u8; 16 << 10] = [b'f'; 16 << 10];

/// Checks that a transport keeps the [contract of `Io`](Io#contract).
///
/// `connect` returns a connected pair, and is called about ten times. The first of the two is
/// checked; the second is its peer. If the two differ, such as the client's and the server's end of
/// TLS, check the pair in both orders. `pass` waits until the given time has passed.
///
/// # Errors
///
/// Returns the first breach that it finds.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use sockeye_driver::{Io, conformance::{Breach, check_io}};
/// # async fn sleep(_: Duration) {}
/// # async fn check<S: Io>(pair: impl Fn() -> (S, S)) -> Result<(), Breach> {
/// check_io(async || pair(), sleep).await
/// # }
/// ```
pub async fn check_io<I: Io, P: Io>(
    mut connect: impl AsyncFnMut() -> (I, P),
    mut pass: impl AsyncFnMut(Duration),
) -> Result<(), Breach> {
    let pass = &mut pass;
    flush(connect().await, pass).await?;
    transfer(connect().await, pass).await?;
    read_wakers(connect().await, pass).await?;
    write_wakers(connect().await, pass).await?;
    separate_wakers(connect().await, pass).await?;
    no_spinning(connect().await, pass).await?;
    close(connect().await, pass).await?;
    eof(connect().await, pass).await?;
    peer_gone(connect().await, pass).await
}

/// Checks that a flush of nothing is ready, and that a flushed byte arrives although the sender is
/// not polled again, whichever call wrote it.
async fn flush<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let flush = complete(pass, Rule::WriteWakes, "`poll_flush`", |cx| io.poll_flush(cx));
    works("`poll_flush`", flush.await?)?;
    send_byte(&mut io, pass).await?;
    receive_byte(&mut peer, Rule::Flush, pass).await?;
    let write = complete(pass, Rule::WriteWakes, "`poll_write_now`", |cx| {
        io.poll_write_now(cx, &[IoSlice::new(b"!")])
    });
    works("`poll_write_now`", write.await?)?;
    let flush = complete(pass, Rule::WriteWakes, "`poll_flush`", |cx| io.poll_flush(cx));
    works("`poll_flush`", flush.await?)?;
    receive_byte(&mut peer, Rule::Flush, pass).await
}

/// Checks that a pending read wakes the latest of its wakers.
async fn read_wakers<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let only = Probe::new();
    for _ in 0..3 {
        expect_pending(&mut io, &only)?;
    }
    send_byte(&mut peer, pass).await?;
    Rule::ReadWakes.require(only.is_woken(pass).await, "a byte has arrived, and nothing woke the reader")?;
    receive_byte(&mut io, Rule::ReadWakes, pass).await?;
    let latest = pending_read(&mut io)?;
    send_byte(&mut peer, pass).await?;
    Rule::ReadWaker.require(latest.is_woken(pass).await, "a byte has arrived, and it was not woken")?;
    receive_byte(&mut io, Rule::ReadWakes, pass).await
}

/// Polls a read while the peer has sent nothing. Reports a breach if it is ready.
fn expect_pending(io: &mut impl Io, probe: &Probe) -> Result<(), Breach> {
    let pending = poll_read(io, probe, &mut [0; 8])?.is_pending();
    Rule::Bytes.require(pending, "`poll_read` returned, but the peer has sent nothing")
}

/// Polls a read with three wakers and returns the last, which the read must wake.
fn pending_read(io: &mut impl Io) -> Result<Probe, Breach> {
    let mut latest = Probe::new();
    // A transport may return `Pending` once and wake the task at once, although it could finish.
    for _ in 0..3 {
        latest = Probe::new();
        expect_pending(io, &latest)?;
    }
    Ok(latest)
}

/// Writes until the transport is full. Returns the waker that the transport must wake, or `None` if
/// it never becomes full. With `renew`, each poll has its own waker.
async fn fill<P: AsyncFnMut(Duration)>(
    io: &mut impl Io,
    renew: bool,
    pass: &mut P,
) -> Result<Option<Probe>, Breach> {
    let (mut accepted, mut full) = (0, 0);
    let mut probe = Probe::new();
    while accepted < NEVER_FULL {
        if renew {
            probe = Probe::new();
        }
        match poll_write(io, &probe, &[IoSlice::new(&FILL)])? {
            Poll::Ready(n) => (accepted, full) = (accepted + n, 0),
            // The transport may still deliver the bytes that it holds.
            Poll::Pending if full < 20 => {
                full += 1;
                pass(TURN).await;
            }
            Poll::Pending => return Ok(Some(probe)),
        }
    }
    Ok(None)
}

/// Reads everything that arrives at `peer` until `io` wakes `woken` and accepts a byte. Returns
/// false if that does not happen.
async fn is_writable<P: AsyncFnMut(Duration)>(
    io: &mut impl Io,
    woken: &Probe,
    peer: &mut impl Io,
    pass: &mut P,
) -> Result<bool, Breach> {
    let mut buffer = vec![0; 64 << 10];
    let mut idle = 0;
    while idle < PATIENCE {
        // The first wake may only mean that the transport can empty a buffer of its own.
        if woken.take_wake() && poll_write(io, woken, &[IoSlice::new(b"!")])?.is_ready() {
            return Ok(true);
        }
        match poll_read(peer, &Probe::new(), &mut buffer)? {
            Poll::Ready(0) => return Err(Rule::Eof.breach("`poll_read` returned zero, but the peer is open")),
            Poll::Ready(_) => idle = 0,
            Poll::Pending => {
                idle += 1;
                pass(TURN).await;
            }
        }
    }
    Ok(false)
}

/// Checks that a pending write wakes the latest of its wakers when the peer has read.
async fn write_wakers<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let found = "the peer has read everything, and it was not woken";
    let Some(only) = fill(&mut io, false, pass).await? else { return Ok(()) };
    Rule::WriteWakes.require(is_writable(&mut io, &only, &mut peer, pass).await?, found)?;
    let Some(latest) = fill(&mut io, true, pass).await? else { return Ok(()) };
    Rule::WriteWaker.require(is_writable(&mut io, &latest, &mut peer, pass).await?, found)
}

/// Checks that a pending read and a pending write each wake their own waker.
async fn separate_wakers<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let reader = pending_read(&mut io)?;
    let writer = fill(&mut io, true, pass).await?;
    send_byte(&mut peer, pass).await?;
    Rule::SeparateWakers.require(reader.is_woken(pass).await, "a write has replaced the waker of a read")?;
    receive_byte(&mut io, Rule::ReadWakes, pass).await?;
    let Some(mut writer) = writer else { return Ok(()) };
    if poll_write(&mut io, &writer, &[IoSlice::new(b"!")])?.is_ready() {
        let Some(full) = fill(&mut io, true, pass).await? else { return Ok(()) };
        writer = full;
    }
    pending_read(&mut io)?;
    let woken = is_writable(&mut io, &writer, &mut peer, pass).await?;
    Rule::SeparateWakers.require(woken, "a read has replaced the waker of a write")
}

/// Checks that a pending read does not wake its task again and again.
async fn no_spinning<P: AsyncFnMut(Duration)>(
    (mut io, _peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let probe = pending_read(&mut io)?;
    for _ in 0..REPEATS {
        pass(TURN / 10).await;
        if !probe.take_wake() {
            return Ok(());
        }
        expect_pending(&mut io, &probe)?;
    }
    Err(Rule::NoSpinning.breach(format_args!("a read woke its task {REPEATS} times while nothing arrived")))
}

/// Checks that closing sends what was written and then the end, and that the other direction stays
/// open.
async fn close<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let write =
        complete(pass, Rule::WriteWakes, "`poll_write`", |cx| io.poll_write(cx, &[IoSlice::new(b"!")]));
    works("`poll_write`", write.await?)?;
    let close = complete(pass, Rule::WriteWakes, "`poll_close`", |cx| io.poll_close(cx));
    works("`poll_close`", close.await?)?;
    receive_byte(&mut peer, Rule::Close, pass).await?;
    let read = complete(pass, Rule::Close, "the peer's `poll_read`", |cx| peer.poll_read(cx, &mut [0]));
    let n = works("the peer's `poll_read`", read.await?)?;
    Rule::Close.require(n == 0, "the peer received a byte that was not written")?;
    send_byte(&mut peer, pass).await?;
    receive_byte(&mut io, Rule::HalfClose, pass).await
}

/// Checks that a pending read wakes when the peer closes, and that reads return zero from then on.
async fn eof<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let reader = pending_read(&mut io)?;
    let close = complete(pass, Rule::Close, "the peer's `poll_close`", |cx| peer.poll_close(cx));
    works("the peer's `poll_close`", close.await?)?;
    Rule::Eof.require(reader.is_woken(pass).await, "the peer has closed, and nothing woke the reader")?;
    for rule in [Rule::Eof, Rule::EofStays, Rule::EofStays] {
        let read = complete(pass, rule, "`poll_read`", |cx| io.poll_read(cx, &mut [0]));
        let n = read.await?.map_err(|error| rule.breach(format_args!("`poll_read` failed: {error}")))?;
        rule.require(n == 0, format_args!("`poll_read` returned {n}"))?;
    }
    // This direction is still open.
    send_byte(&mut io, pass).await?;
    receive_byte(&mut peer, Rule::Flush, pass).await
}

/// Checks that dropping the peer wakes a pending read and a pending write, that reading ends, and
/// that writing fails.
async fn peer_gone<P: AsyncFnMut(Duration)>(
    (mut io, peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    let reader = pending_read(&mut io)?;
    let writer = fill(&mut io, true, pass).await?;
    drop(peer);
    Rule::PeerGone.require(reader.is_woken(pass).await, "nothing woke the reader")?;
    if let Some(writer) = writer {
        Rule::PeerGone.require(writer.is_woken(pass).await, "nothing woke the writer")?;
    }
    let read = complete(pass, Rule::PeerGone, "`poll_read`", |cx| io.poll_read(cx, &mut [0]));
    if let Ok(n) = read.await? {
        Rule::PeerGone.require(n == 0, format_args!("`poll_read` returned {n}"))?;
    }
    // The transport may accept some bytes before it notices that the peer has gone.
    for _ in 0..REPEATS {
        let write =
            complete(pass, Rule::PeerGone, "`poll_write`", |cx| io.poll_write(cx, &[IoSlice::new(&FILL)]));
        if write.await?.is_err() {
            return Ok(());
        }
        let flush = complete(pass, Rule::PeerGone, "`poll_flush`", |cx| io.poll_flush(cx));
        if flush.await?.is_err() {
            return Ok(());
        }
        pass(TURN).await;
    }
    Err(Rule::PeerGone.breach("`poll_write` accepts bytes without end"))
}
