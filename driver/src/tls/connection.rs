//! rustls' connection of either role, and its states.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, Error};

use super::buffers::Output;

/// A connection of rustls. It owns no buffers.
pub(super) enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The step to take once the connection can send application data.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action<'a> {
    /// Nothing.
    None,
    /// Encrypts and queues these bytes.
    Send(&'a [u8]),
    /// Queues the alert `close_notify`.
    Close,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Take another step.
    Again,
    /// The connection needs input. If it can send application data, the action is done.
    Idle,
    /// The peer has sent `close_notify`.
    PeerClosed,
    /// Both ends have sent `close_notify`.
    Closed,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Connection::Client(_)) { "Client" } else { "Server" })
    }
}

impl Connection {
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }

    /// Takes one step: processes records at the front of `input`, passes plaintext to `deliver`,
    /// and appends records to `output`. Returns how many bytes of `input` it has used.
    pub(super) fn step(
        &mut self,
        input: &mut [u8],
        action: Action<'_>,
        output: &mut Output,
        deliver: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Step, Error>) {
        match self {
            Connection::Client(connection) => {
                handle(connection.process_tls_records(input), action, output, deliver)
            }
            Connection::Server(connection) => {
                handle(connection.process_tls_records(input), action, output, deliver)
            }
        }
    }
}

fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    action: Action<'_>,
    output: &mut Output,
    deliver: &mut dyn FnMut(&[u8]),
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(error)) => break Err(error),
                Some(Ok(AppDataRecord { discard: more, payload, .. })) => {
                    discard += more;
                    deliver(payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            output.append(|space| match data.encode(space) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    Err(required_size)
                }
                Ok(n) => Ok(n),
                Err(EncodeError::AlreadyEncoded) => Ok(0),
            });
            Ok(Step::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // `output` keeps the order, so nothing need be written before the next step.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let mut exhausted = false;
            let mut check = |encrypted| match encrypted {
                Ok(n) => Ok(n),
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    Err(required_size)
                }
                Err(EncryptError::EncryptExhausted) => {
                    exhausted = true;
                    Ok(0)
                }
            };
            match action {
                Action::None => {}
                Action::Send(bytes) => output.append(|space| check(traffic.encrypt(bytes, space))),
                Action::Close => output.append(|space| check(traffic.queue_close_notify(space))),
            }
            if exhausted { Err(Error::EncryptError) } else { Ok(Step::Idle) }
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Idle),
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::Closed) => Ok(Step::Closed),
        // Both configurations have early data turned off.
        Ok(_) => Err(Error::General("early data is turned off".into())),
    };
    (discard, step)
}

thread_local! {
    /// The server name of the ClientHello that this thread processed last.
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Takes the server name of the ClientHello that this thread has just processed.
pub(super) fn take_server_name() -> Option<Box<str>> {
    SERVER_NAME.take()
}

/// Notes the server name for [`take_server_name`], because rustls does not tell it for connections
/// without buffers. It is asked for every ClientHello, also if a session is resumed.
#[derive(Debug)]
pub(super) struct NoteServerName(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for NoteServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.replace(hello.server_name().map(Box::from));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}
