//! Pushes numbered messages from separate threads, so that the peers notice a missing one.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sockeye_tokio::protocol::Prepared;
use sockeye_tokio::server::{ConnectionId, PushError, ServerHandle};

use super::app::{App, Member};

/// The time that a publisher sleeps before it tries again.
const RETRY_DELAY: Duration = Duration::from_micros(500);

/// The time for which a publisher waits for slow members.
const PUBLISH: Duration = Duration::from_secs(120);

/// Returns a payload that begins with its number.
fn numbered(number: u64, size: usize) -> Vec<u8> {
    let mut payload = vec![b'.'; size.max(8)];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload
}

/// The outcomes of pushes.
#[derive(Default)]
struct Outcome {
    pushed: u64,
    slow: u64,
    failed: u64,
    waits: u64,
}

impl Outcome {
    /// Pushes a message to all members. Retries until `deadline` for the members that it waits for,
    /// so that they get every message.
    fn push(&mut self, members: &[Member], prepared: &Prepared, deadline: Instant) {
        for Member { client, waited_for } in members {
            loop {
                match client.push_prepared(prepared) {
                    Ok(_) => self.pushed += 1,
                    Err(error) if is_slow(error) && *waited_for && Instant::now() < deadline => {
                        self.waits += 1;
                        std::thread::sleep(RETRY_DELAY);
                        continue;
                    }
                    Err(error) if is_slow(error) => self.slow += 1,
                    Err(_) => self.failed += 1,
                }
                break;
            }
        }
    }

    fn line(&self, started: Instant) -> String {
        let Outcome { pushed, slow, failed, waits } = self;
        let ms = started.elapsed().as_millis();
        format!("pushed={pushed} slow={slow} failed={failed} waits={waits} ms={ms}")
    }
}

/// Pushes `count` messages to all members, with a pause after each.
pub(super) fn publish(app: &App, count: u64, size: usize, pause: Duration) -> String {
    let (started, mut outcome) = (Instant::now(), Outcome::default());
    let members = app.members();
    for number in 0..count {
        outcome.push(&members, &Prepared::new(numbered(number, size)), started + PUBLISH);
        std::thread::sleep(pause);
    }
    outcome.line(started)
}

/// Pushes one message to all members.
pub(super) fn say(app: &App, number: u64, size: usize) -> String {
    let (started, mut outcome) = (Instant::now(), Outcome::default());
    outcome.push(&app.members(), &Prepared::new(numbered(number, size)), started + PUBLISH);
    outcome.line(started)
}

/// Broadcasts `count` messages. Waits while more than `max_queued` bytes are queued.
pub(super) fn broadcast(handle: &ServerHandle, count: u64, size: usize, max_queued: usize) -> String {
    let started = Instant::now();
    let (mut queued, mut slow, mut failed, mut waits) = (0, 0, 0, 0u64);
    for number in 0..count {
        while handle.queued() > max_queued {
            waits += 1;
            std::thread::sleep(RETRY_DELAY);
        }
        let outcome = handle.broadcast_prepared(|_| true, &Prepared::new(numbered(number, size)));
        queued += outcome.queued;
        slow += outcome.slow;
        failed += outcome.failed;
    }
    format!("pushed={queued} slow={slow} failed={failed} waits={waits} ms={}", started.elapsed().as_millis())
}

fn is_slow(error: PushError) -> bool {
    matches!(error, PushError::Backpressure { .. } | PushError::ServerBackpressure { .. })
}

/// A thread that pushes to each member until the connection is over.
pub(super) struct Stream(JoinHandle<Vec<(ConnectionId, u64)>>);

impl Stream {
    pub(super) fn start(members: Vec<Member>, size: usize) -> Self {
        Stream(std::thread::spawn(move || {
            let mut open: Vec<(Member, u64)> = members.into_iter().map(|member| (member, 0)).collect();
            let mut finished = Vec::new();
            while !open.is_empty() {
                let mut all_slow = true;
                open.retain_mut(|(member, count)| {
                    match member.client.push(numbered(*count, size)) {
                        Ok(_) => {
                            *count += 1;
                            all_slow = false;
                        }
                        Err(error) if is_slow(error) => {}
                        Err(_) => {
                            finished.push((member.client.id(), *count));
                            return false;
                        }
                    }
                    true
                });
                if all_slow {
                    std::thread::sleep(RETRY_DELAY);
                }
            }
            finished
        }))
    }

    /// Waits for the thread. Returns how many messages each member accepted.
    pub(super) fn end(self) -> Vec<(ConnectionId, u64)> {
        self.0.join().unwrap_or_default()
    }
}
