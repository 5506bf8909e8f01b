//! The transfer of many bytes in both directions.

use std::io::IoSlice;
use std::task::Poll;
use std::time::Duration;

use crate::conformance::polls::{poll_flush, poll_read, poll_write};
use crate::conformance::rule::{Breach, Rule};
use crate::conformance::wake::{PATIENCE, Probe, TURN};
use crate::runtime::io::Io;
use crate::tuning::WRITE_SLICES;

/// The number of bytes sent in each direction.
const TRANSFER: usize = 20_000;

/// Checks that many bytes arrive intact in both directions, with writes of many slices and reads of
/// all sizes.
pub(super) async fn transfer<P: AsyncFnMut(Duration)>(
    (mut io, mut peer): (impl Io, impl Io),
    pass: &mut P,
) -> Result<(), Breach> {
    send_all(&mut io, &mut peer, Rule::Bytes, pass).await?;
    send_all(&mut peer, &mut io, Rule::ReadWakes, pass).await
}

/// Transfers all bytes in one direction. `undelivered` is the rule that is broken if the last bytes
/// do not arrive.
async fn send_all<P: AsyncFnMut(Duration)>(
    from: &mut impl Io,
    to: &mut impl Io,
    undelivered: Rule,
    pass: &mut P,
) -> Result<(), Breach> {
    let bytes: Vec<u8> = (0..TRANSFER).map(byte_at).collect();
    let (mut written, mut flushed, mut read) = (0, false, 0);
    let (writer, reader) = (Probe::new(), Probe::new());
    let (mut writes, mut reads) = (true, true);
    let mut idle = 0;
    while read < TRANSFER || !flushed {
        let mut progress = false;
        if writes && !flushed {
            writes = if written < TRANSFER {
                let polled = poll_write(from, &writer, &cut(&bytes[written..]))?;
                polled.map(|n| written += n).is_ready()
            } else {
                flushed = poll_flush(from, &writer)?.is_ready();
                flushed
            };
            progress |= writes;
        }
        if reads {
            let mut buffer = [0; 5000];
            let size = [1, 5000, 2, 600][read % 4];
            match poll_read(to, &reader, &mut buffer[..size])? {
                Poll::Ready(0) => {
                    return Err(Rule::Eof.breach("`poll_read` returned zero, but the peer is open"));
                }
                Poll::Ready(n) => {
                    let is_same = bytes.get(read..read + n) == Some(&buffer[..n]);
                    Rule::Bytes
                        .require(is_same, format_args!("byte {read} or one of the next {n} differs"))?;
                    read += n;
                    progress = true;
                }
                Poll::Pending => reads = false,
            }
        }
        writes |= writer.take_wake();
        reads |= reader.take_wake();
        idle = if progress { 0 } else { idle + 1 };
        if idle > PATIENCE {
            // Nothing woke either end. Find out which of them should have been woken.
            if poll_read(to, &Probe::new(), &mut [0])?.is_ready() {
                return Err(Rule::ReadWakes.breach("bytes have arrived, but nothing woke the reader"));
            }
            if !flushed && read == written {
                return Err(Rule::WriteWakes.breach("all bytes were read, but nothing woke the writer"));
            }
            return Err(undelivered.breach(format_args!("{written} bytes were written, {read} arrived")));
        }
        // An end may wake its task without progress. Let time pass even then.
        if !progress && (!(writes || reads) || idle % 8 == 0) {
            pass(TURN).await;
        }
    }
    Ok(())
}

/// Cuts bytes into as many slices as one write may have, of different lengths.
fn cut(bytes: &[u8]) -> Vec<IoSlice<'_>> {
    let mut rest = bytes;
    let lens = [3, 1, 700, 2, 90, 4000, 5].into_iter().cycle().take(WRITE_SLICES);
    lens.map_while(|len| {
        let (slice, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        (!slice.is_empty()).then(|| IoSlice::new(slice))
    })
    .collect()
}

/// Returns the byte at `place` in a transfer. Neighbouring bytes differ, and the sequence does not
/// repeat soon.
fn byte_at(place: usize) -> u8 {
    (place ^ place >> 8 ^ place >> 16).wrapping_mul(167) as u8
}
