//! Answering requests, and becoming a WebSocket.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::exchange::{Exchange, finalize};
use super::{Failure, Linger, Open, OpenError, Opened, Phase, Session, SessionEvent};
use crate::handshake::client::Established;
use crate::handshake::server::{
    Accept, Accepted, Policy, Refusal, Rejection, ServerHandshakeError, SubprotocolNotOffered, Upgrade,
};
use crate::http::{Request, Response};
use crate::time::Deadline;

/// The bytes of the opening handshake that have not been written yet.
pub(super) struct Unsent {
    bytes: Vec<u8>,
    written: usize,
    /// How much was written when the deadline of the response was set.
    mark: usize,
}

impl Unsent {
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Returns true if `demanded` bytes more have been written since the last time.
    pub(super) fn has_gained(&mut self, demanded: u64) -> bool {
        let has_gained = (self.written - self.mark) as u64 >= demanded;
        if has_gained {
            self.mark = self.written;
        }
        has_gained
    }

    /// Returns true when everything has been written.
    pub(super) fn advance(&mut self, n: usize) -> bool {
        self.written = self.written.saturating_add(n);
        self.written >= self.bytes.len()
    }
}

/// Decisions of the application on a server.
impl Session {
    /// Accepts the upgrade if `policy` does, with the subprotocol that it chooses; otherwise sends
    /// the refusal. To decide without a policy, use [`accept`](Session::accept) and
    /// [`reject`](Session::reject).
    pub fn decide(&mut self, upgrade: Upgrade, policy: &Policy) {
        match policy.decide(&upgrade) {
            // The policy chooses among the offered subprotocols, so this does not fail.
            Ok(accept) => drop(self.accept(upgrade, &accept)),
            Err(rejection) if matches!(self.phase, Phase::Deciding) => self.refuse_request(rejection),
            Err(_) => {}
        }
    }

    /// Accepts the upgrade: queues the 101 and opens the connection. [`SessionEvent::Open`]
    /// follows.
    ///
    /// If the session has ended in the meantime, nothing happens.
    ///
    /// # Errors
    ///
    /// Returns [`SubprotocolNotOffered`] if `accept` names a subprotocol that the client did not
    /// offer. It carries the upgrade, which is still unanswered.
    pub fn accept(&mut self, upgrade: Upgrade, accept: &Accept) -> Result<(), SubprotocolNotOffered> {
        if !matches!(self.phase, Phase::Deciding) {
            return Ok(());
        }
        let Accepted { connection, request, subprotocol, deflate, .. } =
            upgrade.accept(accept, self.config.clone())?;
        self.open(connection, Opened::Server { request, subprotocol, deflate });
        Ok(())
    }

    /// Returns how many bytes of an incomplete request head the session holds.
    #[must_use]
    pub fn received_head(&self) -> usize {
        if let Phase::Reading(handshake) = &self.phase { handshake.received() } else { 0 }
    }

    /// Rejects the upgrade, a plain HTTP request, or a connection that has sent no request yet.
    /// Sends this response, and ends the session once the client has had time to read it.
    /// [`SessionEvent::NotOpened`] follows.
    ///
    /// Interim statuses (1xx) become a 500. If the opening handshake is over, nothing happens.
    pub fn reject(&mut self, response: Response) {
        let response = match &mut self.phase {
            Phase::Deciding | Phase::Reading(_) | Phase::Idle(_) => finalize(response),
            Phase::Exchange(exchange) => exchange.finish(response, true).0,
            _ => return,
        };
        self.refuse(OpenError::Rejected(response.status()), Some(response));
    }

    /// Answers a plain HTTP request. The connection then waits for the next request if the client
    /// allows that, the response does not say `Connection: close`, and the request's body has been
    /// read; otherwise it ends like a [rejected](Session::reject) one, but without an error.
    ///
    /// A body without a `Content-Type` gets one: `text/plain; charset=utf-8` if it is UTF-8, or else
    /// `application/octet-stream`.
    ///
    /// Interim statuses (1xx) become a 500, and a 2xx to CONNECT a 501: the session is not a
    /// tunnel. If the session is not waiting for a response, nothing happens.
    pub fn respond(&mut self, response: Response) {
        self.answer(response, false);
    }

    /// Answers a plain HTTP request like [`respond`](Session::respond), and ends the connection
    /// with that: the response says `Connection: close`.
    pub fn respond_last(&mut self, response: Response) {
        self.answer(response, true);
    }

    fn answer(&mut self, response: Response, is_last: bool) {
        let response = self.dated(response);
        let Phase::Exchange(exchange) = &mut self.phase else { return };
        let (response, keeps_alive) = exchange.finish(response, is_last);
        // After the response, a failure of the body need not be reported any more.
        self.failure = None;
        self.write(&response.encode());
        self.phase =
            if keeps_alive { Phase::Idle(Deadline::start()) } else { Phase::Lingering(Linger::new()) };
    }

    /// Acts on the head of a request.
    pub(super) fn receive_request(&mut self, request: Request) -> Option<SessionEvent<'static, 'static>> {
        if request.has_unknown_expectation() {
            self.refuse_request(Rejection::new(request, Refusal::Expectation));
            return None;
        }
        let is_upgrade = request.headers().contains_token("upgrade", "websocket");
        if let Some(http) = self.http.as_ref().filter(|_| !is_upgrade) {
            let demanded = self.config.demanded_bytes(http.body_timeout);
            let exchange = Exchange::new(&request, http.max_body_size, demanded);
            self.phase = Phase::Exchange(Box::new(exchange));
            return Some(SessionEvent::Request(request));
        }
        match Upgrade::new(request) {
            Ok(upgrade) => {
                self.phase = Phase::Deciding;
                Some(SessionEvent::Upgrade(upgrade))
            }
            Err(rejection) => {
                self.refuse_request(rejection);
                None
            }
        }
    }

    pub(super) fn fail_request(&mut self, error: ServerHandshakeError) {
        self.refuse(OpenError::Request(error), error.response());
    }

    fn refuse_request(&mut self, rejection: Rejection) {
        let response = rejection.response();
        self.refuse(OpenError::Refused(rejection), Some(response));
    }

    /// Ends the opening handshake, after a last response if one is given.
    pub(super) fn refuse(&mut self, error: OpenError, response: Option<Response>) {
        self.failure = Some(Box::new(Failure::Opening(error)));
        match response {
            Some(response) => {
                let response = self.dated(response);
                self.write(&response.encode());
                self.phase = Phase::Lingering(Linger::new());
            }
            None => self.phase = Phase::Ended { reported: false },
        }
    }

    pub(super) fn establish(&mut self, established: Established, unsent: Option<&[u8]>) {
        if let Some(unsent) = unsent {
            self.write(unsent);
        }
        let Established { connection, response, subprotocol, deflate, .. } = established;
        self.open(connection, Opened::Client { response, subprotocol, deflate });
    }

    fn open(&mut self, mut connection: crate::Connection, opened: Opened) {
        if let Some(pool) = &self.pool {
            connection.set_codec_pool(pool);
        }
        self.phase = Phase::Open(Open::new(connection, Some(Box::new(opened))));
    }

    /// Adds the type of the body, and the date if the session knows it. An "origin server with a clock MUST generate a Date
    /// header field" in final responses (RFC 9110 section 6.6.1).
    fn dated(&self, response: Response) -> Response {
        let response = response.with_content_type();
        match self.date {
            Some(date) if !response.headers().contains("date") => response.with_valid_header("Date", &date()),
            _ => response,
        }
    }

    /// Queues bytes of the opening handshake.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let unsent =
            self.unsent.get_or_insert_with(|| Box::new(Unsent { bytes: Vec::new(), written: 0, mark: 0 }));
        unsent.bytes.extend_from_slice(bytes);
    }
}
