//! A simulator: thousands of connections over slow and breaking links, in virtual time. Half an
//! hour takes seconds, and the same seed yields the same run.
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::Policy;
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{CloseCode, Config, Instant};

const CONNECTIONS: usize = 3000;
const MESSAGES: u32 = 5;

/// A small generator, because a simulation must be repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// One end of a link.
struct End {
    session: Session,
    input: InputBuffer,
    /// When the last byte that this end has sent arrives. A link keeps the order of its bytes.
    arrival: Instant,
    /// When the agenda calls `handle_timeout`, if it does.
    timer: Option<Instant>,
    is_shut: bool,
    /// How many echoes the client has received.
    echoes: u32,
    /// The close code with which the session has ended.
    ended: Option<u16>,
}

/// An entry of the agenda, for one end of a link.
enum Entry {
    Arrive(Vec<u8>),
    Eof,
    Timeout,
    Speak,
}

struct World {
    now: Instant,
    random: Random,
    /// The planned steps, by time and then in the order of planning.
    agenda: BTreeMap<(Instant, u64), (usize, Entry)>,
    planned: u64,
    /// The client of link `n` is end `2 * n`, and its server is the next one.
    ends: Vec<End>,
    /// The time from which a broken link loses everything.
    broken: Vec<Option<Instant>>,
    /// A digest of all events with their times.
    history: DefaultHasher,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = World {
            now: Instant::EPOCH,
            random: Random(seed),
            agenda: BTreeMap::new(),
            planned: 0,
            ends: Vec::new(),
            broken: Vec::new(),
            history: DefaultHasher::new(),
        };
        let config = Arc::new(Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(20)));
        let url: Url = "ws://example.com/".parse().expect("a valid URL");
        for link in 0..CONNECTIONS {
            let mut random = Random(seed ^ (link as u64 + 1));
            let masks = Box::new(move || (random.below(1 << 32) as u32).to_ne_bytes());
            let nonce = u128::from(world.random.below(u64::MAX)).to_ne_bytes();
            let client = Session::client(ClientRequest::new(&url), nonce, masks, config.clone());
            for session in [client, Session::server(config.clone())] {
                let (input, arrival) = (InputBuffer::new(), Instant::EPOCH);
                let end =
                    End { session, input, arrival, timer: None, is_shut: false, echoes: 0, ended: None };
                world.ends.push(end);
            }
            let breaks = world.random.below(10) == 0;
            let at = Instant::from_epoch(Duration::from_millis(world.random.below(60_000)));
            world.broken.push(breaks.then_some(at));
            // The client connects at some time of the first minute.
            let start = Instant::from_epoch(Duration::from_millis(world.random.below(60_000)));
            world.ends[2 * link].timer = Some(start);
            world.plan(start, 2 * link, Entry::Timeout);
        }
        world
    }

    fn plan(&mut self, at: Instant, end: usize, entry: Entry) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), (end, entry));
    }

    /// Runs until nothing is planned.
    fn run(&mut self) {
        while let Some(((at, _), (index, entry))) = self.agenda.pop_first() {
            self.now = at;
            let end = &mut self.ends[index];
            match entry {
                Entry::Arrive(_) | Entry::Eof
                    if self.broken[index / 2].is_some_and(|broken| broken <= at) => {}
                Entry::Arrive(bytes) => end.input.extend_from_slice(&bytes),
                Entry::Eof => end.session.handle_eof(),
                Entry::Timeout if end.timer != Some(at) => continue, // the deadline has moved
                Entry::Timeout => {
                    end.timer = None;
                    end.session.handle_timeout(at);
                }
                // Fails only while the connection is closing.
                Entry::Speak => drop(end.session.send("la ".repeat(self.random.below(500) as usize))),
            }
            self.pump(index);
        }
    }

    /// Takes the events of one end, and plans what follows from them.
    fn pump(&mut self, index: usize) {
        let end = &mut self.ends[index];
        let (is_client, mut speaks) = (index.is_multiple_of(2), false);
        loop {
            while let Some(event) = end.session.poll_event_from(&mut end.input) {
                (self.now, index, std::mem::discriminant(&event)).hash(&mut self.history);
                match event {
                    SessionEvent::Upgrade(upgrade) => end.session.decide(upgrade, &Policy::new()),
                    SessionEvent::Open(_) => speaks = is_client,
                    SessionEvent::Message(message) if !is_client => {
                        let message = message.into_message();
                        let _ = end.session.send(message);
                    }
                    SessionEvent::Message(_) => {
                        end.echoes += 1;
                        speaks = end.echoes < MESSAGES;
                        if !speaks {
                            let _ = end.session.close(CloseCode::NORMAL, "");
                        }
                    }
                    SessionEvent::Ended(info) => end.ended = info.map(|info| info.code.into()).or(Some(0)),
                    _ => {}
                }
            }

            let Some(transmit) = end.session.poll_transmit() else { break };
            // Some bytes, later. Bytes of several messages arrive together, and messages in parts.
            let n = transmit.first().len().min(1 + self.random.below(4000) as usize);
            let bytes = transmit.first()[..n].to_vec();
            end.session.transmitted(n);
            end.arrival = end.arrival.max(self.now + Duration::from_millis(1 + self.random.below(200)));
            self.planned += 1;
            self.agenda.insert((end.arrival, self.planned), (index ^ 1, Entry::Arrive(bytes)));
        }
        let (arrival, timeout) = (end.arrival.max(self.now), end.session.poll_timeout());
        let ends_now = end.session.wants_shutdown() && !std::mem::replace(&mut end.is_shut, true);
        let timer = timeout.map(|at| at.max(self.now)).filter(|at| end.timer.is_none_or(|timer| *at < timer));
        end.timer = timer.or(end.timer);
        if ends_now {
            self.plan(arrival, index ^ 1, Entry::Eof);
        }
        if let Some(at) = timer {
            self.plan(at, index, Entry::Timeout);
        }
        if speaks {
            let at = self.now + Duration::from_millis(self.random.below(300_000));
            self.plan(at, index, Entry::Speak);
        }
    }
}

fn main() {
    let start = std::time::Instant::now();
    let mut histories = Vec::new();
    for _ in 0..2 {
        let mut world = World::new(0x9e37_79b9_7f4a_7c15);
        world.run();
        let with = |code| world.ends.iter().filter(|end| end.ended == Some(code)).count();
        let clean = 2 * world.broken.iter().filter(|broken| broken.is_none()).count();
        println!(
            "{CONNECTIONS} connections, {} steps, {} s of virtual time: {} ends closed with 1000, {} found their link broken",
            world.planned,
            world.now.as_nanos() / 1_000_000_000,
            with(1000),
            world.ends.len() - with(1000),
        );
        assert!(world.ends.iter().all(|end| end.ended.is_some()), "every session ends");
        assert!(with(1000) >= clean, "no session ends with an error on a link that works");
        histories.push(world.history.finish());
    }
    assert_eq!(histories[0], histories[1], "the same seed yields the same run");
    println!("twice the same, in {:.1} s", start.elapsed().as_secs_f64());
}
