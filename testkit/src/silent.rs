//! An address that does not answer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A local address that does not answer connections, like a host behind a firewall: the queue of its
/// listening socket is full, and so the system drops the first packet of each connection.
#[derive(Debug)]
pub struct SilentListener {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl SilentListener {
    /// Opens a listening socket with a short queue, and fills it.
    ///
    /// # Panics
    ///
    /// Panics if the queue does not fill.
    #[must_use]
    pub fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        for _ in 0..1000 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return SilentListener { listener, _queue: queue };
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the queue does not fill");
    }

    /// Returns the address.
    ///
    /// # Panics
    ///
    /// Panics if the system does not tell it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
