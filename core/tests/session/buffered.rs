//! Input buffers, and reads and writes by closures.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::server::{Policy, Upgrade};
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{Config, Instant};

use super::support::UPGRADE;

/// A transport that moves a limited number of bytes, and then would block or has ended.
struct Transport {
    input: Vec<u8>,
    ends: bool,
    /// How many bytes one call moves.
    step: usize,
    /// How many bytes can still be written.
    room: usize,
    output: Vec<u8>,
    reads: usize,
}

impl Transport {
    fn new(input: &[u8], step: usize) -> Self {
        Transport { input: input.to_vec(), ends: false, step, room: usize::MAX, output: Vec::new(), reads: 0 }
    }
}

impl Read for Transport {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        let n = self.step.min(space.len()).min(self.input.len());
        if n == 0 && !self.ends {
            return Err(ErrorKind::WouldBlock.into());
        }
        space[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.step.min(bytes.len()).min(self.room);
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= n;
        self.output.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Server {
    session: Session,
    input: InputBuffer,
    transport: Transport,
    held: Option<Upgrade>,
    decides: bool,
    messages: Vec<usize>,
    ended: bool,
}

impl Server {
    fn new(config: Config, input: InputBuffer, transport: Transport) -> Self {
        let session = Session::server(Arc::new(config));
        Server { session, input, transport, held: None, decides: true, messages: Vec::new(), ended: false }
    }

    /// The loop of the documentation: does everything that is possible without waiting.
    fn pump(&mut self) -> io::Result<()> {
        let Server { session, input, transport, held, decides, messages, ended } = self;
        loop {
            while let Some(event) = session.poll_event_from(input) {
                match event {
                    SessionEvent::Upgrade(upgrade) if *decides => session.decide(upgrade, &Policy::new()),
                    SessionEvent::Upgrade(upgrade) => *held = Some(upgrade),
                    SessionEvent::Message(message) => {
                        let message = message.into_message();
                        messages.push(message.as_bytes().len());
                        session.send(message).unwrap();
                    }
                    SessionEvent::Ended(_) => *ended = true,
                    _ => {}
                }
            }
            let progress = session.write_with(|bytes| transport.write(bytes))?
                || session.read_with(input, |space| transport.read(space))?;
            if !progress {
                return Ok(());
            }
        }
    }
}

/// Returns a binary message of `len` bytes, masked with zeros.
fn message(len: u16) -> Vec<u8> {
    let mut bytes = vec![0x82, 0xfe];
    bytes.extend(len.to_be_bytes());
    bytes.resize(bytes.len() + 4 + usize::from(len), 0);
    bytes
}

const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

#[test]
fn the_output_is_the_same_for_reads_and_writes_of_all_sizes() {
    let wire = [UPGRADE, &message(300), b"\x01\x81\0\0\0\0a", b"\x80\x81\0\0\0\0b", CLOSE].concat();
    let run = |read_size, step| {
        let mut transport = Transport::new(&wire, step);
        transport.ends = true;
        let mut server = Server::new(Config::new(), InputBuffer::with_read_size(read_size), transport);
        server.pump().unwrap();
        assert!(server.ended && server.input.is_empty(), "reads of {read_size}, steps of {step}");
        assert_eq!(server.messages, [300, 2]);
        server.transport.output
    };
    let expected = run(1 << 14, usize::MAX);
    assert!(expected.starts_with(b"HTTP/1.1 101 ") && expected.ends_with(b"\x81\x02ab\x88\x02\x03\xe8"));
    for size in (0..wire.len()).chain([1 << 20]) {
        assert!(run(size, usize::MAX) == expected, "reads of {size} bytes");
        assert!(run(1 << 14, size.max(1)) == expected, "steps of {size} bytes");
    }
}

#[test]
fn nothing_is_read_while_messages_wait_for_room() {
    let wire = [UPGRADE, &message(1200), &message(200), &message(200)].concat();
    let mut transport = Transport::new(&wire, usize::MAX);
    transport.room = 200;
    let mut server = Server::new(Config::new().high_water_mark(1000), InputBuffer::new(), transport);
    assert_eq!(server.pump().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!((&server.messages[..], server.input.remaining().len()), (&[1200][..], 416));
    let reads = server.transport.reads;
    let read = server.session.read_with(&mut server.input, |space| server.transport.read(space));
    assert_eq!((read.unwrap(), server.transport.reads), (false, reads));
    server.transport.room = usize::MAX;
    assert_eq!(server.pump().unwrap_err().kind(), ErrorKind::WouldBlock, "of the next read");
    assert_eq!((&server.messages[..], server.input.is_empty()), (&[1200, 200, 200][..], true));
}

#[test]
fn a_pump_rests_while_the_application_decides_and_after_the_end_of_the_transport() {
    let mut transport = Transport::new(&[UPGRADE, &message(200)].concat(), usize::MAX);
    transport.ends = true;
    let mut server = Server::new(Config::new(), InputBuffer::new(), transport);
    server.decides = false;
    server.pump().unwrap();
    assert_eq!((server.held.is_some(), server.input.remaining().len()), (true, 208));
    server.pump().unwrap();
    assert_eq!(server.transport.reads, 1, "the pump does not read");
    server.session.decide(server.held.take().unwrap(), &Policy::new());
    server.pump().unwrap();
    assert_eq!((&server.messages[..], server.ended), (&[200][..], true));
    server.pump().unwrap();
    assert_eq!(server.transport.reads, 2, "the end is read once");
}

#[test]
fn an_error_of_a_closure_changes_nothing() {
    let mut server = Server::new(Config::new(), InputBuffer::new(), Transport::new(UPGRADE, usize::MAX));
    server.transport.room = 0;
    for _ in 0..3 {
        assert_eq!(server.pump().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    let read = server.session.read_with(&mut server.input, |_| Err(ErrorKind::WouldBlock));
    assert_eq!(read, Err(ErrorKind::WouldBlock));
    assert!(server.input.is_empty(), "a failed read leaves no bytes");
    let written = server.session.write_with(|_| Ok::<_, ()>(0));
    assert_eq!(written, Ok(false), "a write of nothing is no progress");
    server.transport.room = usize::MAX;
    assert_eq!(server.pump().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(server.transport.output.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(server.session.write_with(|_| Err(())), Ok(false), "nothing is left to write");
}

#[test]
fn bytes_can_be_appended_instead_of_read() {
    let mut session = Session::server(Arc::new(Config::new().high_water_mark(1)));
    let mut input = InputBuffer::new();
    let mut messages = 0;
    let wire = [UPGRADE, &message(200).repeat(10)].concat();
    for byte in wire.chunks(7) {
        input.extend_from_slice(byte);
        if let Some(event) = session.poll_event_from(&mut input) {
            match event {
                SessionEvent::Upgrade(upgrade) => session.decide(upgrade, &Policy::new()),
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    session.send(message).unwrap();
                    messages += 1;
                }
                _ => {}
            }
        }
    }
    // Each message waits until the answer to the one before it has been written.
    while session.write_with(|bytes| Ok::<_, ()>(bytes.len())).unwrap() {
        while let Some(event) = session.poll_event_from(&mut input) {
            if let SessionEvent::Message(message) = event {
                let message = message.into_message();
                session.send(message).unwrap();
                messages += 1;
            }
        }
    }
    assert_eq!((messages, input.is_empty()), (10, true));
}

#[test]
fn handling_a_timeout_reports_whether_it_was_due() {
    let mut session = Session::server(Arc::new(Config::new().handshake_timeout(Duration::from_secs(5))));
    let at = |seconds: u64| Instant::from_epoch(Duration::from_secs(100 + seconds));
    assert!(session.handle_timeout(at(0)), "the session learns the time");
    assert!(!session.handle_timeout(at(4)));
    assert!(session.handle_timeout(at(5)));
    assert!(matches!(session.poll_event_from(&mut InputBuffer::new()), Some(SessionEvent::NotOpened(_))));
}
