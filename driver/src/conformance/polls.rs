//! Single operations of a transport, with checks of the results.

use std::io::IoSlice;
use std::task::Poll;
use std::time::Duration;

use crate::conformance::rule::{Breach, Rule};
use crate::conformance::wake::{Probe, complete, poll_again, works};
use crate::runtime::io::Io;

/// Reads once, into `buffer`.
pub(super) fn poll_read(io: &mut impl Io, probe: &Probe, buffer: &mut [u8]) -> Result<Poll<usize>, Breach> {
    let len = buffer.len();
    let Poll::Ready(read) = poll_again(|| io.poll_read(&mut probe.context(), buffer))? else {
        return Ok(Poll::Pending);
    };
    let n = works("`poll_read`", read)?;
    Rule::ReadCount.require(n <= len, format_args!("it returned {n} for a buffer of {len} bytes"))?;
    Ok(Poll::Ready(n))
}

/// Writes once.
pub(super) fn poll_write(
    io: &mut impl Io,
    probe: &Probe,
    slices: &[IoSlice<'_>],
) -> Result<Poll<usize>, Breach> {
    let len = slices.iter().map(|slice| slice.len()).sum();
    let Poll::Ready(written) = poll_again(|| io.poll_write(&mut probe.context(), slices))? else {
        return Ok(Poll::Pending);
    };
    let n = works("`poll_write`", written)?;
    Rule::WriteCount.require((1..=len).contains(&n), format_args!("it returned {n} for {len} bytes"))?;
    Ok(Poll::Ready(n))
}

/// Flushes once.
pub(super) fn poll_flush(io: &mut impl Io, probe: &Probe) -> Result<Poll<()>, Breach> {
    match poll_again(|| io.poll_flush(&mut probe.context()))? {
        Poll::Ready(flushed) => works("`poll_flush`", flushed).map(Poll::Ready),
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// Writes one byte and flushes.
pub(super) async fn send_byte(io: &mut impl Io, pass: &mut impl AsyncFnMut(Duration)) -> Result<(), Breach> {
    let write =
        complete(pass, Rule::WriteWakes, "`poll_write`", |cx| io.poll_write(cx, &[IoSlice::new(b"!")]));
    let n = works("`poll_write`", write.await?)?;
    Rule::WriteCount.require(n == 1, format_args!("it returned {n} for 1 byte"))?;
    let flush = complete(pass, Rule::WriteWakes, "`poll_flush`", |cx| io.poll_flush(cx));
    works("`poll_flush`", flush.await?)
}

/// Reads one byte. Reports a breach of `rule` if none arrives.
pub(super) async fn receive_byte(
    io: &mut impl Io,
    rule: Rule,
    pass: &mut impl AsyncFnMut(Duration),
) -> Result<(), Breach> {
    let mut byte = [0];
    let read = complete(pass, rule, "`poll_read`", |cx| io.poll_read(cx, &mut byte));
    let n = works("`poll_read`", read.await?)?;
    rule.require(n == 1, format_args!("`poll_read` returned {n} instead of a byte"))?;
    Rule::Bytes.require(&byte == b"!", "another byte arrived than was written")
}
