//! The chunking of the transport changes nothing (T32), and no input makes the core panic or spin
//! (T33, T34).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use sockeye_core::{Config, Data, Event, MessageKind, ProtocolError, RecvBuf, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Returns a stream with every feature: text split inside characters, interleaved control frames,
/// empty fragments, every form of length, a Close, and data after it.
fn rich_stream(to_server: bool) -> Vec<u8> {
    let text = "añ漢🎉".repeat(3);
    let (head, tail) = text.as_bytes().split_at(5);
    let frames = [
        (TEXT_START, head.to_vec()),
        (PING, b"first".to_vec()),
        (CONTINUATION, Vec::new()),
        (PONG, b"unasked".to_vec()),
        (LAST_CONTINUATION, tail.to_vec()),
        (BINARY, vec![7; 126]),
        (TEXT, Vec::new()),
        (BINARY_START, Vec::new()),
        (PING, Vec::new()),
        (LAST_CONTINUATION, Vec::new()),
        (BINARY, vec![9; 300]),
        (PING, vec![b'p'; 125]),
        (TEXT, b"last".to_vec()),
        (CLOSE, close_payload(4000, "enough ñ")),
        (TEXT, b"too late".to_vec()),
    ];
    frames.iter().flat_map(|(first, payload)| frame(to_server, *first, payload)).collect()
}

/// All observable results of feeding an end: what it received, its error, its output, and its data
/// events.
type Observed = (Vec<Got>, Option<ProtocolError>, Vec<u8>, Vec<(MessageKind, Vec<u8>)>);

fn observe<'a>(server: bool, pieces: impl IntoIterator<Item = &'a [u8]> + Clone) -> Observed {
    let mut end = End::of(server, Config::new());
    for piece in pieces.clone() {
        let _ = end.feed(piece);
    }
    (
        end.got,
        end.error,
        end.connection.poll_transmit().map_or(Vec::new(), |t| t.slices().flatten().copied().collect()),
        observe_data(server, pieces),
    )
}

/// Assembles messages from data events. Checks that `first` and `last` mark the start and end of
/// each.
fn observe_data<'a>(server: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(MessageKind, Vec<u8>)> {
    let mut end = End::of(server, Config::new());
    let (mut whole, mut open) = (Vec::new(), None::<(MessageKind, Vec<u8>)>);
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = RecvBuf::new(&mut bytes);
        while let Ok(Some(event)) = end.connection.poll_event(&mut input) {
            let Event::Data(Data { kind, payload, first, last, .. }) = event else { continue };
            assert_eq!(first, open.is_none(), "`first` must mark the start of a message, and nothing else");
            assert!(
                first || last || !payload.is_empty(),
                "an event must not be empty in the middle of a message"
            );
            let message = open.get_or_insert((kind, Vec::new()));
            assert_eq!(message.0, kind);
            message.1.extend_from_slice(payload);
            whole.extend(if last { open.take() } else { None });
        }
    }
    whole.extend(open);
    whole
}

#[test]
fn t32_the_rich_stream_yields_the_expected_events() {
    for server in [true, false] {
        let (got, error, _, data) = observe(server, [&rich_stream(server)[..]]);
        let text = "añ漢🎉".repeat(3);
        let expected = [
            Got::Ping(b"first".to_vec()),
            Got::Pong(b"unasked".to_vec()),
            Got::Text(text),
            Got::Binary(vec![7; 126]),
            Got::Text(String::new()),
            Got::Ping(Vec::new()),
            Got::Binary(Vec::new()),
            Got::Binary(vec![9; 300]),
            Got::Ping(vec![b'p'; 125]),
            Got::Text("last".into()),
            Got::Close(Some(4000), "enough ñ".into()),
        ];
        assert_eq!((&got[..], error, data.len()), (&expected[..], None, 6));
    }
}

#[test]
fn t32_every_split_point_yields_the_same() {
    for server in [true, false] {
        let stream = rich_stream(server);
        let whole = observe(server, [&stream[..]]);
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(observe(server, [head, tail]), whole, "split at {at}");
        }
    }
}

#[test]
fn t32_every_piece_size_down_to_one_byte_yields_the_same() {
    for server in [true, false] {
        let stream = rich_stream(server);
        let whole = observe(server, [&stream[..]]);
        for size in 1..40 {
            assert_eq!(observe(server, stream.chunks(size)), whole, "pieces of {size}");
        }
    }
}

#[test]
fn t32_the_rest_of_a_split_header_is_not_mistaken_for_a_frame() {
    // A length of 0x8200 looks like an empty message, and so does the masking key 82 80 00 00.
    let long = [header(false, BINARY, 0x8200), vec![7; 0x8200]].concat();
    let masked = [&[BINARY, 0x85, 0x82, 0x80, 0, 0][..], &xor(&[7; 5], [0x82, 0x80, 0, 0])].concat();
    for (server, bytes, len) in [(false, long, 0x8200), (true, masked, 5)] {
        for cut in 1..6 {
            let mut end = End::of(server, Config::new());
            end.feed(&bytes[..cut]).unwrap();
            end.feed(&bytes[cut..]).unwrap();
            assert_eq!(end.got, [Got::Binary(vec![7; len])]);
        }
    }
}

#[test]
fn t32_empty_pieces_change_nothing() {
    for server in [true, false] {
        let stream = rich_stream(server);
        let pieces: Vec<&[u8]> = stream.chunks(3).flat_map(|piece| [piece, &[]]).collect();
        assert_eq!(observe(server, pieces), observe(server, [&stream[..]]));
    }
}

/// Generates a message in any number of fragments, with interleaved control frames.
fn message() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let control = (prop_oneof![Just(PING), Just(PONG)], prop::collection::vec(any::<u8>(), 0..126));
    let part = (prop::collection::vec(control, 0..2), 0..200usize);
    let parts = prop::collection::vec(part, 0..4);
    (".{0,60}", prop::collection::vec(any::<u8>(), 0..400), any::<bool>(), parts).prop_map(
        |(text, bytes, is_text, parts)| {
            let (mut rest, first) =
                if is_text { (text.as_bytes(), TEXT_START) } else { (&bytes[..], BINARY_START) };
            let (mut frames, mut first) = (Vec::new(), first);
            for (controls, len) in parts {
                let (part, tail) = rest.split_at(len.min(rest.len()));
                frames.push((first, part.to_vec()));
                frames.extend(controls);
                (rest, first) = (tail, CONTINUATION);
            }
            frames.push((first | 0x80, rest.to_vec()));
            frames
        },
    )
}

fn stream() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let close = prop::option::of("[a-zñ]{0,60}".prop_map(|reason| (CLOSE, close_payload(3000, &reason))));
    (prop::collection::vec(message(), 0..5), close)
        .prop_map(|(messages, close)| messages.into_iter().flatten().chain(close).collect())
}

/// Cuts `bytes` after 1, 2, … of the given sizes, over and over.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn t32_any_valid_stream_yields_the_same_however_it_is_split(
        stream in stream(), server: bool, sizes in prop::collection::vec(1..50usize, 1..8),
    ) {
        let bytes: Vec<u8> = stream.iter().flat_map(|(first, payload)| frame(server, *first, payload)).collect();
        let whole = observe(server, [&bytes[..]]);
        prop_assert_eq!(whole.1, None);
        prop_assert_eq!(observe(server, pieces(&bytes, &sizes)), whole);
    }

    #[test]
    fn t32_a_valid_stream_with_one_byte_changed_yields_the_same_however_it_is_split(
        stream in stream(), server: bool, at: prop::sample::Index, byte: u8,
        sizes in prop::collection::vec(1..50usize, 1..8),
    ) {
        let mut bytes: Vec<u8> = stream.iter().flat_map(|(first, payload)| frame(server, *first, payload)).collect();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes.splice(at..=at, [byte]);
        }
        let whole = observe(server, [&bytes[..]]);
        let cut = observe(server, pieces(&bytes, &sizes));
        // The messages before the fault, the fault and the answers are the same. How much of a
        // failed message was reported before the fault depends on the chunking.
        prop_assert_eq!((cut.0, cut.1, cut.2), (whole.0, whole.1, whole.2));
    }
}

/// Maps noise to bytes that often start a frame, so that more inputs get past the first two bytes.
fn likely(byte: u8) -> u8 {
    match byte {
        0..100 => [0, TEXT_START, TEXT, BINARY, LAST_CONTINUATION, PING, PONG, CLOSE, 0xfe, 0x84]
            [usize::from(byte) / 10],
        _ => byte,
    }
}

proptest! {
    #![proptest_config(config(3000))]

    /// [`End::feed`] counts the steps.
    #[test]
    fn t33_t34_garbage_neither_panics_nor_spins(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        server: bool, size in 1..50usize,
    ) {
        let mut end = End::of(server, Config::new());
        let failed = end.feed_in(size, &noise.iter().map(|byte| likely(*byte)).collect::<Vec<_>>()).is_err();
        prop_assert!(!failed || end.connection.state() != State::Open);
    }
}

#[test]
fn t34_a_failed_connection_discards_its_input_and_repeats_its_error() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        let error = end.feed(b"\xff\xff").unwrap_err();
        for _ in 0..3 {
            let mut bytes = frame(server, TEXT, "more");
            let mut input = RecvBuf::new(&mut bytes);
            assert_eq!(end.connection.poll_event(&mut input), Err(error));
            assert!(input.is_empty());
        }
        assert_eq!(end.firsts(), [CLOSE]);
    }
}
