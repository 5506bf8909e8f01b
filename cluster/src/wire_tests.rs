//! Tests of the wire form: every message survives, and no input panics.

use proptest::prelude::*;
use sockeye_core::MessageKind;

use super::{Answer, Body, Content, Envelope, Members, Position, Question, WireError};
use crate::id::NodeId;

fn envelope(body: Body<'_>) -> Envelope<'_> {
    Envelope { origin: NodeId::from_u64(7), position: Position { stream: 2, sequence: 3 }, body }
}

fn members() -> Vec<u8> {
    let mut out = Vec::new();
    Members::encode(&mut out, 1, b"Ada");
    Members::encode(&mut out, u64::MAX, b"");
    out
}

fn bodies(encoded: &[u8]) -> Vec<Body<'_>> {
    let text = Content { kind: MessageKind::Text, payload: "grüße".as_bytes() };
    let binary = Content { kind: MessageKind::Binary, payload: &[0xff, 0] };
    vec![
        Body::Publish { topic: "news", message: text },
        Body::Publish { topic: "", message: binary },
        Body::Broadcast { message: text },
        Body::Broadcast { message: binary },
        Body::Push { connection: 9, message: text },
        Body::Push { connection: 9, message: binary },
        Body::Disconnect { connection: 9, code: 4000, reason: "moved" },
        Body::Heartbeat,
        Body::Leave,
        Body::Ask { request: 4, question: Question::Presence { topic: "news" } },
        Body::Ask { request: 4, question: Question::Count { topic: "news" } },
        Body::Ask { request: 4, question: Question::Info { connection: 9 } },
        Body::Answer {
            request: 4,
            answer: Answer::Presence { is_last: true, members: Members::from_encoded(encoded) },
        },
        Body::Answer { request: 4, answer: Answer::Count(12) },
        Body::Answer { request: 4, answer: Answer::Unknown },
        Body::Answer {
            request: 4,
            answer: Answer::Info { is_established: true, age_millis: 5, queued: 6, peer: "127.0.0.1:9" },
        },
    ]
}

#[test]
fn c1_every_body_decodes_to_itself() {
    let encoded = members();
    for body in bodies(&encoded) {
        let envelope = envelope(body);
        let bytes = envelope.encode();
        assert_eq!(Envelope::decode(&bytes), Ok(envelope));
    }
}

#[test]
fn c1_members_keep_their_ids_and_information() {
    let encoded = members();
    let pairs: Vec<_> = Members::from_encoded(&encoded).iter().collect();
    assert_eq!(pairs, [(1, &b"Ada"[..]), (u64::MAX, &b""[..])]);
}

#[test]
fn c1_a_newer_version_and_an_unknown_body_are_unsupported() {
    let mut bytes = envelope(Body::Heartbeat).encode();
    bytes[1] = 200;
    assert_eq!(Envelope::decode(&bytes), Err(WireError::Unsupported));
    bytes[0] = 2;
    assert_eq!(Envelope::decode(&bytes), Err(WireError::Unsupported));
}

#[test]
fn c1_invalid_text_and_cut_headers_are_malformed() {
    let text = Content { kind: MessageKind::Text, payload: b"\xff" };
    let bytes = envelope(Body::Broadcast { message: text }).encode();
    assert_eq!(Envelope::decode(&bytes), Err(WireError::Malformed));
    assert_eq!(Envelope::decode(&bytes[..10]), Err(WireError::Malformed));
    assert_eq!(Envelope::decode(b""), Err(WireError::Malformed));
}

#[test]
fn c1_the_bytes_of_a_message_are_those_of_version_1() {
    let message = Content { kind: MessageKind::Text, payload: b"hi" };
    let bytes = envelope(Body::Publish { topic: "t", message }).encode();
    assert_eq!(bytes, b"\x01\x01\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x03\0\x01thi");
}

proptest! {
    #[test]
    fn c1_decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Envelope::decode(&bytes);
    }

    #[test]
    fn c1_decoding_never_panics_after_a_valid_header(tag in 0u8..20, rest in prop::collection::vec(any::<u8>(), 20..90)) {
        let mut bytes = vec![1, tag];
        bytes.extend(rest);
        if let Ok(envelope) = Envelope::decode(&bytes) {
            let again = envelope.encode();
            prop_assert_eq!(Envelope::decode(&again), Ok(envelope));
        }
    }
}
