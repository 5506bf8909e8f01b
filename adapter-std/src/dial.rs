//! Reaching a server with blocking sockets: the resolver, the race of the addresses, and tunnels
//! through proxies.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use sockeye_core::dial::{HappyEyeballs, Tunnel};
use sockeye_core::{Instant, RecvBuf};
use sockeye_driver::ConnectError;
use sockeye_driver::dial::{Destination, Unreachable, late_proxy, unresolved};

use crate::clock::{ReadTimeout, is_supported, is_timeout, now};
use crate::stream::Stream;

/// The size of one read of a proxy's answer, which is short.
const READ: usize = 2048;

/// Connects to the first address of the destination that answers, before `deadline`.
pub(crate) fn race(destination: Destination, deadline: Instant) -> io::Result<TcpStream> {
    let addresses = match destination {
        Destination::Addresses(addresses) => addresses,
        Destination::Host { name, port } => resolve(name, port, deadline)?,
    };
    let stream = match addresses[..] {
        // The usual case needs no thread.
        [address] => connect_one(address, deadline).map_err(|error| {
            Unreachable::new(vec![(address, (!is_timeout(&error)).then_some(error))]).into()
        }),
        _ => connect_first(addresses, deadline),
    }?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Resolves a name. The system offers no timeout, so that a thread waits for it, which may outlive
/// the deadline.
fn resolve(name: String, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let (sender, resolved) = mpsc::channel();
    let resolving = name.clone();
    spawn("sockeye-resolve", move || {
        let addresses = (resolving.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // The receiver is gone if the deadline has passed.
        let _ = sender.send(addresses);
    })?;
    match resolved.recv_timeout(deadline.since(now())) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(unresolved(&name, Some(error))),
        Err(_) => Err(unresolved(&name, None)),
    }
}

/// Connects to several addresses as [`HappyEyeballs`] says. Each attempt has a thread, which ends at
/// the deadline at the latest.
fn connect_first(addresses: Vec<SocketAddr>, deadline: Instant) -> io::Result<TcpStream> {
    let mut eyeballs = HappyEyeballs::new(addresses);
    let (sender, results) = mpsc::channel();
    loop {
        while let Some(address) = eyeballs.poll_attempt(now()) {
            if let Err(error) = start_attempt(address, deadline, sender.clone()) {
                eyeballs.handle_failure(address, error);
            }
        }
        if eyeballs.is_exhausted() {
            break;
        }
        let wake_at = eyeballs.poll_timeout().map_or(deadline, |next| next.min(deadline));
        match results.recv_timeout(wake_at.since(now())) {
            Ok((_, Ok(stream))) => return Ok(stream),
            Ok((address, Err(error))) if !is_timeout(&error) => eyeballs.handle_failure(address, error),
            Ok(_) | Err(RecvTimeoutError::Timeout) if deadline <= now() => break,
            Ok((address, Err(error))) => eyeballs.handle_failure(address, error),
            Err(_) => {}
        }
    }
    Err(Unreachable::new(eyeballs.into_attempts()).into())
}

type Attempt = (SocketAddr, io::Result<TcpStream>);

fn start_attempt(address: SocketAddr, deadline: Instant, results: Sender<Attempt>) -> io::Result<()> {
    spawn("sockeye-connect", move || {
        // The receiver is gone if another attempt was faster. The stream is dropped then.
        let _ = results.send((address, connect_one(address, deadline)));
    })
}

fn connect_one(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let left = deadline.since(now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    TcpStream::connect_timeout(&address, left)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Opens a tunnel before `deadline`. Returns the bytes of the server that arrived with the proxy's
/// answer.
pub(crate) fn open_tunnel<S: Stream>(
    stream: &mut S,
    mut tunnel: Tunnel,
    deadline: Instant,
) -> Result<Vec<u8>, ConnectError> {
    let mut timeout = ReadTimeout::default();
    let mut buffer = [0; READ];
    loop {
        let left = deadline.since(now());
        if left.is_zero() {
            return Err(late_proxy().into());
        }
        is_supported(stream.set_write_timeout(Some(left)))?;
        while let Some(bytes) = tunnel.poll_transmit() {
            match stream.write(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(n) => tunnel.transmitted(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(late_proxy().into()),
                Err(error) => return Err(error.into()),
            }
        }
        stream.flush()?;
        timeout.set(stream, Some(left))?;
        let n = match stream.read(&mut buffer) {
            Ok(0) => return Err(tunnel.handle_eof().into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted || is_timeout(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut input = RecvBuf::new(&mut buffer[..n]);
        if tunnel.poll_open(&mut input)? {
            return Ok(input.remaining().to_vec());
        }
    }
}
