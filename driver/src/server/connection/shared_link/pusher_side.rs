//! The operations on an open connection that any task or thread may call.

use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseFrame, State};

use crate::engine::link::DrainTo;
use crate::engine::waker_list::WakerList;
use crate::engine::wakers::Half;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::server::connection::shared_link::{SharedLink, unlock_and_wake};
use crate::server::log;
use crate::server::registry::error::PushError;
use crate::server::registry::push_target::{Command, Facts, Flusher, PushTarget};
use crate::server::registry::pushed::Pushed;
use crate::sync::{Mutex, MutexGuard};

/// How often waiting pushes make room themselves before the connection's task must have a turn: a
/// task that sends without end to a fast peer would otherwise keep all others from running.
const ROOMS_IN_A_ROW: u8 = 16;

impl<I: Io + Send, C: Clock + Send> PushTarget for Mutex<SharedLink<I, C>> {
    fn push(&self, command: Command<'_>) -> Result<Pushed, PushError> {
        push(lock(self), command)
    }

    fn deliver(&self, command: Command<'_>) -> Result<(), PushError> {
        let mut shared = lock(self);
        if shared.above_low_mark {
            shared.make_room();
        }
        shared.queue(command)
    }

    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>> {
        let mut shared = lock(self);
        let queued = shared.link.sender.queued();
        // An error of these writes closes the connection, which the check after them sees.
        match flusher {
            _ if shared.has_room() => {}
            Flusher::Waiter => {
                let _ = shared.link.poll_drain(cx, Half::Recv, DrainTo::Mark);
                shared.note_written(queued);
            }
            Flusher::Task if shared.transport_wakes_task() || shared.rooms_made >= ROOMS_IN_A_ROW => {}
            Flusher::Task => {
                shared.rooms_made += 1;
                shared.write_now();
            }
        }
        if !shared.has_room() {
            let stale = std::mem::take(&mut shared.stale_waker);
            let others = if stale { shared.waiters.take() } else { WakerList::default() };
            shared.waiters.register(cx.waker());
            drop(shared);
            others.wake_all();
            return Poll::Pending;
        }
        let result = shared.queue_within_budget(command);
        let done = match flusher {
            Flusher::Task => shared.pusher_writes() && shared.write_now(),
            Flusher::Waiter => {
                let queued = shared.link.sender.queued();
                // If this waits, the transport holds this task's waker. This push is done and
                // does not poll again, so the connection's task or another waiter must.
                shared.stale_waker |= shared.link.poll_write(cx, Half::Recv).is_pending();
                shared.note_written(queued);
                false
            }
        };
        let task = if done { None } else { shared.task.take() };
        unlock_and_wake(shared, task);
        Poll::Ready(result)
    }

    fn poll_read_on(&self, cx: &mut Context<'_>) -> bool {
        let mut shared = lock(self);
        let Some(mut intake) = shared.intake.take() else { return false };
        let entry = shared.entry.clone();
        intake.poll_read_on(&mut *shared, &entry, cx);
        shared.intake = Some(intake);
        unlock_and_wake(shared, None);
        true
    }

    fn deregister_waiter(&self, waker: &Waker) {
        let mut shared = lock(self);
        let waiter = shared.waiters.deregister(waker);
        // The transport may hold this waker, and no other.
        shared.stale_waker = true;
        unlock_and_wake(shared, waiter);
    }

    fn facts(&self) -> Facts {
        let shared = lock(self);
        let sender = &shared.link.sender;
        Facts {
            queued: sender.queued(),
            deflate: sender.deflate(),
            round_trip: sender.round_trip(),
            received_at: shared.received_at,
            sent_at: shared.sent_at,
        }
    }

    fn state(&self) -> State {
        lock(self).link.sender.state()
    }

    fn set_protected(&self, protected: bool) {
        lock(self).link.sender.set_protected(protected);
        self.wake_task();
    }

    fn abort(&self) {
        let mut shared = lock(self);
        shared.link.sender.abort();
        shared.update_counts();
        let task = shared.task.take();
        unlock_and_wake(shared, task);
    }

    fn close_if_idle(&self, frame: &CloseFrame<'_>) {
        let mut shared = lock(self);
        if shared.is_idle {
            // This fails only if the connection is closing already.
            let _ = push(shared, Command::Close(frame));
        } else {
            let task = shared.task.take();
            unlock_and_wake(shared, task);
        }
    }

    fn wake_task(&self) {
        let mut shared = lock(self);
        let task = shared.task.take();
        unlock_and_wake(shared, task);
    }
}

/// Queues a command, and writes it or wakes the task to do so.
fn push<I: Io, C: Clock>(
    mut shared: MutexGuard<'_, SharedLink<I, C>>,
    command: Command<'_>,
) -> Result<Pushed, PushError> {
    let before = shared.link.sender.queued();
    let writes = shared.pusher_writes();
    let deadline = if writes { shared.link.sender.poll_timeout() } else { None };
    let result = shared.queue_with_policy(command);
    let changed = matches!(result, Ok(Pushed::Queued)) || shared.link.sender.queued() != before;
    // The task must handle unwritten data, a new deadline, and the end.
    let done = changed && writes && shared.write_now() && shared.link.sender.poll_timeout() == deadline;
    let task = if changed && !done { shared.task.take() } else { None };
    if result.is_err() {
        return unlock_after_failure(shared, task, result);
    }
    unlock_and_wake(shared, task);
    result
}

/// Does the rest of a push that has failed: reports a slow reader that the port closes.
#[cold]
fn unlock_after_failure<I: Io, C: Clock>(
    shared: MutexGuard<'_, SharedLink<I, C>>,
    task: Option<Waker>,
    result: Result<Pushed, PushError>,
) -> Result<Pushed, PushError> {
    let slow = shared.slow_reader(&result);
    unlock_and_wake(shared, task);
    if let Some((entry, queued)) = slow {
        // Without the lock: a subscriber may push.
        log::slow_reader(entry.id(), &entry.peer(), queued);
    }
    result
}
