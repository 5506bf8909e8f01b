//! An error's text is in its own `Display` or in that of its `source`, never in both: programs that
//! print the whole chain would repeat it.

use std::error::Error as StdError;
use std::io;

use sockeye_core::handshake::client::{BadResponse, ClientHandshakeError, Url};
use sockeye_core::handshake::server::{Rejection, ServerHandshakeError, Upgrade};
use sockeye_core::http::{HeadError, Request, Version};
use sockeye_core::session::OpenError;
use sockeye_core::{CloseCode, ProtocolError, SendError};
use sockeye_driver::{AcceptError, ConnectError, Error};

/// Returns the texts of the error and of its causes.
fn chain(error: &dyn StdError) -> Vec<String> {
    let (mut texts, mut source) = (vec![error.to_string()], error.source());
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    texts
}

fn check(error: impl StdError + 'static, length: usize) {
    let texts = chain(&error);
    assert_eq!(texts.len(), length, "{texts:?}");
    for (at, text) in texts.iter().enumerate() {
        assert!(!text.is_empty(), "{texts:?}");
        assert!(texts[at + 1..].iter().all(|cause| !text.contains(&**cause)), "{texts:?}");
    }
}

fn broken() -> io::Error {
    io::Error::other("the cable was cut")
}

fn late() -> ServerHandshakeError {
    ServerHandshakeError::TimedOut { received: 3 }
}

fn bad_request() -> ServerHandshakeError {
    ServerHandshakeError::Head(HeadError::MissingHost)
}

fn bad_response() -> ClientHandshakeError {
    ClientHandshakeError::BadResponse(BadResponse::Head(HeadError::StatusLine))
}

fn rejection() -> Rejection {
    let request = Request::from_parts("GET", "/", Version::Http11, [("host", "a")]).unwrap();
    Upgrade::new(request).unwrap_err()
}

#[test]
fn no_text_appears_twice_in_the_chain_of_a_handshake_error() {
    check(late(), 1);
    check(bad_request(), 2);
    check(ServerHandshakeError::Eof { received: 3 }, 1);
    check(ServerHandshakeError::Over, 1);
    check(bad_response(), 2);
    check(ClientHandshakeError::BadResponse(BadResponse::Accept), 2);
    check(ClientHandshakeError::TimedOut { received: 3 }, 1);
    check(ClientHandshakeError::Eof { received: 3 }, 1);
    check(ClientHandshakeError::Over, 1);
    check(OpenError::Request(late()), 2);
    check(OpenError::Request(bad_request()), 3);
    check(OpenError::Refused(rejection()), 2);
    check(OpenError::Rejected(403), 1);
    check(OpenError::Response(bad_response()), 3);
}

#[test]
fn no_text_appears_twice_in_the_chain_of_an_opening() {
    check(AcceptError::Io(broken()), 2);
    check(AcceptError::Handshake(late()), 1);
    check(AcceptError::Handshake(bad_request()), 2);
    check(AcceptError::Refused(rejection()), 2);
    check(AcceptError::Rejected(403), 1);
    check(ConnectError::Io(broken()), 2);
    check(ConnectError::Url("http://example.com".parse::<Url>().unwrap_err()), 1);
    check(ConnectError::Tls, 1);
    check(ConnectError::Handshake(bad_response()), 2);
}

#[test]
fn no_text_appears_twice_in_the_chain_of_an_open_connection() {
    check(Error::Io(broken()), 2);
    check(Error::Protocol(ProtocolError::ReservedBits), 1);
    check(Error::Send(SendError::InvalidCloseCode(CloseCode::ABNORMAL)), 1);
}

#[cfg(feature = "server")]
#[test]
fn no_text_appears_twice_in_the_chain_of_a_servers_error() {
    use sockeye_core::http::{BodyError, Response};
    use sockeye_driver::server::{Failure, HttpBodyError, PushError, Refused};

    check(HttpBodyError::Body(BodyError::Eof), 1);
    check(HttpBodyError::TimedOut, 1);
    check(HttpBodyError::Io(broken()), 2);
    check(PushError::from(SendError::Closed), 1);
    check(PushError::InvalidControl(SendError::FragmentedControl), 1);
    check(Failure::Error("no such room".into()), 1);
    check(Failure::Error(Error::Io(broken()).into()), 2);
    check(Failure::Panic(Some("at the disco".into())), 1);
    check(Refused::silently(), 1);
    check(Refused::with(Response::text(429, "later")), 1);
}
