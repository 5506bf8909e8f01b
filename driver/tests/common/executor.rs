//! A deterministic executor on one thread.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::clock::Time;

/// More polls than any test needs: who polls on and on has lost its way.
const LIMIT: usize = 400_000;

thread_local! {
    /// Wakers that are to be woken when nothing else goes on.
    static LAZY: RefCell<Vec<(usize, Waker)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

/// Has `waker` woken when no task can go on, unless it is called off before with the number that this returns.
pub(crate) fn lazily(waker: &Waker) -> usize {
    let id = NEXT.replace(NEXT.get() + 1);
    LAZY.with_borrow_mut(|lazy| lazy.push((id, waker.clone())));
    id
}

/// Calls it off.
pub(crate) fn call_off(id: usize) {
    LAZY.with_borrow_mut(|lazy| lazy.retain(|(other, _)| *other != id));
}

fn wake_a_lazy_one() -> bool {
    let waker = LAZY.with_borrow_mut(|lazy| if lazy.is_empty() { None } else { Some(lazy.remove(0).1) });
    waker.map(Waker::wake).is_some()
}

/// What a task will have returned.
pub(crate) struct Handle<T>(Rc<RefCell<Option<T>>>);

impl<T> Handle<T> {
    /// What the task returned.
    pub(crate) fn take(&self) -> T {
        self.0.take().expect("the task has finished")
    }

    pub(crate) fn is_finished(&self) -> bool {
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

/// Gives an executor tasks while it runs.
#[derive(Clone, Default)]
pub(crate) struct Spawner(Arc<Mutex<Vec<Spawned>>>);

type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Spawner {
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push(Box::pin(future));
    }
}

pub(crate) struct Executor {
    tasks: Vec<Task>,
    spawner: Spawner,
    pub(crate) time: Time,
    polls: usize,
    limit: usize,
    /// Tasks are polled in this order, or the other way round.
    backwards: bool,
}

impl Executor {
    pub(crate) fn new() -> Self {
        LAZY.with_borrow_mut(Vec::clear);
        Executor {
            tasks: Vec::new(),
            spawner: Spawner::default(),
            time: Time::new(),
            polls: 0,
            limit: LIMIT,
            backwards: false,
        }
    }

    /// The later task first.
    pub(crate) fn backwards(mut self, backwards: bool) -> Self {
        self.backwards = backwards;
        self
    }

    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn polls(&self) -> usize {
        self.polls
    }

    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Tasks that have not finished.
    pub(crate) fn tasks(&self) -> usize {
        self.waiting().len()
    }

    /// How often the task of this name was polled.
    pub(crate) fn polls_of(&self, name: &str) -> usize {
        self.tasks.iter().filter(|task| task.name == name).map(|task| task.polls).sum()
    }

    pub(crate) fn spawn<T: 'static>(
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

    /// Polls what is woken until nothing is.
    pub(crate) fn run_until_idle(&mut self) {
        loop {
            let mut any = false;
            let spawned = std::mem::take(&mut *self.spawner.0.lock().unwrap());
            spawned.into_iter().for_each(|future| drop(self.spawn("spawned", future)));
            let count = self.tasks.len();
            for index in 0..count {
                any |= self.poll_task(if self.backwards { count - 1 - index } else { index });
            }
            if !any && self.spawner.0.lock().unwrap().is_empty() && !wake_a_lazy_one() {
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

    /// Runs all tasks to their end, while the clock stands still.
    pub(crate) fn run(&mut self) {
        self.run_until_idle();
        let waiting = self.waiting();
        assert!(waiting.is_empty(), "deadlock: nothing will wake {waiting:?}");
    }

    /// Runs all tasks to their end; the clock jumps to the next alarm when nothing else is left to do.
    pub(crate) fn run_with_time(&mut self) {
        loop {
            self.run_until_idle();
            let waiting = self.waiting();
            if waiting.is_empty() {
                return;
            }
            assert!(self.time.advance_to_alarm(), "deadlock: no alarm is set, nothing will wake {waiting:?}");
        }
    }

    /// Runs all tasks to their end; where nothing goes on, all are polled for no reason.
    pub(crate) fn run_kicking(&mut self) {
        loop {
            self.run_until_idle();
            if self.waiting().is_empty() {
                return;
            }
            self.tasks.iter().for_each(|task| task.woken.0.store(true, Ordering::SeqCst));
        }
    }

    /// Lets this much time pass, in steps, so that alarms are set anew as they ring.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.run_until_idle();
        for _ in 0..100 {
            self.time.advance(time / 100);
            self.run_until_idle();
        }
    }
}

/// Runs one future.
pub(crate) fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let mut executor = Executor::new();
    let handle = executor.spawn("the task", future);
    executor.run();
    handle.take()
}
