//! The bound on what a connection does before other tasks get a turn.
//!
//! A runtime cannot interrupt a task. So a task whose peer never pauses must yield itself: after a
//! number of messages, of bytes read and of bytes inflated, and, because only the clock knows what
//! the application does with a message, after some time. [`tuning`](crate::tuning) has the numbers.

use sockeye_core::Instant;

#[cfg(feature = "server")]
use crate::engine::decoder::DecodedForLater;
use crate::engine::decoder::Decoder;
use crate::tuning::{TURN_MESSAGES, TURN_TIME, TURN_WORK};

/// The cost of a message, in bytes: its share of a turn.
pub(crate) const MESSAGE: u32 = TURN_WORK / TURN_MESSAGES;

/// The cost of a frame that is not a message, such as a fragment.
pub(crate) const FRAME: u32 = MESSAGE / 8;

/// The work before the first look at the clock, and between two looks. Fewer messages than this
/// between two waits, as honest peers send them, never cost a look.
const FIRST_LOOK: u32 = 24 * MESSAGE;
const NEXT_LOOK: u32 = 16 * MESSAGE;

/// The work of a task since it last let others run.
///
/// It holds three numbers, so that an idle connection stays small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// The cost of the work, in bytes. The turn is over at [`TURN_WORK`].
    work: u32,
    /// The work at which the clock is read next. It is 0 while the application is slow: then the
    /// clock is read after each message.
    look_at: u32,
    /// The time of the first look at the clock, in microseconds; 0 before that.
    began: u32,
}

impl Default for Turn {
    fn default() -> Self {
        Turn { work: 0, look_at: FIRST_LOOK, began: 0 }
    }
}

impl Turn {
    /// Call before messages are decoded. Looks at the clock if the application has been slow.
    #[inline]
    pub(crate) fn begin(&mut self, now: impl FnOnce() -> Instant) {
        if self.look_at == 0 {
            self.look(now());
        }
    }

    /// Adds the cost of something that was done, and looks at the clock now and then. Returns true
    /// if the task must yield.
    #[inline]
    pub(crate) fn add(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        self.work = self.work.saturating_add(cost);
        self.work >= self.look_at && self.look(now())
    }

    /// Adds the cost of a message or a control frame of `len` bytes, like [`add`](Turn::add).
    #[inline]
    pub(crate) fn add_message(&mut self, len: usize, now: impl FnOnce() -> Instant) -> bool {
        self.add_bytes(MESSAGE, len, now)
    }

    /// Adds the cost of `len` bytes of a message that is not whole, like [`add`](Turn::add).
    #[inline]
    pub(crate) fn add_frame(&mut self, len: usize, now: impl FnOnce() -> Instant) -> bool {
        self.add_bytes(FRAME, len, now)
    }

    #[inline]
    fn add_bytes(&mut self, cost: u32, len: usize, now: impl FnOnce() -> Instant) -> bool {
        let work = u64::from(self.work) + u64::from(cost) + len as u64;
        self.work = work.min(u32::MAX.into()) as u32;
        self.work >= self.look_at && self.look(now())
    }

    /// Adds the cost of what the decoder has inflated since the previous call. Returns true if the
    /// task must yield.
    #[inline]
    pub(crate) fn add_inflated(&mut self, decoder: &mut Decoder, now: impl FnOnce() -> Instant) -> bool {
        if !decoder.inflates() {
            return self.is_over();
        }
        self.add(u32::try_from(decoder.take_inflated()).unwrap_or(u32::MAX), now)
    }

    /// Looks at the clock. Returns true if the task must yield.
    #[cold]
    #[inline(never)]
    fn look(&mut self, now: Instant) -> bool {
        let now = micros(now);
        if self.began == 0 {
            self.began = now;
        }
        if now.wrapping_sub(self.began) >= TURN_TIME.as_micros() as u32 {
            self.work = u32::MAX;
            self.look_at = 0;
        } else if self.is_over() {
            self.look_at = FIRST_LOOK;
        } else if self.look_at > 0 {
            self.look_at = self.work.saturating_add(NEXT_LOOK).min(TURN_WORK);
        }
        self.is_over()
    }

    /// Returns true if the task must yield.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.work >= TURN_WORK
    }

    /// Begins the next turn. Call when the task waits or yields.
    #[inline]
    pub(crate) fn restart(&mut self) {
        (self.work, self.began) = (0, 0);
        self.look_at = self.look_at.min(FIRST_LOOK);
    }
}

/// Returns the cost of a step of the decoder for a caller that keeps messages for later.
#[cfg(feature = "server")]
pub(crate) fn cost_for_later(decoded: &DecodedForLater<'_>, used: usize) -> u32 {
    let frame = if matches!(decoded, DecodedForLater::Incomplete) { FRAME } else { MESSAGE };
    frame.saturating_add(u32::try_from(used).unwrap_or(u32::MAX))
}

/// Returns an instant in microseconds, which wrap around. It is never 0.
fn micros(at: Instant) -> u32 {
    (at.as_nanos() / 1000) as u32 | 1
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_ends_after_its_messages_and_rarely_reads_the_clock() {
        let (mut turn, looks) = (Turn::default(), Cell::new(0));
        let now = || {
            looks.set(looks.get() + 1);
            Instant::EPOCH
        };
        for round in 1..=2 {
            for message in 1..=TURN_MESSAGES {
                turn.begin(|| unreachable!("the application is not slow"));
                let is_over = turn.add(MESSAGE, now);
                assert_eq!(is_over, message == TURN_MESSAGES, "message {message}");
                assert!(message >= 24 || looks.get() == (round - 1) * 16);
            }
            assert!(turn.is_over());
            // At the messages 24, 40 … 248, and the last one.
            assert_eq!(looks.get(), round * 16);
            turn.restart();
            assert!(!turn.is_over());
        }
    }

    #[test]
    fn a_turn_ends_after_its_time_and_the_next_one_looks_at_the_clock_at_once() {
        let (mut turn, time) = (Turn::default(), Cell::new(Instant::from_nanos(u64::MAX - 1_000_000_000)));
        let handle = |turn: &mut Turn, each: Duration| {
            let mut messages = 0;
            loop {
                turn.begin(|| time.get());
                if turn.is_over() {
                    break;
                }
                time.set(time.get() + each);
                turn.add(MESSAGE, || time.get());
                messages += 1;
            }
            turn.restart();
            messages
        };
        // 24 messages before the first look at the clock, and 16 more before the next.
        assert_eq!(handle(&mut turn, TURN_TIME), 40);
        assert_eq!(handle(&mut turn, TURN_TIME), 1);
        assert_eq!(handle(&mut turn, TURN_TIME / 4), 4);
        // A fast turn ends the watch.
        assert_eq!(handle(&mut turn, Duration::ZERO), TURN_MESSAGES);
        assert_eq!(handle(&mut turn, TURN_TIME), 40);
    }

    #[test]
    fn a_turn_ends_after_its_work_however_large_one_step_is() {
        let mut turn = Turn::default();
        turn.add(TURN_WORK - 1, || Instant::EPOCH);
        assert!(!turn.is_over());
        turn.add(1, || Instant::EPOCH);
        assert!(turn.is_over());
        turn.add(u32::MAX, || Instant::EPOCH);
        assert!(turn.is_over());
    }
}
