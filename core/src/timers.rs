//! The deadlines of an open connection, and the round-trip time.

use core::time::Duration;

use crate::config::Config;
use crate::time::{Deadline, Instant};

/// An idle timeout is looked at this many times in its span.
const IDLE_CHECKS: u8 = 4;

/// Pings in closer succession would be a loop, and not leave time for anything else.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// Everything of a connection that has to do with time. Whatever happens between two looks at the clock is
/// noted in flags, and stamped at the next one, which is then due at once.
#[derive(Debug)]
pub(crate) struct Timers {
    idle_check: Deadline,
    ping: Deadline,
    pong: Deadline,
    close: Deadline,
    /// Bytes have come since the last idle check, or since the last ping of ours.
    seen_by_idle: bool,
    seen_by_ping: bool,
    /// Idle checks in a row that found nothing.
    quiet_checks: u8,
    next_ping: u32,
    outstanding_payload: u32,
    outstanding: Outstanding,
    /// When the outstanding ping was sent, once that is known.
    sent_at: Instant,
    /// Nanoseconds; `u64::MAX` before the first pong.
    round_trip: u64,
}

/// The ping that the round-trip time is taken of: the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outstanding {
    None,
    /// Sent, at a time not known yet.
    Unstamped,
    Sent,
    /// Answered, at a time not known yet.
    Answered,
}

/// What is to be done when the time has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping(u32),
    /// Nothing came for too long.
    Idle,
    /// A ping was not answered.
    Unanswered,
    /// The closing handshake, or the end of the transport behind it, took too long.
    CloseTimeout,
}

impl Timers {
    pub(crate) fn new(config: &Config) -> Self {
        let start_if = |set: bool| if set { Deadline::start() } else { Deadline::OFF };
        Timers {
            idle_check: start_if(config.idle_timeout.is_some()),
            ping: start_if(config.keepalive.is_some()),
            pong: Deadline::OFF,
            close: Deadline::OFF,
            // The connection counts as alive when it begins.
            seen_by_idle: true,
            seen_by_ping: true,
            quiet_checks: 0,
            next_ping: 0,
            outstanding_payload: 0,
            outstanding: Outstanding::None,
            sent_at: Instant::EPOCH,
            round_trip: u64::MAX,
        }
    }

    #[inline]
    pub(crate) fn received(&mut self) {
        self.seen_by_idle = true;
        self.seen_by_ping = true;
    }

    pub(crate) fn ping_sent(&mut self, payload: &[u8]) {
        self.outstanding = Outstanding::Unstamped;
        self.outstanding_payload = fingerprint(payload);
    }

    /// A ping that was sent without a look at the clock was sent now.
    pub(crate) fn stamp_ping(&mut self, now: Instant) {
        if self.outstanding == Outstanding::Unstamped {
            (self.outstanding, self.sent_at) = (Outstanding::Sent, now);
        }
    }

    pub(crate) fn pong_received(&mut self, payload: &[u8]) {
        if self.outstanding == Outstanding::Sent && self.outstanding_payload == fingerprint(payload) {
            self.outstanding = Outstanding::Answered;
        }
    }

    /// Switches the idle timeout off for this connection, or on again from now on.
    pub(crate) fn set_protected(&mut self, protected: bool, config: &Config) {
        self.idle_check = match config.idle_timeout {
            Some(_) if !protected && !self.close.is_set() => Deadline::start(),
            _ => Deadline::OFF,
        };
        (self.seen_by_idle, self.quiet_checks) = (true, 0);
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip != u64::MAX).then_some(Duration::from_nanos(self.round_trip))
    }

    /// From now on only the end counts.
    pub(crate) fn start_closing(&mut self) {
        self.idle_check = Deadline::OFF;
        self.ping = Deadline::OFF;
        self.pong = Deadline::OFF;
        if !self.close.is_set() {
            self.close = Deadline::start();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.start_closing();
        self.close = Deadline::OFF;
        self.outstanding = Outstanding::None;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.outstanding, Outstanding::Unstamped | Outstanding::Answered) {
            return Some(Instant::EPOCH);
        }
        [self.idle_check, self.ping, self.pong, self.close].into_iter().filter_map(Deadline::poll).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, config: &Config) -> Due {
        match self.outstanding {
            Outstanding::Unstamped => self.stamp_ping(now),
            Outstanding::Answered => {
                self.round_trip = now.as_nanos().saturating_sub(self.sent_at.as_nanos());
                self.outstanding = Outstanding::None;
            }
            _ => {}
        }
        if self.close.handle(now, config.close_timeout) {
            return Due::CloseTimeout;
        }
        if config.idle_timeout.is_some_and(|timeout| self.is_idle(now, timeout)) {
            return Due::Idle;
        }
        match config.keepalive {
            Some(keepalive) => self.keep_alive(now, keepalive.interval, keepalive.timeout),
            None => Due::Nothing,
        }
    }

    fn is_idle(&mut self, now: Instant, timeout: Duration) -> bool {
        // Rounding may cost it three nanoseconds.
        let step = (timeout / u32::from(IDLE_CHECKS)).max(Duration::from_nanos(1));
        if !self.idle_check.handle(now, step) {
            return false;
        }
        self.idle_check = Deadline::at(now + step);
        self.quiet_checks =
            if core::mem::take(&mut self.seen_by_idle) { 0 } else { self.quiet_checks.saturating_add(1) };
        self.quiet_checks >= IDLE_CHECKS
    }

    fn keep_alive(&mut self, now: Instant, interval: Duration, timeout: Duration) -> Due {
        if self.pong.is_set() && (self.seen_by_ping || self.pong.handle(now, timeout)) {
            if !self.seen_by_ping {
                return Due::Unanswered;
            }
            self.pong = Deadline::OFF;
        }
        let interval = interval.max(LEAST_INTERVAL);
        if !self.ping.handle(now, interval) {
            return Due::Nothing;
        }
        self.ping = Deadline::at(now + interval);
        if self.pong.is_set() {
            // The last ping still has time; another would tell nothing more.
            return Due::Nothing;
        }
        self.seen_by_ping = false;
        self.pong = Deadline::at(now + timeout);
        self.next_ping = self.next_ping.wrapping_add(1);
        Due::Ping(self.next_ping)
    }
}

/// FNV-1a: enough to tell the answer to the latest ping from one to an earlier.
fn fingerprint(payload: &[u8]) -> u32 {
    payload.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
