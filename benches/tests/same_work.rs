//! Checks that every library does the same work in the benchmarks: each sends back the messages
//! that it received.

use std::cell::RefCell;

use sockeye_benches::{
    Encode, FastWebSockets, Kind, Library, Memory, Shape, Sockeye, SockeyeCore, SockeyeLent, TokioWebSockets,
    Traffic, Tungstenite,
};
use sockeye_core::{Frame, Opcode, Role};

/// Returns the messages that a server wrote.
fn messages(mut wire: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let mut messages: Vec<(Opcode, Vec<u8>)> = Vec::new();
    while let Some((frame, used)) = Frame::unpack(wire).expect("valid frames") {
        match frame.opcode {
            Opcode::Continuation => {
                messages.last_mut().expect("a message has begun").1.extend_from_slice(&frame.data)
            }
            opcode => messages.push((opcode, frame.data.into_owned())),
        }
        wire = &wire[used..];
    }
    assert!(wire.is_empty(), "the bytes end inside a frame");
    messages
}

fn check<L: Library>() {
    let shapes = [16, 125, 1 << 10, 64 << 10, 1 << 20].map(|size| Shape::new(Kind::Ascii, size));
    let more = [
        Shape::new(Kind::MultiByte, 16 << 10),
        Shape::new(Kind::Binary, 16 << 10),
        Shape::new(Kind::MultiByte, 64 << 10).in_fragments(1 << 10),
    ];
    for shape in shapes.into_iter().chain(more) {
        let traffic = Traffic::new(shape);
        let count = traffic.messages.len().min(40) as u64;
        let bytes = count * shape.size as u64;
        assert_eq!(L::decode(Memory::new(&traffic), count), bytes, "{} {shape}", L::NAME);
        for batch in [1, 16] {
            let written = RefCell::new(Vec::new());
            assert_eq!(L::echo(Memory::in_batches(&traffic, batch).keep(&written), count), bytes);
            let opcode = if shape.kind.is_text() { Opcode::Text } else { Opcode::Binary };
            let expected = traffic.messages.iter().take(count as usize).map(|m| (opcode, m.clone()));
            let same = messages(&written.borrow()).into_iter().eq(expected);
            assert!(same, "{} sent back other messages: {shape}, {batch} at a time", L::NAME);
        }
        for role in [Role::Server, Role::Client] {
            let written = RefCell::new(Vec::new());
            let encode = Encode::new(role, shape.kind, traffic.messages[0].clone());
            if L::encode(Memory::new(&traffic).keep(&written), &encode, 20) == Some(20 * shape.size as u64) {
                let sent = messages(&written.borrow());
                assert!(
                    sent.len() == 20 && sent.iter().all(|(_, m)| *m == traffic.messages[0]),
                    "{}",
                    L::NAME
                );
            }
        }
    }
}

#[test]
fn every_library_sends_back_every_message() {
    check::<SockeyeCore>();
    check::<SockeyeLent>();
    check::<Sockeye>();
    check::<Tungstenite>();
    check::<FastWebSockets>();
    check::<TokioWebSockets>();
}
