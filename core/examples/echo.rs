// An echo server on blocking sockets, with a thread for each connection. The crate's documentation
// includes this program.
//
// `cargo run --release -p sockeye-core --example echo`, optionally followed by `-- ADDRESS`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use sockeye_core::handshake::server::Policy;
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{CloseCode, Config, Instant};

/// Takes all events that `input` contains. Returns false after the last event of the session.
fn take_events(session: &mut Session, input: &mut InputBuffer, policy: &Policy) -> bool {
    while let Some(event) = session.poll_event_from(input) {
        match event {
            SessionEvent::Upgrade(upgrade) => session.decide(upgrade, policy),
            SessionEvent::Message(message) => {
                let message = message.into_message();
                // Both fail only while the connection is closing. There is room for an answer: the
                // session takes a message only then.
                let _ = match message.as_bytes() {
                    b"bye" => session.close(CloseCode::NORMAL, "bye"),
                    _ => session.send(message),
                };
            }
            SessionEvent::Ended(_) => return false,
            _ => {}
        }
    }
    true
}

fn echo(mut stream: TcpStream, config: Arc<Config>) -> io::Result<()> {
    let (policy, start) = (Policy::new(), std::time::Instant::now());
    let (mut session, mut input) = (Session::server(config), InputBuffer::new());
    while take_events(&mut session, &mut input, &policy) {
        // Time.
        let now = Instant::from_epoch(start.elapsed());
        let timeout = session.poll_timeout();
        if timeout.is_some_and(|at| at <= now) {
            session.handle_timeout(now);
            continue;
        }
        let wait = timeout.map(|at| at.since(now));

        // Bytes out. Each write makes room, so the next round takes events again.
        if session.poll_transmit().is_some() {
            stream.set_write_timeout(wait)?;
            if let Err(error) = session.write_with(|bytes| stream.write(bytes))
                && !is_retryable(&error)
            {
                session.handle_write_error();
            }
            continue;
        }

        // The end, and more bytes in.
        if session.wants_shutdown() {
            let _ = stream.shutdown(Shutdown::Write);
        }
        stream.set_read_timeout(wait)?;
        if let Err(error) = session.read_with(&mut input, |space| stream.read(space))
            && !is_retryable(&error)
        {
            session.handle_eof();
        }
    }
    Ok(())
}

fn is_retryable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let config = Arc::new(Config::new());
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Most likely out of file descriptors: give some connections time to end.
            thread::sleep(std::time::Duration::from_millis(100));
            continue;
        };
        // If the option cannot be set, the socket is broken and the first read reports it.
        let _ = stream.set_nodelay(true);
        let config = config.clone();
        thread::spawn(move || echo(stream, config));
    }
}
