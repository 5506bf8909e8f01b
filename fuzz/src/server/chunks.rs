//! Several clients whose bytes arrive in any pieces: the events of each connection, and the
//! answers to it, are the same.

use sockeye_testkit::frames::{WireFrame, read_frames_until};
use sockeye_testkit::sim::Faults;

use super::app::App;
use super::requests::read_bytes;
use super::setup::{Setup, read_transport};
use super::world::World;
use crate::input::{Cut, Input};

const MAX_STREAM: usize = 8 << 10;

/// Checks an input: settings, the misbehaviour of the transports, a seed for the cut, the number
/// of clients, and what each one sends.
pub(super) fn run(mut input: Input<'_>) {
    let set = [(); 5].map(|()| input.byte());
    let (_, faults) = read_transport(&mut input);
    let (seed, count) = (input.byte(), input.byte() % 3 + 1);
    let streams: Vec<Vec<u8>> = (0..count).map(|_| read_stream(&mut input)).collect();
    let whole = outcome(&set, &streams, Cut::Whole, Faults::default());
    for (cut, faults) in [(Cut::Single, Faults::default()), (Cut::Seeded(seed), faults)] {
        let other = outcome(&set, &streams, cut, faults);
        for (whole, other) in whole.iter().zip(&other) {
            whole.check_equal(other, cut, faults);
        }
    }
}

/// The events of one connection, and what the server sent to it.
#[derive(Debug)]
struct Seen {
    log: String,
    http: String,
    frames: Vec<WireFrame>,
    close: Option<WireFrame>,
}

impl Seen {
    fn new(log: String, received: &[u8]) -> Self {
        // A client that expects a 100 gets it only if its body has not arrived with the head.
        let text = String::from_utf8_lossy(received).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        let end = text.find("HTTP/1.1 101 ").unwrap_or(text.len());
        let http =
            text[..end].lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect();
        let http = without_reason(http);
        let switched = find(received, b"HTTP/1.1 101 ").unwrap_or(received.len());
        let frames =
            find(&received[switched..], b"\r\n\r\n").map_or(received.len(), |end| switched + end + 4);
        let mut frames = read_frames_until(&received[frames..], true);
        // Several pings that arrive together get one pong.
        frames.retain(|frame| frame.first & 0x0f != 0x0a);
        let close = frames.pop_if(|frame| frame.first & 0x0f == 0x08);
        Seen { log, http, frames, close }
    }

    /// Removes what may differ with compression: the violation that ended the connection, and the
    /// compressed bytes, which depend on what the compressor did before.
    fn with_compression(mut self) -> Self {
        self.frames.clear();
        if let Some(at) = self.log.find("close CloseInfo { by: Local")
            && self.log[at..].contains("clean: false")
        {
            self.log.truncate(at);
            self.close = None;
        }
        self
    }

    fn check_equal(&self, other: &Self, cut: Cut, faults: Faults) {
        assert_eq!((&self.log, &self.http), (&other.log, &other.http), "{cut:?} {faults:?}");
        // A slow transport may meet the peer's end before the Close is written.
        if let (Some(close), Some(other)) = (&self.close, &other.close) {
            assert_eq!(close, other, "{cut:?} {faults:?}");
        }
        // While the handler waits, the server reads on. If that ends the connection, the handler's
        // answers come too late.
        let common = self.frames.len().min(other.frames.len());
        assert_eq!(self.frames[..common], other.frames[..common], "{cut:?} {faults:?}");
    }
}

/// Reads what one client sends: several kinds of bytes, until a zero.
fn read_stream(input: &mut Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    loop {
        match input.byte() {
            0 => return stream,
            kind => stream.extend(read_bytes(kind, input)),
        }
        if stream.len() > MAX_STREAM {
            return stream;
        }
    }
}

/// Runs a server with these clients.
fn outcome(set: &[u8], streams: &[Vec<u8>], cut: Cut, faults: Faults) -> Vec<Seen> {
    let app = App::calm();
    let setup = Setup::read(&mut Input::new(set), app.clone()).without_limits();
    let mut world = World::new(setup, app);
    let mut ids = Vec::new();
    for _ in streams {
        world.connect(1 << 20, faults);
        world.run();
        ids.extend(world.server.connections().into_iter().max());
    }
    let pieces: Vec<Vec<Vec<u8>>> = streams.iter().map(|stream| cut.pieces(stream)).collect();
    for round in 0..pieces.iter().map(Vec::len).max().unwrap_or(0) {
        for (peer, pieces) in pieces.iter().enumerate() {
            if let Some(piece) = pieces.get(round) {
                world.send(peer, piece);
            }
        }
        world.run();
    }
    world.peers.iter_mut().for_each(|peer| peer.shut());
    world.end(false);
    let record = world.app.record();
    // A connection without the header of a proxy has no events.
    let log = |id| record.lives.get(id).map(|life| life.log.clone()).unwrap_or_default();
    let seen = ids.iter().zip(&world.peers).map(|(id, peer)| Seen::new(log(id), &peer.received));
    // A message that waits for a handler is inflated only then. If it is invalid, the server may
    // have found another violation after it.
    let inflates = set.first().is_some_and(|config| config & 4 != 0);
    seen.map(|seen| if inflates { seen.with_compression() } else { seen }).collect()
}

/// Removes an answer that depends on the pieces: the first byte is judged alone if it arrives alone.
fn without_reason(mut http: String) -> String {
    if http.contains("looks like TLS") || http.contains("must begin with a method") {
        http.truncate(http.rfind("HTTP/1.1 400").unwrap_or(0));
    }
    http
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
