//! Waking tasks after the reactor has looked at its sockets and timers.
//!
//! A task that wakes itself goes back into the executor's queue at once, and an executor looks at
//! the reactor only when its queue is empty or after some hundred tasks. So a task that yields waits
//! for a timer that is already due: the reactor fires it in its next turn, together with the
//! sockets that are ready. All tasks that yield before that share the timer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;

use crate::lock::lock;

/// A deadline that is far away, for a timer that is registered before it is set.
const FAR: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
struct Yielded {
    tasks: Vec<Waker>,
    /// The timer that wakes `tasks`. It is set while there are any.
    timer: Option<Timer>,
}

static YIELDED: Mutex<Yielded> = Mutex::new(Yielded { tasks: Vec::new(), timer: None });

/// Wakes `waker` after the next turn of the reactor.
pub(super) fn wake_after_io(waker: &Waker) {
    let mut yielded = lock(&YIELDED);
    yielded.tasks.push(waker.clone());
    if yielded.tasks.len() == 1 {
        yielded.timer.get_or_insert_with(registered_timer).set_at(Instant::now());
    }
}

/// Returns a timer that wakes the tasks. It keeps its waker when it is set again.
fn registered_timer() -> Timer {
    static WAKER: OnceLock<Waker> = OnceLock::new();
    let waker = WAKER.get_or_init(|| Waker::from(Arc::new(WakeAll)));
    let mut timer = Timer::after(FAR);
    let _ = Pin::new(&mut timer).poll(&mut Context::from_waker(waker));
    timer
}

struct WakeAll;

impl Wake for WakeAll {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let tasks = std::mem::take(&mut lock(&YIELDED).tasks);
        tasks.into_iter().for_each(Waker::wake);
    }
}
