//! The rules, and the error that names the rule that was broken.

use std::fmt;

/// A rule of the contract of [`Io`](crate::Io) or [`Clock`](crate::Clock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// An operation on a working transport succeeds.
    Works,
    /// `poll_read` returns at most as many bytes as its buffer holds.
    ReadCount,
    /// `poll_write` returns at least one and at most as many bytes as its slices hold.
    WriteCount,
    /// Every byte arrives once, in the order of the slices.
    Bytes,
    /// A pending `poll_read` wakes its task when bytes arrive.
    ReadWakes,
    /// A pending `poll_read` wakes the waker of its latest poll.
    ReadWaker,
    /// A pending `poll_write`, `poll_flush` or `poll_close` wakes its task when the peer has read.
    WriteWakes,
    /// A pending `poll_write` wakes the waker of its latest poll.
    WriteWaker,
    /// Reading and writing keep a waker each.
    SeparateWakers,
    /// A pending operation does not wake its task again and again without progress.
    NoSpinning,
    /// Once `poll_flush` has returned `Ready`, the written bytes reach the peer without another
    /// call.
    Flush,
    /// `poll_close` sends what was written and then the end.
    Close,
    /// Reading remains possible after `poll_close`.
    HalfClose,
    /// `poll_read` returns zero when the peer has closed its side. If it was pending, it wakes its
    /// task.
    Eof,
    /// `poll_read` returns zero again after it has returned zero.
    EofStays,
    /// When the peer has gone, pending operations wake their task; reading ends and writing fails.
    PeerGone,
    /// `now` moves with time and never goes back.
    Now,
    /// All clocks of a runtime share an epoch.
    Epoch,
    /// `poll_until` is not `Ready` before `now` has reached the deadline.
    NotEarly,
    /// `poll_until` wakes its task at the deadline and is `Ready` then.
    Alarm,
    /// `poll_until` wakes the waker of its latest poll.
    AlarmWaker,
    /// Another deadline replaces the earlier one.
    Replace,
    /// A deadline that has passed is `Ready`, or wakes the task, at once.
    Passed,
    /// A timer that was cancelled or dropped does not wake its task.
    Cancel,
    /// `yield_now` wakes its task.
    YieldWakes,
    /// `yield_now` lets timers and sockets wake their tasks before it wakes its own.
    YieldRunsTimers,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Works => "an operation on a working transport must succeed",
            Rule::ReadCount => "`poll_read` must return at most as many bytes as its buffer holds",
            Rule::WriteCount => {
                "`poll_write` must return at least one and at most as many bytes as its slices hold"
            }
            Rule::Bytes => "every byte must arrive once, in the order of the slices",
            Rule::ReadWakes => "a pending `poll_read` must wake its task when bytes arrive",
            Rule::ReadWaker => "a pending `poll_read` must wake the waker of its latest poll",
            Rule::WriteWakes => {
                "a pending `poll_write` or `poll_flush` must wake its task when the peer has read"
            }
            Rule::WriteWaker => "a pending `poll_write` must wake the waker of its latest poll",
            Rule::SeparateWakers => "reading and writing must keep a waker each",
            Rule::NoSpinning => "a pending operation must not wake its task without end",
            Rule::Flush => {
                "once `poll_flush` is ready, the written bytes must reach the peer without another call"
            }
            Rule::Close => "`poll_close` must send what was written and then the end",
            Rule::HalfClose => "reading must remain possible after `poll_close`",
            Rule::Eof => "`poll_read` must return zero when the peer has closed its side, and wake for that",
            Rule::EofStays => "`poll_read` must return zero again after it has returned zero",
            Rule::PeerGone => {
                "when the peer has gone, pending operations must wake, reading must end and writing must fail"
            }
            Rule::Now => "`now` must move with time and never go back",
            Rule::Epoch => "all clocks of a runtime must share an epoch",
            Rule::NotEarly => "`poll_until` must not be ready before `now` has reached the deadline",
            Rule::Alarm => "`poll_until` must wake its task at the deadline and be ready then",
            Rule::AlarmWaker => "`poll_until` must wake the waker of its latest poll",
            Rule::Replace => "another deadline must replace the earlier one",
            Rule::Passed => "a deadline that has passed must be ready, or wake the task, at once",
            Rule::Cancel => "a timer that was cancelled or dropped must not wake",
            Rule::YieldWakes => "`yield_now` must wake its task",
            Rule::YieldRunsTimers => "`yield_now` must let timers that are due wake their tasks first",
        })
    }
}

impl Rule {
    /// Returns the error for a breach of this rule.
    pub(super) fn breach(self, found: impl fmt::Display) -> Breach {
        Breach { rule: self, found: found.to_string() }
    }

    /// Checks a condition of this rule.
    pub(super) fn require(self, holds: bool, found: impl fmt::Display) -> Result<(), Breach> {
        if holds { Ok(()) } else { Err(self.breach(found)) }
    }
}

/// A breach of the contract: the rule that was broken, and the observation of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    rule: Rule,
    found: String,
}

impl Breach {
    /// Returns the rule that is broken.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.found)
    }
}

impl std::error::Error for Breach {}
