//! Inflating a payload a slice at a time, so that a caller can do something else in between (T38,
//! T44 of docs/requirements.md).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deflate_support;

use std::sync::Arc;

use deflate_support::*;
use sockeye_core::deflate::Deflate;
use sockeye_core::{
    Assembler, Config, DeflatedMessage, Event, Incoming, InflatingMessage, Message, ProtocolError, Receiver,
    RecvBuf, Role, Sender,
};
use sockeye_testkit::deflate::agree;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// The most that a slice may inflate to.
const SLICE: u64 = (256 + 64) << 10;

fn receiver(config: Config) -> (Sender, Receiver) {
    let mut end = End::server(config.deflate(Deflate::new()));
    let (at_server, _) = agree(&Deflate::new(), &Deflate::new());
    end.connection.enable_deflate(&at_server);
    end.connection.split()
}

/// Returns the frames of a client that compresses each message.
fn frames_of(messages: &[Message]) -> Vec<Vec<u8>> {
    let settings = always();
    let mut sender = deflating_with(false, Config::new().deflate(settings).max_send_size(8 << 20));
    let mut frames = Vec::new();
    for message in messages {
        sender.connection.send(message).unwrap();
        let mut bytes = Vec::new();
        while let Some(transmit) = sender.connection.poll_transmit() {
            let taken = transmit.first().to_vec();
            sender.connection.transmitted(taken.len());
            bytes.extend(taken);
        }
        frames.push(bytes);
    }
    frames
}

/// The messages that arrived, and the largest number of bytes that one step has inflated.
#[derive(Debug, Default)]
struct Arrived {
    messages: Vec<Message>,
    largest: u64,
    steps: usize,
}

/// Receives `bytes`, a slice at a time.
fn receive(receiver: &mut Receiver, bytes: &mut [u8]) -> Result<Arrived, ProtocolError> {
    let (mut assembler, mut arrived) = (Assembler::new(), Arrived::default());
    let mut input = RecvBuf::new(bytes);
    loop {
        let incoming = if receiver.is_inflating() {
            // The input must wait.
            let left = input.remaining().len();
            assert_eq!(receiver.poll_event(&mut input)?, None);
            assert!(receiver.poll_message(&mut input).is_none() && input.remaining().len() == left);
            assembler.resume(receiver)?
        } else {
            match receiver.poll_event(&mut input)? {
                Some(event) => assembler.push_slice(event, receiver)?,
                None => return Ok(arrived),
            }
        };
        if let Some(Incoming::Message(message)) = incoming {
            arrived.messages.push(message.into_message());
        }
        arrived.largest = arrived.largest.max(receiver.take_inflated());
        arrived.steps += 1;
    }
}

#[test]
fn t44_a_large_message_inflates_in_slices_and_the_next_one_waits_for_it() {
    let text: String = (0..400_000).map(|i| char::from(b'a' + (i / 7 * (i % 5) % 26) as u8)).collect();
    let messages = [
        Message::from(vec![0; 2_000_000]),
        Message::from("next"),
        Message::from(text),
        Message::from(vec![7; 1_000_000]),
    ];
    let frames = frames_of(&messages);
    assert!(frames[0].len() < 4096, "{}", frames[0].len());
    let (_, mut receiver) = receiver(Config::new());
    let arrived = receive(&mut receiver, &mut frames.concat()).unwrap();
    assert_eq!(arrived.messages, messages);
    assert!(arrived.largest <= SLICE, "{}", arrived.largest);
    assert!(arrived.steps >= 3_400_000 / SLICE as usize, "{}", arrived.steps);
    assert!(receiver.is_between_messages() && receiver.uninflated_len() == 0);
}

#[test]
fn slices_are_the_same_messages_wherever_the_input_is_cut() {
    let messages = [Message::from(vec![1; 700_000]), Message::from("a text of its own"), Message::from("")];
    let bytes = frames_of(&messages).concat();
    for cut in (0..bytes.len()).step_by(7) {
        let (_, mut receiver) = receiver(Config::new());
        let mut assembler = Assembler::new();
        let mut got = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            let mut part = part.to_vec();
            let mut input = RecvBuf::new(&mut part);
            loop {
                let incoming = match receiver.is_inflating() {
                    true => assembler.resume(&mut receiver).unwrap(),
                    false => match receiver.poll_event(&mut input).unwrap() {
                        Some(event) => assembler.push_slice(event, &mut receiver).unwrap(),
                        None => break,
                    },
                };
                if let Some(Incoming::Message(message)) = incoming {
                    got.push(message.into_message());
                }
            }
        }
        assert_eq!(got, messages, "cut at {cut}");
    }
}

#[test]
fn a_slice_takes_little_of_a_payload_without_output() {
    // Blocks that are empty, but must be read.
    let mut blocks = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(20_000);
    blocks.truncate(blocks.len() - 4);
    let (_, mut receiver) = receiver(Config::new());
    let arrived = receive(&mut receiver, &mut frame(true, BINARY | RSV1, &blocks)).unwrap();
    assert_eq!(arrived.messages, [Message::from(Vec::new())]);
    assert!(arrived.steps >= blocks.len() / (8 << 10), "{}", arrived.steps);
}

#[test]
fn t15_a_bomb_in_slices_stops_at_the_limit_and_keeps_nothing() {
    let bomb = frames_of(&[Message::from(vec![0; 3_000_000])]);
    let (_, mut receiver) = receiver(Config::new());
    let error = receive(&mut receiver, &mut bomb.concat()).unwrap_err();
    assert_eq!(error, ProtocolError::MessageTooBig { limit: 2 << 20 });
    assert!(!receiver.is_inflating() && receiver.uninflated_len() == 0);
    assert_eq!(receiver.poll_event(&mut RecvBuf::new(&mut [])), Err(error));
}

#[test]
fn without_compression_a_slice_is_the_whole_payload() {
    let mut receiver = Receiver::new(Role::Server, Arc::new(Config::new()));
    let mut bytes = frame(true, BINARY, [1; 1000]);
    let Some(Event::Data(data)) = receiver.poll_event(&mut RecvBuf::new(&mut bytes)).unwrap() else {
        panic!()
    };
    let mut got = Vec::new();
    let is_done = receiver.inflate_slice(data.payload, true, |part| {
        got.extend_from_slice(part);
        Ok(())
    });
    assert_eq!((is_done, got), (Ok(true), vec![1; 1000]));
    assert!(!receiver.is_inflating() && receiver.take_inflated() == 0);
    assert_eq!(receiver.inflate_rest(|_| Ok(())), Ok(true));
}

/// Receives `bytes`, and keeps whole messages compressed.
fn keep(receiver: &mut Receiver, bytes: &mut [u8]) -> (Vec<DeflatedMessage>, Option<ProtocolError>) {
    let (mut assembler, mut kept) = (Assembler::new(), Vec::new());
    let mut input = RecvBuf::new(bytes);
    loop {
        match receiver.poll_event(&mut input) {
            Ok(Some(event)) => kept.push(assembler.keep_deflated(event).unwrap()),
            Ok(None) => return (kept, None),
            Err(error) => return (kept, Some(error)),
        }
    }
}

#[test]
fn t43_t44_a_message_that_was_kept_inflates_in_slices_and_says_how_much_it_holds() {
    let messages = [
        Message::from(vec![0; 2_000_000]),
        Message::from("a text ".repeat(40)),
        Message::from(vec![7; 300_000]),
    ];
    // The peer breaks the protocol after them.
    let bytes = [frames_of(&messages).concat(), frame(true, 0x83, b"")].concat();
    let (_, mut receiver) = receiver(Config::new());
    let (kept, error) = keep(&mut receiver, &mut bytes.clone());
    assert!(error.is_some() && kept.len() == messages.len());
    for (kept, message) in kept.into_iter().zip(&messages) {
        let compressed = kept.len();
        let mut inflating = InflatingMessage::from(kept);
        let (mut steps, mut held) = (1, inflating.held());
        assert_eq!(held, compressed);
        let whole = loop {
            let whole = inflating.inflate_slice(&mut receiver).unwrap();
            assert!(receiver.take_inflated() <= SLICE);
            if let Some(whole) = whole {
                break whole;
            }
            assert!(inflating.held() > held);
            assert!(inflating.held() <= compressed + steps * SLICE as usize);
            (steps, held) = (steps + 1, inflating.held());
        };
        assert_eq!(whole, *message);
        assert!(steps >= message.len() / SLICE as usize, "{steps}");
    }
    assert_eq!(receiver.failure(), error);
}

#[test]
fn a_message_that_was_kept_and_cannot_be_inflated_fails_the_connection() {
    let too_long = frames_of(&[Message::from(vec![0; 600_000])]).concat();
    let text = compressed_text(&[0xff]);
    for (bytes, limit, expected) in [
        (frame(true, 0xc2, [0xff, 0xff]), 1 << 20, ProtocolError::InvalidDeflate),
        (too_long, 500_000, ProtocolError::MessageTooBig { limit: 500_000 }),
        (text, 1 << 20, ProtocolError::InvalidUtf8),
    ] {
        let (_, mut receiver) = receiver(Config::new().max_message_size(limit));
        let (kept, _) = keep(&mut receiver, &mut bytes.clone());
        let mut inflating = InflatingMessage::from(kept.into_iter().next().unwrap());
        let error = loop {
            match inflating.inflate_slice(&mut receiver) {
                Ok(whole) => assert_eq!(whole, None),
                Err(error) => break error,
            }
        };
        assert_eq!((error, receiver.failure()), (expected, Some(expected)));
    }
}

/// Returns the frame of a compressed text, in a stored block.
fn compressed_text(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u8;
    frame(true, 0xc1, [&[0, len, 0, !len, 0xff], bytes, &[0]].concat())
}
