//! The deadlines of an open connection, and the round-trip time.

use core::time::Duration;

use crate::config::Config;
use crate::receiver::Progress;
use crate::time::{Deadline, Instant};

/// The number of checks for traffic within an idle timeout.
const IDLE_CHECKS: u8 = 4;

/// The shortest ping interval. With a shorter one, the caller would do nothing but send pings.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(1);

/// The timers of a connection.
///
/// An event does not read a clock: it sets a flag, and the connection asks for the time at once.
/// The next [`handle_timeout`](Timers::handle_timeout) notes the time of the event.
#[derive(Debug)]
pub(crate) struct Timers {
    idle_check: Deadline,
    ping: Deadline,
    pong: Deadline,
    /// While the connection is open, the deadline of the message that has begun. Then the close
    /// timeout.
    message_or_close: Deadline,
    /// The progress at which the deadline of the message was set, see [`Progress::mark`].
    message_mark: u16,
    active_since_idle_check: bool,
    alive_since_ping: bool,
    backlog: Backlog,
    /// The number of idle checks in a row that found no traffic.
    quiet_checks: u8,
    next_ping: u32,
    outstanding_payload: u32,
    outstanding: Outstanding,
    lingering: Lingering,
    /// The time at which the outstanding ping was sent, unless it is unstamped.
    sent_at: Instant,
    /// In nanoseconds; `u64::MAX` before the first pong.
    round_trip: u64,
}

/// The state of the latest ping, which measures the round-trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outstanding {
    None,
    /// The ping was sent, at a time not known yet.
    Unstamped,
    Sent,
    /// The pong arrived, at a time not known yet.
    Answered,
}

/// Whether queued bytes wait for the transport.
///
/// A transport takes bytes into its own buffers even if the peer is dead. But once these are full,
/// it takes more only when the peer has taken some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// No: the transport has taken every byte that it was offered.
    None,
    /// The transport has left some bytes in the queue, at a time not known yet. It may be about to
    /// take them.
    Left,
    /// Time has passed since the transport left bytes in the queue. If it takes them now, the peer
    /// has made room.
    Waiting,
}

/// Whether the connection is closing, and whether only the end of the input is left to wait for,
/// which shortens the close timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lingering {
    /// The connection is open.
    Open,
    /// It is closing.
    No,
    /// Only that is left, since a time not known yet.
    Unstamped,
    Since,
}

/// The action that a deadline requires.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Send a keepalive ping with this number.
    Ping(u32),
    /// Close the connection: no bytes moved in either direction within the idle timeout.
    Idle,
    /// Fail the connection: the peer has not shown that it is alive after a ping.
    Unanswered,
    /// Fail the connection: a message took too long to arrive.
    SlowMessage,
    /// End the connection: the closing handshake, or the end of the transport after it, took too
    /// long.
    CloseTimeout,
}

impl Timers {
    pub(crate) fn new(config: &Config) -> Self {
        let start_if = |set: bool| if set { Deadline::start() } else { Deadline::OFF };
        Timers {
            idle_check: start_if(config.idle_timeout.is_some()),
            ping: start_if(config.keepalive.is_some()),
            pong: Deadline::OFF,
            message_or_close: Deadline::OFF,
            message_mark: 0,
            // The peer has just completed the opening handshake, so it is alive.
            active_since_idle_check: true,
            alive_since_ping: true,
            backlog: Backlog::None,
            quiet_checks: 0,
            next_ping: 0,
            outstanding_payload: 0,
            outstanding: Outstanding::None,
            lingering: Lingering::Open,
            sent_at: Instant::EPOCH,
            round_trip: u64::MAX,
        }
    }

    #[inline]
    pub(crate) fn handle_received(&mut self) {
        self.active_since_idle_check = true;
        self.alive_since_ping = true;
    }

    /// Records that the transport has taken queued bytes: all of them if `is_drained`.
    #[inline]
    pub(crate) fn handle_transmitted(&mut self, is_drained: bool) {
        self.active_since_idle_check = true;
        if self.backlog == Backlog::Waiting {
            self.alive_since_ping = true;
        }
        self.backlog = if is_drained { Backlog::None } else { Backlog::Left };
    }

    /// Records how far the message has come that is being received, or that none is.
    #[inline]
    pub(crate) fn handle_progress(&mut self, progress: Option<Progress>, config: &Config) {
        match progress {
            None if self.lingering == Lingering::Open => self.message_or_close = Deadline::OFF,
            None => {}
            Some(progress) => self.handle_unfinished(progress, config),
        }
    }

    #[cold]
    fn handle_unfinished(&mut self, progress: Progress, config: &Config) {
        let (Some(timeout), Lingering::Open) = (config.message_timeout, self.lingering) else { return };
        let mark = progress.mark(config.demanded_bytes(timeout));
        if !self.message_or_close.is_set() || mark != self.message_mark {
            (self.message_or_close, self.message_mark) = (Deadline::start(), mark);
        }
    }

    pub(crate) fn ping_sent(&mut self, payload: &[u8]) {
        self.outstanding = Outstanding::Unstamped;
        self.outstanding_payload = fingerprint(payload);
    }

    /// Sets the time of the latest ping if it has none yet.
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

    /// Turns the idle timeout off if `protected`, otherwise on again. Time before the call does not
    /// count as idle.
    pub(crate) fn set_protected(&mut self, protected: bool, config: &Config) {
        self.idle_check = match config.idle_timeout {
            Some(_) if !protected && self.lingering == Lingering::Open => Deadline::start(),
            _ => Deadline::OFF,
        };
        (self.active_since_idle_check, self.quiet_checks) = (true, 0);
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip != u64::MAX).then_some(Duration::from_nanos(self.round_trip))
    }

    /// Turns off every timer except the close timeout, which starts unless it is running.
    pub(crate) fn start_closing(&mut self) {
        self.idle_check = Deadline::OFF;
        self.ping = Deadline::OFF;
        self.pong = Deadline::OFF;
        if self.lingering == Lingering::Open {
            self.lingering = Lingering::No;
            self.message_or_close = Deadline::start();
        }
    }

    /// Starts the close timeout again, for the part of the closing handshake that begins now.
    pub(crate) fn restart_close_timeout(&mut self) {
        self.message_or_close = Deadline::start();
    }

    /// Shortens the close timeout, because only the end of the input is left to wait for. The next
    /// [`handle_timeout`](Timers::handle_timeout) passes the length.
    pub(crate) fn start_lingering(&mut self) {
        if self.lingering == Lingering::No {
            self.lingering = Lingering::Unstamped;
        }
    }

    pub(crate) fn stop(&mut self) {
        self.start_closing();
        self.message_or_close = Deadline::OFF;
        (self.outstanding, self.lingering) = (Outstanding::None, Lingering::Since);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.outstanding, Outstanding::Unstamped | Outstanding::Answered)
            || self.lingering == Lingering::Unstamped
        {
            return Some(Instant::EPOCH);
        }
        if self.backlog == Backlog::Left && self.pong.is_set() && !self.alive_since_ping {
            return Some(Instant::EPOCH);
        }
        let deadlines = [self.idle_check, self.ping, self.pong, self.message_or_close];
        deadlines.into_iter().filter_map(Deadline::poll).min()
    }

    /// `linger` limits the time for which the connection waits for the end of the input, once only
    /// that is left.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        config: &Config,
        close_timeout: Duration,
        linger: Option<Duration>,
    ) -> Due {
        match self.outstanding {
            Outstanding::Unstamped => self.stamp_ping(now),
            Outstanding::Answered => {
                self.round_trip = now.as_nanos().saturating_sub(self.sent_at.as_nanos());
                self.outstanding = Outstanding::None;
            }
            _ => {}
        }
        if self.backlog == Backlog::Left {
            self.backlog = Backlog::Waiting;
        }
        if self.lingering == Lingering::Open {
            return self.handle_open_timeout(now, config);
        }
        let mut is_late = self.message_or_close.handle(now, close_timeout);
        if self.lingering == Lingering::Unstamped {
            self.lingering = Lingering::Since;
            if let Some(linger) = linger {
                self.message_or_close.shorten(now + linger);
                is_late |= self.message_or_close.handle(now, close_timeout);
            }
        }
        if is_late { Due::CloseTimeout } else { Due::Nothing }
    }

    fn handle_open_timeout(&mut self, now: Instant, config: &Config) -> Due {
        if config.message_timeout.is_some_and(|timeout| self.message_or_close.handle(now, timeout)) {
            return Due::SlowMessage;
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
        // The division may round down by three nanoseconds, but not to zero.
        let step = (timeout / u32::from(IDLE_CHECKS)).max(Duration::from_nanos(1));
        if !self.idle_check.handle(now, step) {
            return false;
        }
        self.idle_check = Deadline::at(now + step);
        let active = core::mem::take(&mut self.active_since_idle_check);
        self.quiet_checks = if active { 0 } else { self.quiet_checks.saturating_add(1) };
        self.quiet_checks >= IDLE_CHECKS
    }

    fn keep_alive(&mut self, now: Instant, interval: Duration, timeout: Duration) -> Due {
        if self.pong.is_set() && (self.alive_since_ping || self.pong.handle(now, timeout)) {
            if !self.alive_since_ping {
                return Due::Unanswered;
            }
            self.pong = Deadline::OFF;
        }
        let interval = interval.max(MIN_PING_INTERVAL);
        if !self.ping.handle(now, interval) {
            return Due::Nothing;
        }
        self.ping = Deadline::at(now + interval);
        if self.pong.is_set() {
            // The peer can still answer the last ping in time. Another ping would show nothing new.
            return Due::Nothing;
        }
        self.alive_since_ping = false;
        self.pong = Deadline::at(now + timeout);
        self.next_ping = self.next_ping.wrapping_add(1);
        Due::Ping(self.next_ping)
    }
}

/// Hashes a payload with FNV-1a. The hash only distinguishes the pong of the latest ping from the
/// pongs of earlier ones.
fn fingerprint(payload: &[u8]) -> u32 {
    payload.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
