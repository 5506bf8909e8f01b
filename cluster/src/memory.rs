//! A broker in memory, for tests of applications with several nodes in one process.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use crate::broker::{Broker, PublishError, Receiver};

/// An engine in memory that carries messages between [`MemoryBroker`]s.
///
/// [`set_up`](MemoryEngine::set_up) takes it away and brings it back, to test what the application
/// does meanwhile.
#[derive(Debug, Clone)]
pub struct MemoryEngine {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    is_up: bool,
    next: u64,
    brokers: HashMap<u64, Connected>,
    /// Deliveries that wait for the thread that delivers. It holds no lock meanwhile, so that a
    /// receiver may publish.
    waiting: VecDeque<(Arc<dyn Receiver>, Bytes)>,
    is_delivering: bool,
}

#[derive(Debug, Default)]
struct Connected {
    receiver: Option<Arc<dyn Receiver>>,
    channels: HashSet<Box<str>>,
}

/// A broker over a [`MemoryEngine`]. It delivers on a thread that publishes.
#[derive(Debug)]
pub struct MemoryBroker {
    state: Weak<Mutex<State>>,
    id: u64,
}

impl MemoryEngine {
    /// Creates an engine that is up.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            is_up: true,
            next: 0,
            brokers: HashMap::new(),
            waiting: VecDeque::new(),
            is_delivering: false,
        };
        MemoryEngine { state: Arc::new(Mutex::new(state)) }
    }

    /// Creates a broker over this engine, for one node.
    #[must_use]
    pub fn broker(&self) -> MemoryBroker {
        let mut state = lock(&self.state);
        state.next += 1;
        let id = state.next;
        state.brokers.insert(id, Connected::default());
        MemoryBroker { state: Arc::downgrade(&self.state), id }
    }

    /// Takes the engine away, or brings it back. All brokers notice at once.
    pub fn set_up(&self, is_up: bool) {
        let receivers: Vec<_> = {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.is_up, is_up) == is_up {
                return;
            }
            state.brokers.values().filter_map(|broker| broker.receiver.clone()).collect()
        };
        for receiver in receivers {
            if is_up { receiver.connected() } else { receiver.disconnected() }
        }
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        MemoryEngine::new()
    }
}

impl Broker for MemoryBroker {
    fn start(&self, receiver: Arc<dyn Receiver>) {
        let Some(state) = self.state.upgrade() else { return };
        let is_up = {
            let mut state = lock(&state);
            let Some(broker) = state.brokers.get_mut(&self.id) else { return };
            broker.receiver = Some(receiver.clone());
            state.is_up
        };
        if is_up {
            receiver.connected();
        }
    }

    fn publish(&self, channel: &str, message: Bytes) -> Result<(), PublishError> {
        let state = self.state.upgrade().ok_or(PublishError::Disconnected)?;
        {
            let mut state = lock(&state);
            let broker = state.brokers.get(&self.id).ok_or(PublishError::Stopped)?;
            if !state.is_up || broker.receiver.is_none() {
                return Err(PublishError::Disconnected);
            }
            let subscribed = state.brokers.values().filter(|broker| broker.channels.contains(channel));
            let receivers: Vec<_> = subscribed.filter_map(|broker| broker.receiver.clone()).collect();
            state.waiting.extend(receivers.into_iter().map(|receiver| (receiver, message.clone())));
            if std::mem::replace(&mut state.is_delivering, true) {
                return Ok(());
            }
        }
        deliver(&state);
        Ok(())
    }

    fn subscribe(&self, channel: &str) {
        self.change(|broker| {
            broker.channels.insert(channel.into());
        });
    }

    fn unsubscribe(&self, channel: &str) {
        self.change(|broker| {
            broker.channels.remove(channel);
        });
    }

    fn stop(&self) {
        if let Some(state) = self.state.upgrade() {
            lock(&state).brokers.remove(&self.id);
        }
    }
}

impl MemoryBroker {
    fn change(&self, change: impl FnOnce(&mut Connected)) {
        let Some(state) = self.state.upgrade() else { return };
        if let Some(broker) = lock(&state).brokers.get_mut(&self.id) {
            change(broker);
        }
    }
}

fn deliver(state: &Mutex<State>) {
    loop {
        let next = {
            let mut state = lock(state);
            let next = state.waiting.pop_front();
            state.is_delivering = next.is_some();
            next
        };
        let Some((receiver, message)) = next else { return };
        receiver.message(&message);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
