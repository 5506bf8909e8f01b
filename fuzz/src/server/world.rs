//! A running server with its clients.

use std::time::Duration;

use sockeye_driver::server::{ConnectionId, ServerHandle};
use sockeye_testkit::sim::{Connector, Executor, Faults, Handle, Pipe};

use super::app::App;
use super::setup::Setup;

/// The number of bytes that all clients together send at most, so that a run stays short.
const MAX_SENT: usize = 64 << 10;

pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) app: App,
    pub(super) server: ServerHandle,
    connector: Connector,
    ended: Handle<std::io::Result<()>>,
    pub(super) peers: Vec<Peer>,
    sent: usize,
}

/// A client.
#[derive(Default)]
pub(super) struct Peer {
    /// `None` once the client has vanished.
    pipe: Option<Pipe>,
    is_shut: bool,
    pub(super) received: Vec<u8>,
}

/// The state that can be seen from outside. A spurious wake must not change it.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    steps: usize,
    connections: Vec<ConnectionId>,
    queued: usize,
    received: usize,
    tasks: usize,
    peers: Vec<(usize, usize, bool)>,
}

impl World {
    pub(super) fn new(setup: Setup, app: App) -> Self {
        let mut executor = setup.executor();
        let runtime = setup.runtime(&executor);
        let (server, connector, ended) = runtime.serve_on(&mut executor, setup.port, setup.limits);
        executor.run_until_idle();
        World { executor, app, server, connector, ended, peers: Vec::new(), sent: 0 }
    }

    pub(super) fn connect(&mut self, capacity: usize, faults: Faults) {
        let pipe = Some(self.connector.connect(capacity, faults));
        self.peers.push(Peer { pipe, ..Peer::default() });
    }

    pub(super) fn fail_accept(&self) {
        self.connector.offer(Err(std::io::ErrorKind::ConnectionAborted.into()));
    }

    /// Returns one of the clients that have connected.
    pub(super) fn peer(&mut self, index: usize) -> Option<&mut Peer> {
        let count = self.peers.len().max(1);
        self.peers.get_mut(index % count)
    }

    pub(super) fn send(&mut self, index: usize, bytes: &[u8]) {
        if self.sent + bytes.len() > MAX_SENT {
            return;
        }
        self.sent += bytes.len();
        if let Some(peer) = self.peer(index) {
            peer.send(bytes);
        }
    }

    /// Runs until no task is woken.
    pub(super) fn run(&mut self) {
        self.executor.run_until_idle();
        let violation = self.app.record().violation.take();
        assert_eq!(violation, None);
    }

    /// Checks that no task has missed a wake-up: when all are woken, nothing happens.
    pub(super) fn check_wakes(&mut self) {
        self.run();
        let before = self.sight();
        self.executor.wake_all();
        self.run();
        assert_eq!(before, self.sight(), "a task was not woken");
    }

    fn sight(&self) -> Sight {
        Sight {
            steps: self.app.record().steps,
            connections: self.server.connections(),
            queued: self.server.queued(),
            received: self.server.received(),
            tasks: self.executor.tasks(),
            peers: self.peers.iter().map(Peer::sight).collect(),
        }
    }

    /// Ends everything, and checks that nothing remains.
    pub(super) fn end(&mut self, vanish: bool) {
        self.app.open_gate(true);
        if vanish {
            self.peers.iter_mut().for_each(Peer::vanish);
        }
        self.check_wakes();
        self.server.shutdown(Duration::from_secs(1));
        self.check_wakes();
        self.executor.run_with_time();
        self.run();
        assert!(self.ended.is_finished(), "the server has not ended");
        let rest = (self.server.connections(), self.server.queued(), self.server.received());
        assert_eq!(rest, (Vec::new(), 0, 0), "something remains");
        assert_eq!(self.executor.time.armed(), 0, "an alarm remains");
        self.app.check_ends();
        self.peers.iter_mut().for_each(|peer| peer.read(usize::MAX));
    }
}

impl Peer {
    fn send(&self, bytes: &[u8]) {
        if let Some(pipe) = self.pipe.as_ref().filter(|_| !self.is_shut) {
            pipe.push(bytes);
        }
    }

    pub(super) fn read(&mut self, n: usize) {
        if let Some(pipe) = &self.pipe {
            self.received.extend(pipe.take(n));
        }
    }

    pub(super) fn shut(&mut self) {
        self.is_shut = true;
        if let Some(pipe) = &self.pipe {
            pipe.shut();
        }
    }

    pub(super) fn reset(&mut self) {
        self.is_shut = true;
        if let Some(pipe) = &self.pipe {
            pipe.reset();
        }
    }

    /// Makes the server's writes fail.
    pub(super) fn refuse_writes(&mut self) {
        self.pipe = self.pipe.take().map(Pipe::refuse_writes);
    }

    pub(super) fn vanish(&mut self) {
        self.pipe = None;
    }

    /// Returns the bytes in both directions, and whether the server has closed its side.
    fn sight(&self) -> (usize, usize, bool) {
        self.pipe
            .as_ref()
            .map_or((0, 0, false), |pipe| (pipe.unread_by_peer(), pipe.unread(), pipe.is_shut()))
    }
}
