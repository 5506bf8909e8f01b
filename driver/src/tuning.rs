//! Constants that the loops around the core share: this crate's poll loop and the blocking loop of
//! `sockeye-std`.

use std::time::Duration;

/// The number of reads after which the blocking loop tries a blocked write again. At 64 KiB a read,
/// that is a mebibyte.
pub const READS_IN_A_ROW: u8 = 16;

/// The number of messages after which a connection of an async runtime yields, although its peer
/// has sent more. They take some 20 to 50 microseconds, of which a yield is a fiftieth.
pub const TURN_MESSAGES: u32 = 256;

/// The number of bytes that a connection of an async runtime reads, or inflates, before it yields.
/// Inflating them takes a tenth to half a millisecond, reading them less. A message counts as its
/// share of this, so that a mix of all three is bounded too.
pub const TURN_WORK: u32 = 256 << 10;

/// A read counts as at least this many bytes, because each is a system call.
pub const TURN_READ: u32 = 16 << 10;

/// The time after which a connection of an async runtime yields, if the application takes long with
/// its messages. With eight busy connections on one thread, a timer is then late by 3 to
/// 10 ms.
///
/// The clock is read after the 24th message and then after every 16th, or after each one if the
/// application has been slow.
pub const TURN_TIME: Duration = Duration::from_micros(500);

/// The maximum number of slices that one vectored write passes to the transport.
pub const WRITE_SLICES: usize = 16;

/// The time that a refused peer has to read the response before the transport is dropped.
pub const LINGER: Duration = Duration::from_secs(2);
