use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time after which a waiting test counts as hung. Nothing takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls a condition until it holds, for events that send no notification. `what` names the
/// condition in the panic message.
///
/// # Panics
///
/// Panics after [`PATIENCE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A list of events, shared between a test and the handlers it observes.
#[derive(Debug, Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<String>>>);

impl EventLog {
    /// Appends an event.
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Returns the events so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until the log has exactly these events.
    ///
    /// # Panics
    ///
    /// Panics after [`PATIENCE`].
    pub fn expect(&self, lines: &[&str]) {
        let started = Instant::now();
        while self.lines() != lines {
            assert!(started.elapsed() < PATIENCE, "expected {lines:?}, got {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the log has at least this many events.
    ///
    /// # Panics
    ///
    /// Panics after [`PATIENCE`].
    pub fn wait_for_count(&self, count: usize) {
        let started = Instant::now();
        while self.lines().len() < count {
            assert!(started.elapsed() < PATIENCE, "expected {count} events, got {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the log contains this event.
    ///
    /// # Panics
    ///
    /// Panics after [`PATIENCE`].
    pub fn wait_for(&self, line: &str) {
        eventually(line, || self.lines().iter().any(|known| known == line));
    }
}
