//! The memory that a peer can make a connection allocate (T10, T12, T14, W12). The allocator counts
//! per thread, and every test runs on its own thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use sockeye_core::{Assembler, Config, Connection, Incoming, RecvBuf};
use sockeye_testkit::frames::*;
use sockeye_testkit::memory::{self, CountingAllocator, measure};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// An end that borrows its input, so that only the core's allocations are counted.
struct Bare {
    connection: Connection,
    assembler: Assembler,
    messages: usize,
}

impl Bare {
    fn new(config: Config) -> Self {
        Bare { connection: Connection::server(Arc::new(config)), assembler: Assembler::new(), messages: 0 }
    }

    /// Returns false if the connection has failed.
    fn feed(&mut self, bytes: &mut [u8]) -> bool {
        let mut input = RecvBuf::new(bytes);
        loop {
            match self.assembler.poll(&mut self.connection, &mut input) {
                Ok(Some(Incoming::Message(message))) => self.messages += message.as_ref().as_bytes().len(),
                Ok(Some(Incoming::Control(_))) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

#[test]
fn t10_a_declared_length_allocates_almost_nothing_until_the_payload_arrives() {
    for first in [TEXT, BINARY, TEXT_START, BINARY_START] {
        for declared in [2 << 20, 1 << 40, i64::MAX as u64] {
            let mut end = Bare::new(Config::new().max_frame_size(u64::MAX).max_message_size(u64::MAX));
            let mut head = header(true, first, declared);
            let (live, peak, alive) = measure(|| end.feed(&mut head));
            assert!(alive && live == 0 && peak == 0, "{live} {peak}");
            let (live, peak, _) = measure(|| end.feed(&mut xor(&[b'x'; 100], MASK_KEY)));
            assert!(live <= 256 && peak <= 512, "{live} {peak}");
        }
    }
}

#[test]
fn t10_memory_grows_with_the_received_bytes_and_is_freed_after_the_message() {
    let mut end = Bare::new(Config::new());
    let mut head = header(true, BINARY, 2 << 20);
    let mut piece = vec![0; 1 << 10];
    let (live, peak, _) = measure(|| {
        assert!(end.feed(&mut head));
        for n in 1..2 << 10 {
            assert!(end.feed(&mut piece));
            assert!(memory::live() > 0 && memory::peak() < 16 << 20, "{n}");
        }
        let held = end.messages;
        assert!(end.feed(&mut piece));
        assert_eq!((held, end.messages), (0, 2 << 20));
    });
    assert_eq!(live, 0, "all memory is freed after the message");
    assert!(peak <= 3 << 20, "a doubling holds the old and the new buffer: {peak}");
}

#[test]
fn t12_a_million_fragments_of_one_byte_take_little_more_than_the_message() {
    let mut end = Bare::new(Config::new().max_fragments(u32::MAX));
    let mut begin = frame(true, TEXT_START, "x");
    let fragments = frame(true, CONTINUATION, "x").repeat(1000);
    let mut lent = fragments.clone();
    let (live, peak, _) = measure(|| {
        assert!(end.feed(&mut begin));
        for _ in 0..1000 {
            lent.copy_from_slice(&fragments);
            assert!(end.feed(&mut lent));
        }
    });
    assert!(live <= 1_050_000 && peak <= 2_100_000, "{live} {peak}");
}

#[test]
fn t12_empty_fragments_allocate_nothing() {
    let mut end = Bare::new(Config::new());
    let mut bytes = [frame(true, TEXT_START, ""), frame(true, CONTINUATION, "").repeat(10_000)].concat();
    let (live, peak, alive) = measure(|| end.feed(&mut bytes));
    assert!(alive && live == 0 && peak == 0, "{live} {peak}");
}

#[test]
fn t14_a_flood_of_pings_to_a_blocked_writer_takes_at_most_twice_the_mark() {
    let mut end = Bare::new(Config::new());
    let pings = frame(true, PING, [b'p'; 125]).repeat(1000);
    let mut lent = pings.clone();
    let (live, peak, _) = measure(|| {
        for _ in 0..200 {
            lent.copy_from_slice(&pings);
            assert!(end.feed(&mut lent));
        }
    });
    // A buffer that doubles has 128 KiB after it passes the mark of 64 KiB.
    assert!(live <= 130 << 10 && peak <= 200 << 10, "{live} {peak}");
}

/// The peer always reads all but the last byte of the answers to its pings.
#[test]
fn m4_a_queue_that_is_never_quite_empty_does_not_grow() {
    let mut end = Bare::new(Config::new());
    let ping = frame(true, PING, [b'p'; 125]);
    let mut lent = ping.clone();
    let (live, peak, _) = measure(|| {
        for _ in 0..10_000 {
            lent.copy_from_slice(&ping);
            assert!(end.feed(&mut lent));
            let queued = end.connection.queued();
            assert!(queued <= 128);
            end.connection.transmitted(queued - 1);
        }
    });
    assert!(live <= 64 << 10 && peak <= 96 << 10, "{live} {peak}");
}

/// The same with large payloads between the small ones, which are queued by reference.
#[test]
fn m4_a_queue_of_large_and_small_messages_that_is_never_quite_empty_does_not_grow() {
    let mut end = Bare::new(Config::new());
    let (live, _, _) = measure(|| {
        for n in 0..1000 {
            end.connection.send("small").unwrap();
            end.connection.send(vec![0; 5000 + n % 7]).unwrap();
            end.connection.send("small").unwrap();
            end.connection.transmitted(end.connection.queued() - 1 - n % 9);
        }
    });
    assert!(live <= 64 << 10, "{live}");
}

#[test]
fn an_idle_connection_owns_no_heap_memory() {
    let config = Arc::new(Config::new());
    let (live, _, mut connection) = measure(|| Connection::server(config.clone()));
    assert_eq!(live, 0);
    let (live, _, _) = measure(|| {
        connection.send("hello").unwrap();
        connection.transmitted(usize::MAX);
        drop(connection.reclaim_buffer());
    });
    assert_eq!(live, 0);
    let (live, _, ()) = measure(|| {
        connection.send(&[0; 20_000]).unwrap();
        connection.send(vec![0; 100_000]).unwrap();
        connection.transmitted(usize::MAX);
    });
    assert_eq!(live, 0, "a large buffer is not kept");
}

#[test]
fn a_lent_buffer_can_be_reclaimed() {
    let mut connection = Connection::server(Arc::new(Config::new()));
    let buffer = Vec::with_capacity(1000);
    let at = buffer.as_ptr();
    let (live, _, ()) = measure(|| {
        connection.lend_buffer(|| buffer);
        connection.send("hello").unwrap();
        assert_eq!(connection.reclaim_buffer(), None);
    });
    assert_eq!(live, 0);
    connection.transmitted(usize::MAX);
    let buffer = connection.reclaim_buffer().unwrap();
    assert_eq!((buffer.as_ptr(), buffer.len(), buffer.capacity()), (at, 0, 1000));
}

#[test]
fn an_incomplete_message_is_freed_when_its_connection_fails_or_closes() {
    for end_of_it in [frame(true, CONTINUATION, b"\xff"), b"\xff\xff".to_vec(), frame(true, CLOSE, "")] {
        let mut end = Bare::new(Config::new());
        let mut begin = frame(true, TEXT_START, vec![b'x'; 1 << 20]);
        let mut end_of_it = end_of_it;
        let (live, _, ()) = measure(|| {
            assert!(end.feed(&mut begin));
            end.feed(&mut end_of_it);
        });
        assert!(live <= 1024, "{live}");
    }
}

#[test]
fn an_abort_frees_the_queue() {
    let mut connection = Connection::server(Arc::new(Config::new()));
    let (live, _, ()) = measure(|| {
        connection.send(vec![0; 1 << 20]).unwrap();
        connection.abort();
    });
    assert!(live <= 256, "{live}");
}

#[test]
fn t14_a_queue_that_waits_for_the_peer_takes_little_more_memory_than_its_bytes() {
    for shared in [false, true] {
        let mut connection = Connection::server(Arc::new(Config::new()));
        if shared {
            connection.send(vec![0; 5000]).unwrap();
            connection.transmitted(5000 + 4);
        }
        let lent = Vec::with_capacity(64 << 10);
        let at = lent.as_ptr();
        let (live, _, ()) = measure(|| {
            connection.lend_buffer(|| lent);
            connection.send(&[1; 30_000]).unwrap();
            // Nearly all of the lent buffer is needed once this is queued.
            connection.send(&[2; 28_000]).unwrap();
            assert_eq!(connection.handle_blocked(), None);
            connection.transmitted(57_000);
            let buffer = connection.handle_blocked().unwrap();
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (at, 64 << 10));
            assert_eq!(connection.handle_blocked(), None);
            std::mem::forget(buffer);
        });
        assert_eq!(connection.queued(), 58_000 + 8 - 57_000);
        assert!(live <= (64 << 10) + 512 + connection.queued() as isize, "{live}");
        let rest: Vec<u8> = connection.poll_transmit().unwrap().slices().flatten().copied().collect();
        assert!(rest.len() == 1008 && rest.iter().all(|byte| *byte == 2));
    }
}

#[test]
fn t14_a_lent_buffer_of_half_the_use_is_returned_when_the_transport_is_blocked() {
    let mut connection = Connection::server(Arc::new(Config::new()));
    connection.lend_buffer(|| Vec::with_capacity(32 << 10));
    connection.send(&[1; 16 << 10]).unwrap();
    assert!(connection.handle_blocked().is_some_and(|buffer| buffer.capacity() == 32 << 10));
    assert_eq!(connection.queued(), (16 << 10) + 4);
}

/// A peer that reads nearly everything, again and again, leaves the memory of a long queue to the
/// few bytes that are left.
#[test]
fn t14_a_queue_that_shrinks_gives_its_memory_back() {
    let mut connection = Connection::server(Arc::new(Config::new()));
    let (live, _, ()) = measure(|| {
        connection.send(&[1; 60_000]).unwrap();
        connection.transmitted(59_990);
    });
    assert!(live <= 4 << 10, "{live}");
}
