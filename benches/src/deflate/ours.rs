//! Sockeye in three configurations: the state machine alone, the driver, and the driver with a
//! compressor for each connection.

use std::io::{Read, Write};
use std::sync::Arc;

use sockeye_core::deflate::{self, CompressionPolicy, Deflate};
use sockeye_core::{Assembler, Config, Incoming, RecvBuf};
use sockeye_driver::WebSocket;

use super::{Connection, Settings, Text};
use crate::Memory;
use crate::libraries::{READ, Still, spin};

/// The state machine alone. Messages are borrowed, codecs come from the driver's pool.
struct Core<'t> {
    connection: sockeye_core::Connection,
    assembler: Assembler,
    memory: Memory<'t>,
    buffer: Vec<u8>,
    /// The bytes that were read and not yet parsed.
    unread: std::ops::Range<usize>,
}

struct Driver<'t>(WebSocket<Memory<'t>, Still>);

pub(super) fn core(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    let connection = connection(settings, Deflate::new());
    Box::new(Core { connection, assembler: Assembler::new(), memory, buffer: vec![0; READ], unread: 0..0 })
}

/// The defaults: a compressor from the pool for each message, and a few KiB of history for each
/// connection.
pub(super) fn pooled(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    Box::new(Driver(WebSocket::new(connection(settings, Deflate::new()), &[], memory, Still)))
}

/// A compressor for each connection, as in the other libraries.
pub(super) fn own(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    let deflate = Deflate::new().memory(deflate::Memory::Compressor);
    Box::new(Driver(WebSocket::new(connection(settings, deflate), &[], memory, Still)))
}

fn connection(settings: Settings, deflate: Deflate) -> sockeye_core::Connection {
    let deflate = deflate
        .level(settings.level)
        .policy(CompressionPolicy::Always)
        .context_takeover(settings.takeover)
        .peer_context_takeover(settings.takeover);
    let offer = b"permessage-deflate; client_max_window_bits".as_slice();
    let (agreed, _) = deflate::accept([offer], &deflate).expect("every server accepts this offer");
    let mut connection = sockeye_core::Connection::server(Arc::new(Config::new().deflate(deflate)));
    connection.enable_deflate(&agreed);
    connection
}

impl Connection for Core<'_> {
    fn receive(&mut self, show: &mut dyn FnMut(&[u8])) {
        loop {
            let mut input = RecvBuf::new(&mut self.buffer[self.unread.clone()]);
            let incoming = self.assembler.poll(&mut self.connection, &mut input).expect("valid frames");
            let received = match incoming {
                Some(Incoming::Message(message)) => {
                    show(message.as_ref().as_bytes());
                    true
                }
                _ => false,
            };
            self.unread.start += input.consumed();
            if received {
                return;
            }
            if self.unread.is_empty() {
                self.unread = 0..self.memory.read(&mut self.buffer).expect("the stream never waits");
            }
        }
    }

    fn send(&mut self, text: &Text) {
        self.connection.send(&*text.text).expect("the queue has room");
        while let Some(transmit) = self.connection.poll_transmit() {
            let n = self.memory.write(transmit.first()).expect("writing to memory cannot fail");
            self.connection.transmitted(n);
        }
    }
}

impl Connection for Driver<'_> {
    fn receive(&mut self, show: &mut dyn FnMut(&[u8])) {
        let message = spin(self.0.recv()).expect("valid frames").expect("the stream does not end");
        show(message.as_bytes());
    }

    fn send(&mut self, text: &Text) {
        spin(self.0.send(&*text.text)).expect("open");
    }
}
