use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::clock::Time;

/// The default limit on polls. A test that exceeds it counts as spinning.
const LIMIT: usize = 400_000;

thread_local! {
    /// Wakers to wake when no task can run.
    static IDLE_WAKERS: RefCell<Vec<(usize, Waker)>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<usize> = const { Cell::new(0) };
}

/// Wakes `waker` when no task can run, unless that is cancelled first. Returns the id for
/// [`cancel_idle_wake`].
pub(super) fn wake_when_idle(waker: &Waker) -> usize {
    let id = NEXT_ID.replace(NEXT_ID.get() + 1);
    IDLE_WAKERS.with_borrow_mut(|wakers| wakers.push((id, waker.clone())));
    id
}

/// Cancels [`wake_when_idle`].
pub(super) fn cancel_idle_wake(id: usize) {
    IDLE_WAKERS.with_borrow_mut(|wakers| wakers.retain(|(other, _)| *other != id));
}

fn wake_one_when_idle() -> bool {
    let waker = IDLE_WAKERS.with_borrow_mut(|wakers| (!wakers.is_empty()).then(|| wakers.remove(0).1));
    waker.map(Waker::wake).is_some()
}

/// A handle to a task, which takes the task's output.
#[derive(Debug)]
pub struct Handle<T>(Rc<RefCell<Option<T>>>);

impl<T> Handle<T> {
    /// Returns the output of the task.
    ///
    /// # Panics
    ///
    /// Panics if the task has not finished or the output was taken.
    #[must_use]
    pub fn take(&self) -> T {
        self.0.take().expect("the task has finished")
    }

    /// Returns whether the task has finished and its output was not taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.borrow().is_some()
    }
}

struct Task {
    name: &'static str,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    polls: usize,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A handle that spawns tasks on an executor while the executor runs.
#[derive(Clone, Default)]
pub struct Spawner(Arc<Mutex<Vec<Spawned>>>);

type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Spawner {
    /// Spawns a task.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push(Box::pin(future));
    }
}

/// A deterministic executor on one thread. It polls a task only when it was woken.
pub struct Executor {
    tasks: Vec<Task>,
    spawner: Spawner,
    /// The time of the test.
    pub time: Time,
    polls: usize,
    limit: usize,
    backwards: bool,
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("waiting", &self.waiting()).field("polls", &self.polls).finish()
    }
}

impl std::fmt::Debug for Spawner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

impl Executor {
    /// Creates an executor without tasks.
    #[must_use]
    pub fn new() -> Self {
        IDLE_WAKERS.with_borrow_mut(Vec::clear);
        Executor {
            tasks: Vec::new(),
            spawner: Spawner::default(),
            time: Time::new(),
            polls: 0,
            limit: LIMIT,
            backwards: false,
        }
    }

    /// Sets whether tasks are polled in reverse order, the most recently spawned task first.
    #[must_use]
    pub fn backwards(mut self, backwards: bool) -> Self {
        self.backwards = backwards;
        self
    }

    /// Sets how many polls the test may need before it counts as spinning.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Returns how many times any task was polled.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.polls
    }

    /// Returns a handle that spawns tasks while the executor runs.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Returns how many tasks have not finished.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.waiting().len()
    }

    /// Returns how many times the tasks of this name were polled.
    #[must_use]
    pub fn polls_of(&self, name: &str) -> usize {
        self.tasks.iter().filter(|task| task.name == name).map(|task| task.polls).sum()
    }

    /// Spawns a task. Messages about deadlocks and spinning show its name.
    pub fn spawn<T: 'static>(
        &mut self,
        name: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> Handle<T> {
        let slot = Rc::new(RefCell::new(None));
        let output = slot.clone();
        let future = Box::pin(async move {
            let value = future.await;
            *output.borrow_mut() = Some(value);
        });
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.tasks.push(Task { name, future: Some(future), woken, polls: 0 });
        Handle(slot)
    }

    /// Polls woken tasks until no task is woken.
    pub fn run_until_idle(&mut self) {
        loop {
            let mut any = false;
            let spawned = std::mem::take(&mut *self.spawner.0.lock().unwrap());
            spawned.into_iter().for_each(|future| drop(self.spawn("spawned", future)));
            let count = self.tasks.len();
            for index in 0..count {
                any |= self.poll_task(if self.backwards { count - 1 - index } else { index });
            }
            if !any && self.spawner.0.lock().unwrap().is_empty() && !wake_one_when_idle() {
                return;
            }
        }
    }

    fn poll_task(&mut self, index: usize) -> bool {
        let task = &mut self.tasks[index];
        let Some(future) = &mut task.future else { return false };
        if !task.woken.0.swap(false, Ordering::SeqCst) {
            return false;
        }
        self.polls += 1;
        task.polls += 1;
        let (polls, name) = (self.polls, task.name);
        assert!(polls <= self.limit, "{name} spins: {polls} polls");
        let waker = Waker::from(task.woken.clone());
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            task.future = None;
        }
        true
    }

    fn waiting(&self) -> Vec<&'static str> {
        self.tasks.iter().filter(|task| task.future.is_some()).map(|task| task.name).collect()
    }

    /// Runs all tasks to their end. The clock stands still.
    ///
    /// # Panics
    ///
    /// Panics if a task waits and nothing can wake it.
    pub fn run(&mut self) {
        self.run_until_idle();
        let waiting = self.waiting();
        assert!(waiting.is_empty(), "deadlock: nothing wakes {waiting:?}");
    }

    /// Runs all tasks to their end. When no task can run, the clock jumps to the next alarm.
    ///
    /// # Panics
    ///
    /// Panics if a task waits, no alarm is set and nothing can wake it.
    pub fn run_with_time(&mut self) {
        loop {
            self.run_until_idle();
            let waiting = self.waiting();
            if waiting.is_empty() {
                return;
            }
            assert!(self.time.advance_to_alarm(), "deadlock: no alarm is set and nothing wakes {waiting:?}");
        }
    }

    /// Runs all tasks to their end. When no task can run, wakes all of them spuriously.
    pub fn run_with_spurious_wakes(&mut self) {
        loop {
            self.run_until_idle();
            if self.waiting().is_empty() {
                return;
            }
            self.wake_all();
        }
    }

    /// Wakes all tasks spuriously.
    pub fn wake_all(&self) {
        self.tasks.iter().for_each(|task| task.woken.0.store(true, Ordering::SeqCst));
    }

    /// Lets time pass in 100 steps, so that tasks can set new alarms in between.
    pub fn pass(&mut self, time: Duration) {
        self.run_until_idle();
        for _ in 0..100 {
            self.time.advance(time / 100);
            self.run_until_idle();
        }
    }
}

/// Runs one future to its end.
pub fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let mut executor = Executor::new();
    let handle = executor.spawn("the task", future);
    executor.run();
    handle.take()
}
