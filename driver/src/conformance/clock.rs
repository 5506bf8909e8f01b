//! The checks of a clock.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use sockeye_core::Instant;

use crate::conformance::rule::{Breach, Rule};
use crate::conformance::wake::{PATIENCE, Probe, REPEATS, TURN};
use crate::runtime::io::Clock;

/// The time until the deadlines that the checks set.
const SOON: Duration = Duration::from_millis(20);

/// The number of times that a timer may wake its task before the deadline.
const EARLY_WAKES: usize = 10;

/// A deadline that no check waits for.
const FAR: Duration = Duration::from_secs(3600);

/// Checks that a clock keeps the [contract of `Clock`](Clock#contract).
///
/// `clock` returns a new clock, like [`Runtime::clock`](crate::server::Runtime::clock): all of them
/// must share an epoch. `pass` waits until at least the given time has passed on these clocks.
///
/// # Errors
///
/// Returns the first breach that it finds.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use sockeye_driver::{Clock, conformance::{Breach, check_clock}};
/// # async fn sleep(_: Duration) {}
/// # async fn check<MyClock: Clock + Default>() -> Result<(), Breach> {
/// check_clock(MyClock::default, sleep).await
/// # }
/// ```
pub async fn check_clock<C: Clock>(
    mut clock: impl FnMut() -> C,
    mut pass: impl AsyncFnMut(Duration),
) -> Result<(), Breach> {
    let pass = &mut pass;
    now(&clock(), &clock(), pass).await?;
    let timer = &mut clock();
    alarm(timer, pass).await?;
    // A timer that has fired can be set again.
    alarm(timer, pass).await?;
    latest_waker(timer, pass).await?;
    replace(timer, pass).await?;
    passed(timer, pass).await?;
    cancel(timer, pass).await?;
    dropped(&mut clock, timer, pass).await?;
    yields(timer, pass).await?;
    alarm(timer, pass).await
}

/// The time that a timer may be late by the precision of the runtime.
const PRECISION: Duration = Duration::from_millis(10);

/// How often a task may yield before a timer that is due wakes its task.
const YIELDS: usize = 3;

/// Checks that [`Clock::yield_now`] lets the runtime look at its sockets and timers before it runs
/// the task again.
///
/// Run it as a task of the runtime, because many runtimes treat the future of `block_on` in another
/// way. It computes for some time, so it needs a clock that moves by itself. The clock of a
/// simulation is checked by [`check_clock`] only.
///
/// # Errors
///
/// Returns [`Rule::YieldRunsTimers`] if a timer that is due does not fire.
///
/// # Examples
///
/// ```
/// # use sockeye_driver::{Clock, conformance::check_yield};
/// # fn spawn(_: impl Future<Output = ()>) {}
/// # fn check<MyClock: Clock + Default>() {
/// spawn(async { check_yield(MyClock::default).await.unwrap() });
/// # }
/// ```
pub async fn check_yield<C: Clock>(mut clock: impl FnMut() -> C) -> Result<(), Breach> {
    let (mut timer, mut yielding) = (clock(), clock());
    for _ in 0..3 {
        let (deadline, probe) = set(&mut timer, SOON)?;
        while yielding.now() < deadline + PRECISION {
            std::hint::spin_loop();
        }
        let mut yields = 0;
        while !probe.take_wake() {
            Rule::YieldRunsTimers.require(
                yields < YIELDS,
                format_args!("a task yielded {yields} times, and a timer that was due did not fire"),
            )?;
            yield_once(&mut yielding).await;
            yields += 1;
        }
    }
    Ok(())
}

async fn yield_once(clock: &mut impl Clock) {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        clock.yield_now(cx);
        Poll::Pending
    })
    .await;
}

async fn yields<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    // Twice, and with a timer that is set and must not be affected.
    let (deadline, alarm) = set(clock, SOON)?;
    for _ in 0..2 {
        let probe = Probe::new();
        clock.yield_now(&mut probe.context());
        let found = "a task has yielded, and nothing woke it";
        Rule::YieldWakes.require(probe.is_woken(pass).await, found)?;
    }
    fires(clock, &alarm, deadline, Rule::Alarm, pass).await
}

/// Checks that time moves forward and that two clocks agree about it.
async fn now<P: AsyncFnMut(Duration)>(
    one: &impl Clock,
    other: &impl Clock,
    pass: &mut P,
) -> Result<(), Breach> {
    let before = one.now();
    let between = other.now();
    let after = one.now();
    Rule::Now.require(before <= after, format_args!("{after:?} follows {before:?}"))?;
    let agree = before <= between && between <= after;
    Rule::Epoch.require(agree, format_args!("one clock says {before:?}, then another {between:?}"))?;
    pass(SOON).await;
    let moved = one.now().since(after);
    Rule::Now.require(moved >= SOON / 2, format_args!("it moved by {moved:?} while {SOON:?} passed"))
}

/// Polls the timer. Reports a breach if it is ready before the deadline.
fn poll(clock: &mut impl Clock, probe: &Probe, deadline: Instant) -> Result<Poll<()>, Breach> {
    let polled = clock.poll_until(&mut probe.context(), deadline);
    let now = clock.now();
    let early = polled.is_ready() && now < deadline;
    Rule::NotEarly
        .require(!early, format_args!("it was ready {:?} before the deadline", deadline.since(now)))?;
    Ok(polled)
}

/// Waits until the timer has woken `probe` and is ready. Otherwise reports a breach of `rule`.
async fn fires<P: AsyncFnMut(Duration)>(
    clock: &mut impl Clock,
    probe: &Probe,
    deadline: Instant,
    rule: Rule,
    pass: &mut P,
) -> Result<(), Breach> {
    let mut early_wakes = 0;
    for _ in 0..PATIENCE {
        if probe.take_wake() {
            if poll(clock, probe, deadline)?.is_ready() {
                return Ok(());
            }
            early_wakes += 1;
            let found = format_args!("a timer woke its task {early_wakes} times before the deadline");
            Rule::NoSpinning.require(early_wakes < EARLY_WAKES, found)?;
        }
        pass(TURN).await;
    }
    Err(rule.breach("the deadline has passed, and nothing woke the task"))
}

/// Sets the timer. Returns the deadline, which is `after` from now, and the waker.
fn set(clock: &mut impl Clock, after: Duration) -> Result<(Instant, Probe), Breach> {
    // On a busy machine the deadline may have passed before the timer is polled: try again.
    for _ in 0..REPEATS {
        let (deadline, probe) = (clock.now() + after, Probe::new());
        if poll(clock, &probe, deadline)?.is_pending() {
            return Ok((deadline, probe));
        }
    }
    Err(Rule::NotEarly.breach(format_args!("a timer of {after:?} is ready at once")))
}

async fn alarm<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    let (deadline, probe) = set(clock, SOON)?;
    fires(clock, &probe, deadline, Rule::Alarm, pass).await
}

async fn latest_waker<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    let (deadline, _first) = set(clock, SOON)?;
    let latest = Probe::new();
    if poll(clock, &latest, deadline)?.is_ready() {
        return Ok(());
    }
    fires(clock, &latest, deadline, Rule::AlarmWaker, pass).await
}

async fn replace<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    // An earlier deadline.
    set(clock, FAR)?;
    let (deadline, probe) = set(clock, SOON)?;
    fires(clock, &probe, deadline, Rule::Replace, pass).await?;
    // A later one. `poll` fails if the timer fires at the old one.
    set(clock, SOON)?;
    let (deadline, probe) = set(clock, 4 * SOON)?;
    fires(clock, &probe, deadline, Rule::Replace, pass).await
}

async fn passed<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    for deadline in [clock.now(), Instant::EPOCH] {
        let probe = Probe::new();
        if poll(clock, &probe, deadline)?.is_pending() {
            fires(clock, &probe, deadline, Rule::Passed, pass).await?;
        }
    }
    Ok(())
}

async fn cancel<P: AsyncFnMut(Duration)>(clock: &mut impl Clock, pass: &mut P) -> Result<(), Breach> {
    for _ in 0..REPEATS {
        // An executor may wake a task that has polled too often. The pause prevents that.
        pass(TURN).await;
        let (deadline, probe) = set(clock, SOON)?;
        clock.cancel();
        // On a busy machine the timer may have fired before it was cancelled: try again.
        if clock.now() < deadline {
            pass(3 * SOON).await;
            Rule::Cancel.require(!probe.take_wake(), "a cancelled timer has woken its task")?;
            break;
        }
    }
    // Cancelling a timer that is off has no effect, and a deadline centuries ahead is not ready.
    clock.cancel();
    let last = Instant::from_nanos(u64::MAX);
    let pending = poll(clock, &Probe::new(), last)?.is_pending();
    clock.cancel();
    Rule::NotEarly.require(pending, "the last instant is ready")
}

async fn dropped<C: Clock, P: AsyncFnMut(Duration)>(
    mut new: impl FnMut() -> C,
    other: &impl Clock,
    pass: &mut P,
) -> Result<(), Breach> {
    for _ in 0..REPEATS {
        pass(TURN).await;
        let mut clock = new();
        let (deadline, probe) = set(&mut clock, SOON)?;
        drop(clock);
        if other.now() < deadline {
            pass(3 * SOON).await;
            return Rule::Cancel.require(!probe.take_wake(), "a dropped timer has woken its task");
        }
    }
    Ok(())
}
