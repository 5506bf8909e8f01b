//! Checks that every library does the same work in the benchmarks of compression: what it sends
//! inflates to the original, and what it receives is what was compressed.

use std::cell::RefCell;

use sockeye_benches::deflate::{LIBRARIES, Library, Settings, Text};
use sockeye_benches::{Kind, Memory, RawInflate, Shape, Traffic};

const SETTINGS: [Settings; 4] = [
    Settings { level: 6, takeover: true },
    Settings { level: 6, takeover: false },
    Settings { level: 1, takeover: true },
    Settings { level: 1, takeover: false },
];

/// Returns the payloads of a server's frames, each of which is a whole compressed text.
fn payloads(mut wire: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while let [first, len, rest @ ..] = wire {
        assert_eq!(*first, 0b1100_0001, "FIN, RSV1 and text");
        let (len, rest) = match len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().expect("eight bytes")) as usize, &rest[8..]),
            len => (usize::from(*len), rest),
        };
        let (payload, rest) = rest.split_at(len);
        payloads.push(payload);
        wire = rest;
    }
    assert!(wire.is_empty(), "the bytes end inside a frame");
    payloads
}

fn check_receive(library: &Library, shape: Shape, settings: Settings) {
    let traffic = Traffic::deflated(shape, settings.takeover);
    let mut connection = (library.open)(Memory::new(&traffic), settings);
    // The second lap checks that the traffic can be read again.
    for (i, message) in traffic.messages.iter().chain(&traffic.messages).enumerate() {
        connection.receive(&mut |received| {
            assert!(
                received == message,
                "{} received another message: {shape}, {settings}, {i}",
                library.name
            );
        });
    }
}

fn check_send(library: &Library, shape: Shape, settings: Settings) {
    let traffic = Traffic::new(shape);
    let messages = Text::all(&traffic);
    let written = RefCell::new(Vec::new());
    let mut connection = (library.open)(Memory::new(&traffic).keep(&written), settings);
    messages.iter().for_each(|message| connection.send(message));
    let written = written.borrow();
    let sent = payloads(&written);
    assert_eq!(sent.len(), messages.len(), "{}", library.name);
    let (mut inflate, mut inflated) = (RawInflate::new(settings.takeover), Vec::new());
    for (i, (payload, message)) in sent.into_iter().zip(&messages).enumerate() {
        inflate.message(payload, &mut inflated);
        assert!(
            inflated == message.text.as_bytes(),
            "{} sent another message: {shape}, {settings}, {i}",
            library.name
        );
    }
}

#[test]
fn every_library_inflates_and_deflates_the_same() {
    // zlib-rs alone has no frames.
    let libraries = LIBRARIES.iter().filter(|library| library.name != "zlib-rs alone");
    for library in libraries {
        for shape in [1 << 10, 64 << 10].map(|size| Shape::new(Kind::Json, size)) {
            for settings in SETTINGS {
                check_receive(library, shape, settings);
                check_send(library, shape, settings);
            }
        }
    }
}

#[test]
fn messages_differ_and_repeat_like_an_application_s() {
    let traffic = Traffic::deflated(Shape::new(Kind::Json, 1 << 10), true);
    assert!(traffic.messages.len() >= 256, "the traffic has at least 256 KiB");
    let mut distinct = traffic.messages.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), traffic.messages.len());
    let compressed: usize = traffic.compressed.iter().map(Vec::len).sum();
    let plain: usize = traffic.messages.iter().map(Vec::len).sum();
    assert!((2..5).contains(&(plain / compressed)), "{plain} to {compressed}");
}
