//! An echo server on mio: many connections on one thread, with deadlines and compression.
use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::{net::Shutdown, sync::Arc, time::Duration};

use mio::{Events, Interest, Poll, Token, net::TcpListener, net::TcpStream};
use sockeye_core::session::{Session, SessionEvent};
use sockeye_core::{Config, Instant, RecvBuf, deflate::Deflate, handshake::server::Policy};

/// Does everything that is possible without waiting. Returns false when the connection is over.
fn pump((stream, session, received): &mut (TcpStream, Session, Vec<u8>), now: Instant) -> bool {
    let mut chunk = [0; 16384];
    loop {
        session.handle_timeout(now); // has no effect before it is due
        let mut input = RecvBuf::new(received);
        while let Some(event) = session.poll_event(&mut input) {
            match event {
                SessionEvent::Upgrade(upgrade) => session.decide(upgrade, &Policy::new()),
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    let _ = session.send(message); // fails only while the connection is closing
                }
                SessionEvent::Ended(_) => return false,
                _ => {}
            }
        }
        let consumed = input.consumed();
        received.drain(..consumed);
        match session.poll_transmit().map(|transmit| stream.write(transmit.first())) {
            Some(Ok(n)) => session.transmitted(n),
            Some(Err(error)) => return error.kind() == WouldBlock,
            None => match stream.read(&mut chunk) {
                Ok(0) => session.handle_eof(),
                Ok(n) => received.extend_from_slice(&chunk[..n]),
                Err(error) => return error.kind() == WouldBlock,
            },
        }
        let _ = session.wants_shutdown().then(|| stream.shutdown(Shutdown::Write));
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    let limits = Config::new().max_frame_size(16 << 20).max_message_size(16 << 20).max_fragments(1 << 17);
    let config = limits.max_send_size(16 << 20).deflate(Deflate::new()).idle_timeout(Duration::from_secs(60));
    let config = Arc::new(config);
    let (mut peers, mut next, start) = (HashMap::new(), Token(1), std::time::Instant::now());
    loop {
        let now = Instant::from_epoch(start.elapsed());
        let timeouts = peers.values().filter_map(|(_, session, _): &(_, Session, _)| session.poll_timeout());
        poll.poll(&mut events, timeouts.min().map(|at| at.since(now)))?;
        let now = Instant::from_epoch(start.elapsed());
        let ready: HashSet<_> = events.iter().map(|event| event.token()).collect();
        while let Ok((mut stream, _)) = listener.accept() {
            poll.registry().register(&mut stream, next, Interest::READABLE | Interest::WRITABLE)?;
            let session = Session::server(config.clone());
            peers.insert(next, (stream, session, Vec::new()));
            next.0 += 1;
        }
        let is_due = |session: &Session| session.poll_timeout().is_some_and(|at| at <= now);
        peers.retain(|token, peer| !(ready.contains(token) || is_due(&peer.1)) || pump(peer, now));
    }
}
