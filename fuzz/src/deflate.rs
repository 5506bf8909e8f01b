//! Any bytes received with compression negotiated.

use std::sync::{Arc, LazyLock};

use sockeye_core::deflate::{CodecPool, Deflate, Negotiated};
use sockeye_core::{
    Assembler, CloseFrame, Config, Connection, Control, Data, Event, Flags, Incoming, MessageKind,
    MessageRef, Opcode, ProtocolError, RecvBuf, Role, Utf8Stream,
};
use sockeye_testkit::deflate::Pool;

use crate::compressed::{self, PeerMessage, agree, compose, takeover};
use crate::input::{Cut, Input};
use crate::original::Original;
use crate::reference::{Fault, Reference};

/// Checks one input: a byte of choices, a seed for the cut, four bytes of settings, then frames of
/// the peer or the material for them.
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
        let outcome = receive_with_all_cuts(&end, &wire, seed);
        check_against_references(&end, &messages, &outcome);
        check_shared_pool(&end, &wire, seed, &outcome);
    } else {
        let wire = input.rest();
        let outcome = receive_with_all_cuts(&end, wire, seed);
        check_shared_pool(&end, wire, seed, &outcome);
    }
}

/// Everything needed to create an end again.
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

/// A control event or a message, with its own data.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Received {
    Message { kind: MessageKind, payload: Vec<u8>, compressed: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame<'static>),
}

impl Received {
    fn control(control: &Control<'_>) -> Self {
        match control {
            Control::Ping(payload) => Received::Ping(payload.to_vec()),
            Control::Pong(payload) => Received::Pong(payload.to_vec()),
            Control::Close(close) => Received::Close(close.clone().into_owned()),
        }
    }
}

/// Everything that an end reports about some bytes, and its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    events: Vec<Received>,
    error: Option<ProtocolError>,
    answers: Vec<u8>,
}

/// An end that receives through an `Assembler`, or assembles messages itself.
struct ReceivingEnd {
    connection: Connection,
    config: Arc<Config>,
    assembler: Assembler,
    manual: Option<ManualAssembly>,
    events: Vec<Received>,
    error: Option<ProtocolError>,
    /// The number of pieces that arrived after the error.
    discarded: usize,
}

/// A message that is not complete yet.
#[derive(Default)]
struct ManualAssembly {
    payload: Vec<u8>,
    utf8: Utf8Stream,
}

impl ReceivingEnd {
    fn new(end: &End, manual: bool, pool: Option<&Arc<dyn CodecPool>>) -> Self {
        let mut connection = end.connection();
        if let Some(pool) = pool {
            connection.set_codec_pool(pool);
        }
        let manual = manual.then(ManualAssembly::default);
        let (assembler, config) = (Assembler::new(), end.config.clone());
        ReceivingEnd { connection, config, assembler, manual, events: Vec::new(), error: None, discarded: 0 }
    }

    fn push(&mut self, mut piece: Vec<u8>) {
        // After an error a few more pieces must be discarded. Skip the rest.
        self.discarded += usize::from(self.error.is_some());
        if self.discarded > 3 {
            return;
        }
        let mut input = RecvBuf::new(&mut piece);
        let mut steps = 2 * input.remaining().len() + 2;
        loop {
            let before = input.remaining().len();
            let step = match &mut self.manual {
                Some(manual) => manual.step(&mut self.connection, &mut input, self.config.max_message_size),
                None => assemble(&mut self.assembler, &mut self.connection, &mut input),
            };
            match step {
                Ok(Some(events)) => self.events.extend(events),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(self.connection.close_info().map(|info| info.clean), Some(false));
                    assert_eq!(self.connection.poll_event(&mut input), Err(error), "the error changed");
                    assert!(input.is_empty());
                    match self.error.replace(error) {
                        Some(before) => assert_eq!(error, before),
                        // Another call to inflate after a failure must not panic.
                        None => _ = self.connection.inflate(b"\xf2\x48\xcd", true, |_| Ok(())),
                    }
                    break;
                }
            }
            assert!(input.remaining().len() < before, "an event took no byte");
            steps -= 1;
            assert!(steps > 0, "the receiver does not stop");
        }
        assert!(input.is_empty(), "input is left");
    }

    fn outcome(self) -> Outcome {
        let transmit = self.connection.poll_transmit();
        let answers = transmit.into_iter().flat_map(|transmit| transmit.slices().flatten().copied());
        Outcome { events: self.events, error: self.error, answers: answers.collect() }
    }
}

/// The next event, if there is one. The inner option is `None` if a message only continues.
type Step = Result<Option<Option<Received>>, ProtocolError>;

fn assemble(assembler: &mut Assembler, connection: &mut Connection, input: &mut RecvBuf<'_>) -> Step {
    Ok(match assembler.poll(connection, input)? {
        None => None,
        Some(Incoming::Control(control)) => Some(Some(Received::control(&control))),
        Some(Incoming::Message(message)) => {
            let compressed = message.is_compressed();
            let message = message.as_ref();
            if let MessageRef::Text(text) = message {
                assert!(std::str::from_utf8(text.as_bytes()).is_ok());
            }
            let (kind, payload) = (message.kind(), message.as_bytes().to_vec());
            Some(Some(Received::Message { kind, payload, compressed }))
        }
    })
}

impl ManualAssembly {
    fn step(&mut self, connection: &mut Connection, input: &mut RecvBuf<'_>, limit: u64) -> Step {
        let (kind, payload, compressed, first, last) = match connection.poll_event(input)? {
            None => return Ok(None),
            Some(Event::Data(Data { kind, payload, compressed, first, last, .. })) => {
                (kind, payload, compressed, first, last)
            }
            Some(Event::Control(control)) => return Ok(Some(Some(Received::control(&control)))),
        };
        if first {
            *self = ManualAssembly::default();
        }
        let mut take = |part: &[u8]| {
            assert!(part.len() <= 64 << 10 || !compressed, "a chunk of inflated data is too large");
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
        Ok(Some(payload.map(|payload| Received::Message { kind, payload, compressed })))
    }
}

fn receive(end: &End, wire: &[u8], cut: Cut, manual: bool) -> Outcome {
    let mut receiver = ReceivingEnd::new(end, manual, None);
    cut.pieces(wire).into_iter().for_each(|piece| receiver.push(piece));
    receiver.outcome()
}

/// Checks that the result depends neither on the cut nor on how messages are assembled.
fn receive_with_all_cuts(end: &End, wire: &[u8], seed: u8) -> Outcome {
    let whole = receive(end, wire, Cut::Whole, false);
    // Single bytes take too long for a long wire.
    let single = if wire.len() <= 2000 { Cut::Single } else { Cut::Seeded(seed ^ 0xff) };
    for (cut, manual) in [(Cut::Whole, true), (single, false), (single, true), (Cut::Seeded(seed), true)] {
        let other = receive(end, wire, cut, manual);
        if !manual || other.error.is_none() {
            assert_eq!(other, whole, "{cut:?}, manual: {manual}");
            continue;
        }
        // The assembler inflates a message when it is whole, and meets its fault later.
        let rest = whole.events.strip_prefix(&other.events[..]).expect("the same events");
        assert!(!rest.iter().any(|event| matches!(event, Received::Message { .. })), "{cut:?}");
    }
    for events in &whole.events {
        if let Received::Message { payload, .. } = events {
            assert!(payload.len() as u64 <= end.config.max_message_size);
        }
    }
    whole
}

/// Checks that the received messages are those of the reference and of zlib, up to the first
/// invalid one.
fn check_against_references(end: &End, messages: &[PeerMessage], outcome: &Outcome) {
    let limit = end.config.max_message_size;
    let takeover = takeover(&end.negotiated);
    let (mut reference, mut original) = (Reference::new(takeover), Original::new(takeover, 15));
    let received: Vec<_> =
        outcome.events.iter().filter(|events| matches!(events, Received::Message { .. })).collect();
    for (i, message) in messages.iter().enumerate() {
        let kind = message.kind;
        if message.payload.len() as u64 > limit || end.config.max_fragments < 4 {
            // The header or the data before it may fail first, so the error depends on the frames.
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
            (_, _, Err(Fault::Invalid | Fault::Truncated)) => Some(ProtocolError::InvalidDeflate),
        };
        if error.is_some() {
            assert_eq!(
                (received.len(), outcome.error),
                (i, error),
                "{fault:?} after {} bytes",
                payload.len()
            );
            return;
        }
        let expected = Received::Message { kind, payload, compressed: message.compressed };
        assert_eq!(received.get(i), Some(&&expected), "{:?}", outcome.error);
    }
    assert_eq!((received.len(), outcome.error), (messages.len(), None));
}

fn inflate(
    reference: &mut Reference,
    original: &mut Original,
    payload: &[u8],
    limit: u64,
) -> (Vec<u8>, Result<(), Fault>) {
    let (expected, fault) = reference.message(payload, limit);
    let (inflated, zlib_result) = original.message(payload, limit, 1000);
    match fault {
        Ok(()) => assert_eq!((&inflated, zlib_result), (&expected, Ok(()))),
        // zlib accepts half a block, since more may follow.
        Err(Fault::Truncated) => assert!(inflated.starts_with(&expected)),
        Err(Fault::TooBig) => assert!(inflated == expected),
        Err(Fault::Invalid) => assert!(zlib_result.is_err() && inflated == expected, "{zlib_result:?}"),
    }
    (expected, fault)
}

/// Checks that two connections with a shared pool receive the same as without it, although the pool
/// holds a decompressor that has seen a secret.
fn check_shared_pool(end: &End, wire: &[u8], seed: u8, alone: &Outcome) {
    let pool = Pool::new().shared();
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    let mut before = ReceivingEnd::new(&End { config, ..*end }, true, Some(&pool));
    before.push(compressed::frame(end.role, Opcode::Binary, Flags { finish: true, rsv1: true }, secret()));
    assert_eq!(before.error, Some(ProtocolError::InvalidDeflate));
    let other = &wire[wire.len().min(7 * usize::from(seed))..];
    let mut both = [wire, other]
        .map(|wire| (ReceivingEnd::new(end, false, Some(&pool)), Cut::Seeded(seed).pieces(wire).into_iter()));
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for (receiver, pieces) in &mut both {
            if let Some(piece) = pieces.next() {
                receiver.push(piece);
                moved = true;
            }
        }
    }
    let [one, two] = both.map(|(receiver, ..)| receiver.outcome());
    assert!(
        one == *alone && two == receive(end, other, Cut::Whole, false),
        "a shared pool changes the result"
    );
}

/// Returns a message that fills every window and is then invalid, so that its decompressor returns
/// to the pool even if the connection would keep it.
fn secret() -> &'static [u8] {
    static SECRET: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // A stored block of 0x8200 bytes, then one of the reserved type.
        let mut payload = vec![0x00, 0x00, 0x82, 0xff, 0x7d];
        payload.extend((0..0x8200_u32).map(|n| b"secret! "[n as usize % 8] ^ (n >> 8) as u8));
        payload.push(0x06);
        payload
    });
    &SECRET
}
