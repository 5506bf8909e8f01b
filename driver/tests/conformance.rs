//! The checks for adapters: they accept the transports and clocks of the tests, and find each
//! breach of the contract.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use sockeye_core::{Config, Connection, Instant, Opcode};
use sockeye_driver::conformance::{Breach, Rule, check_clock, check_io};
use sockeye_driver::{Clock, Io, WebSocket};
use sockeye_testkit::frames::server_frame;
use sockeye_testkit::sim::*;

async fn sleep(time: &Time, duration: Duration) {
    let (mut clock, deadline) = (time.clock(), time.now() + duration);
    poll_fn(|cx| clock.poll_until(cx, deadline)).await;
}

/// Checks the first end of each pair that `connect` returns, in virtual time.
fn check_pairs<I: Io + 'static, P: Io + 'static>(
    mut connect: impl FnMut() -> (I, P) + 'static,
) -> Result<(), Breach> {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let checked = executor.spawn("the check", async move {
        check_io(async || connect(), async |duration| sleep(&time, duration).await).await
    });
    executor.run_with_time();
    checked.take()
}

fn check_clocks<C: Clock + 'static>(mut clock: impl FnMut(&Time) -> C + 'static) -> Result<(), Breach> {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let checked = executor.spawn("the check", async move {
        check_clock(|| clock(&time), async |duration| sleep(&time, duration).await).await
    });
    executor.run_with_time();
    checked.take()
}

#[test]
fn the_transport_of_the_tests_keeps_the_contract_whatever_its_faults() {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    for (capacity, faults) in [
        (1 << 30, Faults::default()),
        (1000, Faults::default()),
        (1, Faults::default()),
        (1, first),
        (1000, Faults { interrupted: true, vectored: false, ..first }),
        (7, Faults { pending: Pending::UntilIdle, chunk: 3, ..first }),
        (100, Faults { buffer: 10, ..first }),
        (1000, Faults { buffer: 100, ..Faults::default() }),
    ] {
        check_pairs(move || pipe_with(capacity, faults))
            .unwrap_or_else(|breach| panic!("{faults:?}: {breach}"));
    }
}

#[test]
fn a_transport_and_a_clock_keep_the_contract_through_a_pointer() {
    check_pairs(|| {
        let (near, far) = pipe(1000);
        (Box::new(near) as Box<dyn Io>, Box::new(far))
    })
    .unwrap();
    check_pairs(|| {
        let (near, far) = pipe(1000);
        (Box::leak(Box::new(near)), far)
    })
    .unwrap();
    check_clocks(|time| Box::new(time.clock()) as Box<dyn Clock>).unwrap();
}

#[test]
fn a_connection_may_borrow_its_transport_and_its_clock() {
    let mut executor = Executor::new();
    let ((mut near, far), time) = (pipe(1000), executor.time.clone());
    executor.spawn("server", async move {
        let mut clock = time.clock();
        let connection = Connection::server(Arc::new(Config::new()));
        let mut ws = WebSocket::new(connection, &[], &mut near, &mut clock);
        ws.send("borrowed").await.unwrap();
        drop(ws);
        near.push(b"after");
        assert_eq!(clock.now(), Instant::EPOCH);
    });
    executor.run();
    assert_eq!(far.take_all(), [server_frame(Opcode::Text, b"borrowed"), b"after".to_vec()].concat());
}

#[test]
fn the_clock_of_the_tests_keeps_the_contract_also_if_it_is_late() {
    check_clocks(Time::clock).unwrap();
    check_clocks(|time| time.clock_with(Alarm::Late(Duration::from_millis(50)))).unwrap();
}

/// The defect of a broken transport.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bug {
    NeverWakesReader,
    NeverWakesWriter,
    KeepsFirstReader,
    KeepsFirstWriter,
    KeepsOneWaker,
    Spins,
    ReadsTooMany,
    WritesNone,
    WritesTooMany,
    WritesFirstSliceOnly,
    WritesSlicesBackwards,
    WritesTwice,
    DoesNotFlush,
    CloseDropsBuffer,
    CloseDoesNothing,
    CloseEndsReading,
    HidesEof,
    HidesEofFromWaker,
    ReportsEofOnce,
    HidesBrokenPipe,
    FailsToFlush,
    IsAlwaysInterrupted,
}

/// A waker that wakes another one, which can be replaced.
struct Slot(Mutex<Waker>);

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().unwrap().clone();
        waker.wake();
    }
}

struct Broken {
    pipe: Pipe,
    bug: Bug,
    buffer: Vec<u8>,
    first: Option<Waker>,
    slot: Arc<Slot>,
    closed: bool,
    ended: bool,
}

impl Broken {
    fn pair(bug: Bug) -> (Broken, Pipe) {
        let (pipe, peer) = pipe(1000);
        let slot = Arc::new(Slot(Mutex::new(Waker::noop().clone())));
        (Broken { pipe, bug, buffer: Vec::new(), first: None, slot, closed: false, ended: false }, peer)
    }

    /// Returns the waker that the broken transport keeps for an operation.
    fn waker(&mut self, cx: &Context<'_>, never: Bug, first: Bug) -> Waker {
        if self.bug == never {
            return Waker::noop().clone();
        }
        if self.bug == first {
            return self.first.get_or_insert_with(|| cx.waker().clone()).clone();
        }
        if self.bug == Bug::KeepsOneWaker {
            *self.slot.0.lock().unwrap() = cx.waker().clone();
            return Waker::from(self.slot.clone());
        }
        cx.waker().clone()
    }

    fn poll_buffer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let n = ready!(self.pipe.poll_write(cx, &[IoSlice::new(&self.buffer)]))?;
            self.buffer.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl Io for Broken {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.bug == Bug::CloseEndsReading && self.closed {
            return Poll::Ready(Ok(0));
        }
        if self.bug == Bug::ReportsEofOnce && self.ended {
            return Poll::Pending;
        }
        let waker = self.waker(cx, Bug::NeverWakesReader, Bug::KeepsFirstReader);
        let polled = self.pipe.poll_read(&mut Context::from_waker(&waker), buffer);
        match (self.bug, polled) {
            (Bug::Spins, Poll::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (Bug::ReadsTooMany, Poll::Ready(Ok(_))) => Poll::Ready(Ok(buffer.len() + 1)),
            (Bug::HidesEof, Poll::Ready(Ok(0))) => Poll::Pending,
            (Bug::HidesEofFromWaker, Poll::Ready(Ok(0))) if !std::mem::replace(&mut self.ended, true) => {
                Poll::Pending
            }
            (bug, polled) => {
                if polled.is_ready() && bug == Bug::KeepsFirstReader {
                    self.first = None;
                }
                self.ended |= matches!(polled, Poll::Ready(Ok(0)));
                polled
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let waker = self.waker(cx, Bug::NeverWakesWriter, Bug::KeepsFirstWriter);
        let cx = &mut Context::from_waker(&waker);
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
        match self.bug {
            Bug::WritesNone => return Poll::Ready(Ok(0)),
            Bug::WritesTooMany => return self.pipe.poll_write(cx, slices).map_ok(|_| total + 1),
            Bug::WritesFirstSliceOnly => {
                return self
                    .pipe
                    .poll_write(cx, &slices[..1])
                    .map_ok(|n| if n == slices[0].len() { total } else { n });
            }
            Bug::WritesSlicesBackwards => {
                let backwards: Vec<_> = slices.iter().rev().map(|slice| IoSlice::new(slice)).collect();
                return self.pipe.poll_write(cx, &backwards);
            }
            Bug::WritesTwice => return self.pipe.poll_write(cx, slices).map_ok(|n| n.div_ceil(2)),
            Bug::DoesNotFlush | Bug::CloseDropsBuffer => {
                if self.buffer.len() > 100 {
                    ready!(self.poll_buffer(cx))?;
                }
                self.buffer.extend_from_slice(&slices[0]);
                return Poll::Ready(Ok(slices[0].len()));
            }
            Bug::IsAlwaysInterrupted => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            _ => {}
        }
        let polled = self.pipe.poll_write(cx, slices);
        match (self.bug, polled) {
            (Bug::HidesBrokenPipe, Poll::Ready(Err(_))) => Poll::Ready(Ok(total)),
            (bug, polled) => {
                if polled.is_ready() && bug == Bug::KeepsFirstWriter {
                    self.first = None;
                }
                polled
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.bug {
            Bug::DoesNotFlush => Poll::Ready(Ok(())),
            Bug::FailsToFlush => Poll::Ready(Err(ErrorKind::Other.into())),
            _ => self.poll_buffer(cx),
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        if self.bug == Bug::CloseDoesNothing {
            return Poll::Ready(Ok(()));
        }
        if self.bug != Bug::CloseDropsBuffer {
            ready!(self.poll_buffer(cx))?;
        }
        self.pipe.poll_close(cx)
    }
}

#[test]
fn each_breach_of_the_contract_of_a_transport_is_found() {
    for (bug, rule) in [
        (Bug::NeverWakesReader, Rule::ReadWakes),
        (Bug::NeverWakesWriter, Rule::WriteWakes),
        (Bug::KeepsFirstReader, Rule::ReadWaker),
        (Bug::KeepsFirstWriter, Rule::WriteWaker),
        (Bug::KeepsOneWaker, Rule::SeparateWakers),
        (Bug::Spins, Rule::NoSpinning),
        (Bug::ReadsTooMany, Rule::ReadCount),
        (Bug::WritesNone, Rule::WriteCount),
        (Bug::WritesTooMany, Rule::WriteCount),
        (Bug::WritesFirstSliceOnly, Rule::Bytes),
        (Bug::WritesSlicesBackwards, Rule::Bytes),
        (Bug::WritesTwice, Rule::Bytes),
        (Bug::DoesNotFlush, Rule::Flush),
        (Bug::CloseDropsBuffer, Rule::Close),
        (Bug::CloseDoesNothing, Rule::Close),
        (Bug::CloseEndsReading, Rule::HalfClose),
        (Bug::HidesEof, Rule::Eof),
        (Bug::HidesEofFromWaker, Rule::Eof),
        (Bug::ReportsEofOnce, Rule::EofStays),
        (Bug::HidesBrokenPipe, Rule::PeerGone),
        (Bug::FailsToFlush, Rule::Works),
        (Bug::IsAlwaysInterrupted, Rule::Works),
    ] {
        let checked = check_pairs(move || Broken::pair(bug)).map_err(|breach| breach.rule());
        assert_eq!(checked, Err(rule), "{bug:?}");
    }
}

/// The defect of a broken clock.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ClockBug {
    Stands,
    GoesBack,
    HasItsOwnEpoch,
    IsEarly,
    NeverWakes,
    IgnoresPassedDeadlines,
    KeepsFirstWaker,
    KeepsFirstDeadline,
    CannotCancel,
    OutlivesItsDrop,
    Spins,
    LosesYields,
}

struct BrokenClock {
    clock: Option<TestClock>,
    bug: ClockBug,
    reads: Cell<u64>,
    epoch: Duration,
    set: Option<(Instant, Waker)>,
}

impl Clock for BrokenClock {
    fn now(&self) -> Instant {
        let now = self.clock.as_ref().unwrap().now();
        self.reads.set(self.reads.get() + 1);
        match self.bug {
            ClockBug::Stands => Instant::from_nanos(7),
            ClockBug::GoesBack => Instant::from_nanos(u64::MAX - now.as_nanos() - self.reads.get()),
            _ => now + self.epoch,
        }
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let has_passed = deadline <= self.now() && self.set.is_none();
        let (mut until, mut waker) = (deadline, cx.waker().clone());
        let (first, first_waker) = self.set.get_or_insert((deadline, waker.clone()));
        match self.bug {
            ClockBug::IsEarly => return Poll::Ready(()),
            ClockBug::NeverWakes => waker = Waker::noop().clone(),
            ClockBug::IgnoresPassedDeadlines if has_passed => return Poll::Pending,
            ClockBug::KeepsFirstWaker if *first == deadline => waker = first_waker.clone(),
            ClockBug::KeepsFirstDeadline => until = *first,
            ClockBug::Spins => waker.wake_by_ref(),
            _ => {}
        }
        let polled = self.clock.as_mut().unwrap().poll_until(&mut Context::from_waker(&waker), until);
        if polled.is_ready() {
            self.set = None;
        } else if self.bug != ClockBug::KeepsFirstDeadline && *first != deadline {
            self.set = Some((deadline, cx.waker().clone()));
        }
        polled
    }

    fn cancel(&mut self) {
        self.set = None;
        if self.bug != ClockBug::CannotCancel {
            self.clock.as_mut().unwrap().cancel();
        }
    }

    fn yield_now(&mut self, cx: &mut Context<'_>) {
        if self.bug != ClockBug::LosesYields {
            cx.waker().wake_by_ref();
        }
    }
}

impl Drop for BrokenClock {
    fn drop(&mut self) {
        if self.bug == ClockBug::OutlivesItsDrop {
            std::mem::forget(self.clock.take());
        }
    }
}

#[test]
fn each_breach_of_the_contract_of_a_clock_is_found() {
    for (bug, rule) in [
        (ClockBug::Stands, Rule::Now),
        (ClockBug::GoesBack, Rule::Now),
        (ClockBug::HasItsOwnEpoch, Rule::Epoch),
        (ClockBug::IsEarly, Rule::NotEarly),
        (ClockBug::NeverWakes, Rule::Alarm),
        (ClockBug::IgnoresPassedDeadlines, Rule::Passed),
        (ClockBug::KeepsFirstWaker, Rule::AlarmWaker),
        (ClockBug::KeepsFirstDeadline, Rule::Replace),
        (ClockBug::CannotCancel, Rule::Cancel),
        (ClockBug::OutlivesItsDrop, Rule::Cancel),
        (ClockBug::Spins, Rule::NoSpinning),
        (ClockBug::LosesYields, Rule::YieldWakes),
    ] {
        let mut epoch = Duration::ZERO;
        let checked = check_clocks(move |time| {
            if bug == ClockBug::HasItsOwnEpoch {
                epoch += Duration::from_secs(5);
            }
            BrokenClock { clock: Some(time.clock()), bug, reads: Cell::default(), epoch, set: None }
        });
        assert_eq!(checked.map_err(|breach| breach.rule()), Err(rule), "{bug:?}");
    }
    let never = check_clocks(|time| time.clock_with(Alarm::Never)).map_err(|breach| breach.rule());
    assert_eq!(never, Err(Rule::Alarm));
}
