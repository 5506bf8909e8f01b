use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};

/// When operations return `Pending` although they could finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pending {
    /// Never.
    #[default]
    Never,
    /// The first poll of every operation is pending and wakes the task at once.
    First,
    /// The first poll of every operation is pending and wakes the task when no other task can run,
    /// unless the operation is polled again before. A timer behaves like this.
    UntilIdle,
}

/// The failure of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fail {
    /// The peer vanishes: reads reach the end, and written bytes are lost.
    Eof,
    /// Operations return this error.
    Error(ErrorKind),
}

/// The misbehaviour of a transport. With the default, it behaves well.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// When operations return `Pending` although they could finish.
    pub pending: Pending,
    /// The maximum number of bytes of one read or write.
    pub chunk: usize,
    /// Whether every operation is interrupted first.
    pub interrupted: bool,
    /// The number of the first operation that fails, and how it and all later ones fail.
    pub fail: Option<(usize, Fail)>,
    /// Whether one write takes more than one slice.
    pub vectored: bool,
    /// The size of the buffer that holds written bytes until they are flushed; 0 for no buffer.
    pub buffer: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            pending: Pending::Never,
            chunk: usize::MAX,
            interrupted: false,
            fail: None,
            vectored: true,
            buffer: 0,
        }
    }
}

/// The record of what one end of a pipe has done.
#[derive(Debug, Default)]
pub struct Stats {
    /// The number of operations, except those that were made pending or interrupted.
    pub ops: usize,
    /// The number of reads.
    pub reads: usize,
    /// The number of reads that returned the end of the input.
    pub(super) ends: usize,
    /// The number of writes that took bytes.
    pub writes: usize,
    /// Whether the end was closed.
    pub closed: bool,
    /// Whether an operation failed, as set in [`Faults::fail`].
    pub failed: bool,
    /// Every byte written.
    pub log: Vec<u8>,
    /// The id of the idle wake, for each operation that was made pending.
    pub(super) made_pending: [Option<usize>; 4],
    pub(super) interrupted: [bool; 4],
    pub(super) buffer: Vec<u8>,
}

/// An observer of one end of a pipe.
#[derive(Debug, Clone)]
pub struct Probe(pub(super) Arc<Mutex<Stats>>);

impl Probe {
    /// Returns the record. The pipe is locked while the guard lives.
    pub fn get(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap()
    }
}
