//! An echo server on mio: many connections on one thread, with deadlines and compression.
use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::{net::Shutdown, sync::Arc, time::Duration};

use mio::{Events, Interest, Poll, Token, net::TcpListener, net::TcpStream};
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{Config, Instant, deflate::Deflate, handshake::server::Policy};

/// Does everything that is possible without waiting. Returns false when the connection is over.
fn pump((stream, session, input): &mut (TcpStream, Session, InputBuffer)) -> io::Result<bool> {
    loop {
        while let Some(event) = session.poll_event_from(input) {
            match event {
                SessionEvent::Upgrade(upgrade) => session.decide(upgrade, &Policy::new()),
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    let _ = session.send(message); // fails only while the connection is closing
                }
                SessionEvent::Ended(_) => return Ok(false),
                _ => {}
            }
        }
        let _ = session.wants_shutdown().then(|| stream.shutdown(Shutdown::Write));
        let progress = session.write_with(|bytes| stream.write(bytes))?
            || session.read_with(input, |space| stream.read(space))?;
        if !progress {
            return Ok(true);
        }
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    let config = Config::new().max_size(16 << 20).max_fragments(1 << 17).deflate(Deflate::new());
    let config = Arc::new(config.idle_timeout(Duration::from_secs(60)));
    let (mut peers, mut next, start) = (HashMap::new(), Token(0), std::time::Instant::now());
    let now = || Instant::from_epoch(start.elapsed());
    loop {
        let timeouts = peers.values().filter_map(|(_, session, _): &(_, Session, _)| session.poll_timeout());
        poll.poll(&mut events, timeouts.min().map(|at| at.since(now())))?;
        let ready: HashSet<_> = events.iter().map(|event| event.token()).collect();
        peers.retain(|token, peer| {
            let is_due = peer.1.handle_timeout(now());
            !(is_due || ready.contains(token)) || pump(peer).unwrap_or_else(|e| e.kind() == WouldBlock)
        });
        // Afterwards, because each ended connection has freed a file descriptor.
        while let Ok((mut stream, _)) = listener.accept() {
            next.0 += 1;
            poll.registry().register(&mut stream, next, Interest::READABLE | Interest::WRITABLE)?;
            peers.insert(next, (stream, Session::server(config.clone()), InputBuffer::new()));
        }
    }
}
