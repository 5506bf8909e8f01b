//! The scenarios with TLS: the port's certificate, and a blocking client.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_driver::server::{Handler, Port};
use sockeye_driver::tls::rustls::pki_types::ServerName;
use sockeye_driver::tls::{ClientTls, Scratch, ServerTls, TlsSession};
use sockeye_testkit::tls::{CA, SERVER};
use sockeye_testkit::{PATIENCE, RawClient, Stream};

/// Returns the port with a certificate for tests.
pub(super) fn with_tls<H: Handler>(port: Port<H>) -> Port<H> {
    port.tls(ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap())
}

/// Connects a client. It begins TLS when it writes or reads for the first time.
pub(super) fn connect(address: SocketAddr) -> RawClient {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    let tls = ClientTls::with_ca_pem(CA).unwrap();
    let session = TlsSession::client(&tls, ServerName::try_from("localhost").unwrap()).unwrap();
    let ends =
        Ends { socket, session: Mutex::new(session), reading: Mutex::new(()), writing: Mutex::new(()) };
    RawClient::over(TlsStream(Arc::new(ends)))
}

/// A handle to a connection. One thread may read while another writes.
struct TlsStream(Arc<Ends>);

struct Ends {
    socket: TcpStream,
    /// Never locked during an operation of the socket.
    session: Mutex<TlsSession>,
    reading: Mutex<()>,
    writing: Mutex<()>,
}

impl Ends {
    fn session(&self) -> MutexGuard<'_, TlsSession> {
        lock(&self.session)
    }

    /// Writes the records that `queue` adds, after those that wait.
    fn write(&self, queue: impl FnOnce(&mut TlsSession) -> io::Result<usize>) -> io::Result<usize> {
        let _writing = lock(&self.writing);
        let (done, records) = {
            let mut session = self.session();
            let mut records = take_output(&mut session);
            let done = queue(&mut session);
            records.extend(take_output(&mut session));
            (done, records)
        };
        (&self.socket).write_all(&records)?;
        done
    }

    /// Reads from the socket once. Returns `None` at its end, or the number of bytes of plaintext.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut scratch = Scratch::take();
        let reserved = self.session().reserved();
        let n = (&self.socket).read(TlsSession::space(&mut scratch, reserved, buffer.len())?)?;
        if n == 0 {
            return Ok(None);
        }
        let (read, answers) = {
            let mut session = self.session();
            let read = session.receive(&mut scratch, reserved, n, buffer);
            (read, !session.output().is_empty())
        };
        if answers {
            self.write(|_| Ok(0))?;
        }
        Ok(Some(read?))
    }

    fn shake_hands(&self) -> io::Result<()> {
        if !self.session().is_handshaking() {
            return Ok(());
        }
        let _reading = lock(&self.reading);
        self.write(|_| Ok(0))?;
        while self.session().is_handshaking() {
            self.receive(&mut [])?.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.shake_hands()?;
        let _reading = lock(&self.0.reading);
        loop {
            let mut session = self.0.session();
            let read = session.read_buffered(buffer);
            if read > 0 || session.is_peer_closed() {
                return Ok(read);
            }
            drop(session);
            match self.0.receive(buffer)? {
                Some(0) => {}
                read => return Ok(read.unwrap_or(0)),
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.shake_hands()?;
        self.0.write(|session| Ok(session.send(&[IoSlice::new(bytes)])?))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for TlsStream {
    fn try_clone(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TlsStream(self.0.clone())))
    }

    fn shutdown(&self) -> io::Result<()> {
        // A client that has said nothing does not begin now.
        if !self.0.session().is_handshaking() {
            self.0.write(|session| {
                session.close();
                Ok(0)
            })?;
        }
        self.0.socket.shutdown(Shutdown::Write)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.0.socket.local_addr().ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_output(session: &mut TlsSession) -> Vec<u8> {
    let records = session.output().to_vec();
    session.sent(records.len());
    records
}
