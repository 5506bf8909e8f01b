//! Constants that the loops around the core share: this crate's poll loop and the blocking loop of
//! `sockeye-std`.

use std::time::Duration;

/// The number of reads in a row after which the loop does something else: lets other tasks run,
/// or tries a blocked write again. At 64 KiB a read, that is a mebibyte.
pub const READS_IN_A_ROW: u8 = 16;

/// The maximum number of slices that one vectored write passes to the transport.
pub const WRITE_SLICES: usize = 16;

/// The time that a refused peer has to read the response before the transport is dropped.
pub const LINGER: Duration = Duration::from_secs(2);
