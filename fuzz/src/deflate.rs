//! Any bytes to an end that has agreed on compression.

use std::sync::{Arc, LazyLock};

use sockeye_core::deflate::{CodecPool, Deflate, Negotiated};
use sockeye_core::{
    Assembler, CloseFrame, Config, Connection, Event, Flags, Incoming, MessageKind, MessageRef, Opcode,
    ProtocolError, RecvBuf, Role, Utf8Stream,
};

use crate::compressed::{self, Put, agree, compose, takeover};
use crate::input::{Cut, Input};
use crate::original::Original;
use crate::pool::Pool;
use crate::reference::{Fault, Reference};

/// Checks one input: a byte of choices, one that cuts, four of settings, then frames of the peer, or what to make them of.
pub fn deflate(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    let role = if choices & 1 == 0 { Role::Server } else { Role::Client };
    let own = compressed::settings(&mut input);
    let limit = [70_000, 300, 5000, 1 << 20][usize::from(choices >> 1 & 3)];
    let config = Config::new()
        .max_message_size(limit)
        .max_fragments(if choices & 8 == 0 { 16_384 } else { 3 })
        .deflate(own.clone());
    let (negotiated, _) = agree(role, &own, &Deflate::new());
    let end = End { role, config: Arc::new(config), negotiated };
    if choices & 0x10 == 0 {
        let (messages, wire) = compose(role, input);
        let story = however_cut(&end, &wire, seed);
        as_it_should(&end, &messages, &story);
        pooled(&end, &wire, seed, &story);
    } else {
        let wire = input.rest();
        let story = however_cut(&end, wire, seed);
        pooled(&end, wire, seed, &story);
    }
}

/// All it takes to make an end anew.
struct End {
    role: Role,
    config: Arc<Config>,
    negotiated: Negotiated,
}

impl End {
    fn connection(&self) -> Connection {
        compressed::connection(self.role, &self.config, &self.negotiated)
    }
}

/// An event that owns its data; a message is one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Message { kind: MessageKind, payload: Vec<u8>, compressed: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame<'static>),
}

impl Heard {
    fn control(event: &Event<'_>) -> Self {
        match event {
            Event::Ping(payload) => Heard::Ping(payload.to_vec()),
            Event::Pong(payload) => Heard::Pong(payload.to_vec()),
            Event::Close(close) => Heard::Close(close.clone().into_owned()),
            Event::Data { .. } => panic!("{event:?} is data"),
        }
    }
}

/// Everything that an end says about some bytes, and its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Story {
    heard: Vec<Heard>,
    error: Option<ProtocolError>,
    answers: Vec<u8>,
}

/// An end that hears, through an assembler or by hand.
struct Listener {
    connection: Connection,
    config: Arc<Config>,
    assembler: Assembler,
    by_hand: Option<Hand>,
    heard: Vec<Heard>,
    error: Option<ProtocolError>,
    /// Pieces that came behind it.
    discarded: usize,
}

/// A message under way.
#[derive(Default)]
struct Hand {
    payload: Vec<u8>,
    utf8: Utf8Stream,
}

impl Listener {
    fn new(end: &End, by_hand: bool, pool: Option<&Arc<dyn CodecPool>>) -> Self {
        let mut connection = end.connection();
        if let Some(pool) = pool {
            connection.set_codec_pool(pool);
        }
        let by_hand = by_hand.then(Hand::default);
        let (assembler, config) = (Assembler::new(), end.config.clone());
        Listener { connection, config, assembler, by_hand, heard: Vec::new(), error: None, discarded: 0 }
    }

    fn push(&mut self, mut piece: Vec<u8>) {
        // Some more of it is discarded, and the rest will be too.
        self.discarded += usize::from(self.error.is_some());
        if self.discarded > 3 {
            return;
        }
        let mut input = RecvBuf::new(&mut piece);
        let mut steps = 2 * input.remaining().len() + 2;
        loop {
            let before = input.remaining().len();
            let step = match &mut self.by_hand {
                Some(hand) => hand.step(&mut self.connection, &mut input, self.config.max_message_size),
                None => assembled(&mut self.assembler, &mut self.connection, &mut input),
            };
            match step {
                Ok(Some(heard)) => self.heard.extend(heard),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(self.connection.close_info().map(|info| info.clean), Some(false));
                    assert_eq!(self.connection.poll_event(&mut input), Err(error), "an error stays");
                    assert!(input.is_empty());
                    match self.error.replace(error) {
                        Some(before) => assert_eq!(error, before),
                        // By hand one may go on; it comes to nothing.
                        None => _ = self.connection.inflate(b"\xf2\x48\xcd", true, |_| Ok(())),
                    }
                    break;
                }
            }
            assert!(input.remaining().len() < before, "an event takes at least a byte");
            steps -= 1;
            assert!(steps > 0, "no end");
        }
        assert!(input.is_empty(), "everything is taken");
    }

    fn story(self) -> Story {
        let transmit = self.connection.poll_transmit();
        let answers = transmit.into_iter().flat_map(|transmit| transmit.slices().flatten().copied());
        Story { heard: self.heard, error: self.error, answers: answers.collect() }
    }
}

/// The next event, if one comes; in it nothing where a message only went on.
type Step = Result<Option<Option<Heard>>, ProtocolError>;

fn assembled(assembler: &mut Assembler, connection: &mut Connection, input: &mut RecvBuf<'_>) -> Step {
    Ok(match assembler.poll(connection, input)? {
        None => None,
        Some(Incoming::Control(event)) => Some(Some(Heard::control(&event))),
        Some(Incoming::Message(message)) => {
            let compressed = message.is_compressed();
            let message = message.as_ref();
            if let MessageRef::Text(text) = message {
                assert!(std::str::from_utf8(text.as_bytes()).is_ok());
            }
            let (kind, payload) = (message.kind(), message.as_bytes().to_vec());
            Some(Some(Heard::Message { kind, payload, compressed }))
        }
    })
}

impl Hand {
    fn step(&mut self, connection: &mut Connection, input: &mut RecvBuf<'_>, limit: u64) -> Step {
        let (kind, payload, compressed, first, last) = match connection.poll_event(input)? {
            None => return Ok(None),
            Some(Event::Data { kind, payload, compressed, first, last, .. }) => {
                (kind, payload, compressed, first, last)
            }
            Some(event) => return Ok(Some(Some(Heard::control(&event)))),
        };
        if first {
            *self = Hand::default();
        }
        let mut take = |part: &[u8]| {
            assert!(part.len() <= 64 << 10 || !compressed, "a small chunk");
            self.payload.extend_from_slice(part);
            assert!(self.payload.len() as u64 <= limit, "inflated beyond the limit");
            match kind {
                MessageKind::Binary => Ok(()),
                MessageKind::Text => self.utf8.push(part, |_| ()).map_err(|_| ProtocolError::InvalidUtf8),
            }
        };
        let taken = if compressed { connection.inflate(payload, last, take) } else { take(payload) };
        let taken = match taken {
            Ok(()) if last && !self.utf8.is_complete() => Err(ProtocolError::InvalidUtf8),
            taken => taken,
        };
        taken.inspect_err(|error| connection.fail(*error))?;
        let payload = last.then(|| std::mem::take(&mut self.payload));
        Ok(Some(payload.map(|payload| Heard::Message { kind, payload, compressed })))
    }
}

fn listen(end: &End, wire: &[u8], cut: Cut, by_hand: bool) -> Story {
    let mut listener = Listener::new(end, by_hand, None);
    cut.pieces(wire).into_iter().for_each(|piece| listener.push(piece));
    listener.story()
}

/// The same comes out however the bytes are cut, and whoever puts it together.
fn however_cut(end: &End, wire: &[u8], seed: u8) -> Story {
    let whole = listen(end, wire, Cut::Whole, false);
    // One by one takes long.
    let single = if wire.len() <= 2000 { Cut::Single } else { Cut::Seeded(seed ^ 0xff) };
    for (cut, by_hand) in [(Cut::Whole, true), (single, false), (single, true), (Cut::Seeded(seed), true)] {
        assert_eq!(listen(end, wire, cut, by_hand), whole, "{cut:?}, by hand: {by_hand}");
    }
    for heard in &whole.heard {
        if let Heard::Message { payload, .. } = heard {
            assert!(payload.len() as u64 <= end.config.max_message_size);
        }
    }
    whole
}

/// What came out is what the messages mean, up to the first that means nothing; and zlib says the same.
fn as_it_should(end: &End, messages: &[Put], story: &Story) {
    let limit = end.config.max_message_size;
    let takeover = takeover(&end.negotiated);
    let (mut reference, mut original) = (Reference::new(takeover), Original::new(takeover, 15));
    let came: Vec<_> = story.heard.iter().filter(|heard| matches!(heard, Heard::Message { .. })).collect();
    for (i, message) in messages.iter().enumerate() {
        let kind = message.kind;
        if message.payload.len() as u64 > limit || end.config.max_fragments < 4 {
            // What its header says is wrong with it, or what has come before: it depends.
            return;
        }
        let (payload, fault) = match message.compressed {
            true => inflate(&mut reference, &mut original, &message.payload, limit),
            false => (message.payload.clone(), Ok(())),
        };
        let error = match (kind, std::str::from_utf8(&payload), fault) {
            (MessageKind::Text, Err(error), fault) if error.error_len().is_some() || fault.is_ok() => {
                Some(ProtocolError::InvalidUtf8)
            }
            (_, _, Ok(())) => None,
            (_, _, Err(Fault::TooBig)) => Some(ProtocolError::MessageTooBig { limit }),
            (_, _, Err(Fault::Wrong | Fault::Cut)) => Some(ProtocolError::InvalidDeflate),
        };
        if error.is_some() {
            assert_eq!((came.len(), story.error), (i, error), "{fault:?} after {} bytes", payload.len());
            return;
        }
        let expected = Heard::Message { kind, payload, compressed: message.compressed };
        assert_eq!(came.get(i), Some(&&expected), "{:?}", story.error);
    }
    assert_eq!((came.len(), story.error), (messages.len(), None));
}

fn inflate(
    reference: &mut Reference,
    original: &mut Original,
    payload: &[u8],
    limit: u64,
) -> (Vec<u8>, Result<(), Fault>) {
    let (meant, fault) = reference.message(payload, limit);
    let (given, refused) = original.message(payload, limit, 1000);
    match fault {
        Ok(()) => assert_eq!((&given, refused), (&meant, Ok(()))),
        // zlib is content with half a block: more may come.
        Err(Fault::Cut) => assert!(given.starts_with(&meant)),
        Err(Fault::TooBig) => assert!(given == meant),
        Err(Fault::Wrong) => assert!(refused.is_err() && given == meant, "{refused:?}"),
    }
    (meant, fault)
}

/// Two connections that share a pool, in which a decompressor lies that has seen a secret, hear what they hear alone.
fn pooled(end: &End, wire: &[u8], seed: u8, alone: &Story) {
    let pool = Pool::shared();
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    let mut before = Listener::new(&End { config, ..*end }, true, Some(&pool));
    before.push(compressed::frame(
        end.role,
        Opcode::Binary,
        Flags { finish: true, compress: true },
        secret(),
    ));
    assert_eq!(before.error, Some(ProtocolError::InvalidDeflate));
    let other = &wire[wire.len().min(7 * usize::from(seed))..];
    let mut both = [wire, other]
        .map(|wire| (Listener::new(end, false, Some(&pool)), Cut::Seeded(seed).pieces(wire).into_iter()));
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for (listener, pieces) in &mut both {
            if let Some(piece) = pieces.next() {
                listener.push(piece);
                moved = true;
            }
        }
    }
    let [one, two] = both.map(|(listener, ..)| listener.story());
    assert!(one == *alone && two == listen(end, other, Cut::Whole, false), "a pool changes nothing");
}

/// A message that fills every window, and then is none: so its decompressor is given back, even if it would be kept.
fn secret() -> &'static [u8] {
    static SECRET: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // A stored block of 0x8200 bytes, then one of a type that there is not.
        let mut payload = vec![0x00, 0x00, 0x82, 0xff, 0x7d];
        payload.extend((0..0x8200_u32).map(|n| b"secret! "[n as usize % 8] ^ (n >> 8) as u8));
        payload.push(0x06);
        payload
    });
    &SECRET
}
