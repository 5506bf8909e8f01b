//! Sockeye in three configurations: the state machine alone, the driver with owned messages, and
//! the driver with lent ones.

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::{
    Assembler, Config, Connection, Incoming, Instant, MaskKeys, MessageRef, Payload, Prepared, RecvBuf, Role,
};
use sockeye_driver::{Clock, WebSocket};

use super::{BATCH, Encode, Library, spin};
use crate::Memory;

/// The size of a read, as in the driver.
pub(crate) const READ: usize = (64 << 10) + 64;

/// The state machine alone, with borrowed messages.
#[derive(Debug)]
pub struct SockeyeCore;

/// The driver with messages that own their data, as in the other libraries.
#[derive(Debug)]
pub struct Sockeye;

/// The driver with lent messages.
#[derive(Debug)]
pub struct SockeyeLent;

/// A clock that stands still, because these benchmarks have no deadlines.
#[derive(Debug)]
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::EPOCH
    }

    fn poll_until(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        Poll::Pending
    }

    fn cancel(&mut self) {}
}

/// Returns random keys from the generator that the other clients use too.
fn masks() -> MaskKeys {
    Box::new(|| fastrand::u32(..).to_ne_bytes())
}

fn connection(encode: &Encode) -> Connection {
    let mut config = Config::new();
    config.fragment_size = encode.fragment;
    match encode.role {
        Role::Server => Connection::server(Arc::new(config)),
        Role::Client => Connection::client(Arc::new(config), masks()),
    }
}

fn server() -> Connection {
    Connection::server(Arc::new(Config::new()))
}

fn payload(encode: &Encode) -> Payload<'_> {
    encode.text().map_or(Payload::from(&*encode.payload), Payload::from)
}

fn prepare(encode: &Encode) -> Option<Prepared> {
    encode.prepared.then(|| Prepared::new(payload(encode)))
}

/// Reads `count` messages and passes them to `each`. After each read, writes what is queued.
fn drive(mut memory: Memory<'_>, count: u64, mut each: impl FnMut(&mut Connection, MessageRef<'_>)) -> u64 {
    let (mut connection, mut assembler) = (server(), Assembler::new());
    let mut buffer = vec![0; READ];
    let (mut messages, mut bytes) = (0, 0);
    while messages < count {
        // An error means that the next batch is not available yet.
        let Ok(n) = memory.read(&mut buffer) else { continue };
        let mut input = RecvBuf::new(&mut buffer[..n]);
        while messages < count
            && let Some(incoming) = assembler.poll(&mut connection, &mut input).expect("valid frames")
        {
            if let Incoming::Message(message) = incoming {
                let message = message.as_ref();
                bytes += message.as_bytes().len() as u64;
                messages += 1;
                each(&mut connection, message);
            }
        }
        transmit(&mut connection, &mut memory);
    }
    bytes
}

fn transmit(connection: &mut Connection, memory: &mut Memory<'_>) {
    while let Some(transmit) = connection.poll_transmit() {
        let n = memory.write(transmit.first()).expect("writing to memory cannot fail");
        connection.transmitted(n);
    }
}

impl Library for SockeyeCore {
    const NAME: &'static str = "sockeye-core";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        drive(memory, count, |_, message| {
            black_box(message);
        })
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut late = memory.spare();
        drive(memory, count, |connection, message| {
            if !connection.is_writable() {
                transmit(connection, &mut late);
            }
            connection.send(message).expect("the queue has room");
        })
    }

    fn encode(mut memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64> {
        let mut connection = connection(encode);
        let prepared = prepare(encode);
        for i in 1..=count {
            if i % BATCH == 0 || !connection.is_writable() {
                transmit(&mut connection, &mut memory);
            }
            match &prepared {
                Some(prepared) => connection.send_prepared(prepared),
                None => connection.send(payload(encode)),
            }
            .expect("the queue has room");
        }
        transmit(&mut connection, &mut memory);
        Some(count * encode.payload.len() as u64)
    }
}

impl Library for Sockeye {
    const NAME: &'static str = "sockeye";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = WebSocket::new(server(), &[], memory, Still);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let message = ws.recv().await.expect("valid frames").expect("the stream does not end");
                bytes += message.len() as u64;
                black_box(&message);
            }
            bytes
        })
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = WebSocket::new(server(), &[], memory, Still);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let message = ws.recv().await.expect("valid frames").expect("the stream does not end");
                bytes += message.len() as u64;
                ws.feed(message).await.expect("open");
            }
            ws.flush().await.expect("open");
            bytes
        })
    }

    fn encode(memory: Memory<'_>, encode: &Encode, count: u64) -> Option<u64> {
        let mut ws = WebSocket::new(connection(encode), &[], memory, Still);
        let prepared = prepare(encode);
        spin(async {
            for i in 1..=count {
                match &prepared {
                    Some(prepared) => ws.feed_prepared(prepared).await,
                    None => ws.feed(payload(encode)).await,
                }
                .expect("open");
                if i % BATCH == 0 || i == count {
                    ws.flush().await.expect("open");
                }
            }
        });
        Some(count * encode.payload.len() as u64)
    }
}

impl Library for SockeyeLent {
    const NAME: &'static str = "sockeye-lent";

    fn decode(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = WebSocket::new(server(), &[], memory, Still);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let received = ws.recv_with(|message, _| black_box(message).as_bytes().len()).await;
                bytes += received.expect("valid frames").expect("the stream does not end") as u64;
            }
            bytes
        })
    }

    fn echo(memory: Memory<'_>, count: u64) -> u64 {
        let mut ws = WebSocket::new(server(), &[], memory, Still);
        spin(async {
            let mut bytes = 0;
            for _ in 0..count {
                let sent = ws.recv_with(|message, sender| {
                    bytes += message.as_bytes().len() as u64;
                    sender.send(message)
                });
                sent.await
                    .expect("valid frames")
                    .expect("the stream does not end")
                    .expect("the queue has room");
            }
            ws.flush().await.expect("open");
            bytes
        })
    }

    fn encode(_: Memory<'_>, _: &Encode, _: u64) -> Option<u64> {
        None
    }
}
