//! Reading events from the input, and reacting to time and to the end of the transport.

use alloc::boxed::Box;
use core::time::Duration;

use super::{
    BodyFailure, Delivery, Failure, HttpSettings, Open, OpenError, Phase, Session, SessionEvent, exchange,
};
use crate::assembler::{Assembled, Step as MessageStep};
use crate::event::Event;
use crate::handshake::{client, server};
use crate::http::CONTINUE;
use crate::message::MessageRef;
use crate::{Instant, RecvBuf, State};

/// A step of [`Session::poll_event`]. It borrows only the input, so that the session can take
/// another step.
enum Step<'a> {
    Event(SessionEvent<'a, 'static>),
    /// A message that is whole in the input.
    Whole(MessageRef<'a>),
    /// The assembler holds a whole message.
    Merged,
    /// Something changed; take another step.
    Again,
    /// The session needs more input, room, time or a command.
    Pending,
}

impl Session {
    /// Returns the next event. `None` means that the next one requires more input, progress in
    /// writing, the passing of time, or a decision of the application.
    ///
    /// Consumes the processed part of `input`. In the next call, lend the remaining bytes again,
    /// followed by newly received ones. The session leaves input unprocessed while the application
    /// decides on a handshake. It also does so while
    /// [`Config::high_water_mark`](crate::Config#structfield.high_water_mark) bytes or more are
    /// queued, so that a peer that sends without reading cannot make the queue grow.
    ///
    /// The event borrows the input and, for messages that arrived in parts, the session.
    pub fn poll_event<'a, 'm>(&'m mut self, input: &mut RecvBuf<'a>) -> Option<SessionEvent<'a, 'm>> {
        loop {
            match self.step(input) {
                Step::Event(event) => return Some(event),
                Step::Whole(message) => return Some(SessionEvent::Message(message.into())),
                Step::Again => {}
                Step::Pending => return None,
                Step::Merged => break,
            }
        }
        let Phase::Open(open) = &mut self.phase else { return None };
        let message: Assembled<'a, 'm> = open.assembler.buffered_message();
        Some(SessionEvent::Message(message))
    }

    /// Handles the passing of time. Calling it before [`poll_timeout`](Session::poll_timeout) is
    /// due has no effect.
    ///
    /// Returns true if it was due: poll events, because there may be new ones.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_due = self.poll_timeout().is_some_and(|at| at <= now);
        if is_due {
            self.handle_deadline(now);
        }
        is_due
    }

    fn handle_deadline(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Reading(handshake) => {
                if let Err(error) = handshake.handle_timeout(now) {
                    self.fail_request(error);
                }
            }
            Phase::Connecting(handshake) => {
                if let Err(error) = handshake.handle_timeout(now) {
                    self.fail_response(error);
                }
            }
            Phase::Exchange(exchange) => {
                let timeout = self.http.as_ref().map_or(Duration::MAX, |http| http.body_timeout);
                let is_late = exchange.handle_timeout(now, timeout);
                if is_late && self.unsent.is_some() {
                    // The client did not even read the 100, so it would not read a 408 either.
                    self.end();
                } else if is_late {
                    exchange.fail();
                    self.failure = Some(Box::new(Failure::Body(BodyFailure::TimedOut)));
                }
            }
            Phase::Idle(deadline) => {
                let timeout = |http: &HttpSettings| match self.unsent {
                    Some(_) => http.response_timeout,
                    None => http.keep_alive_timeout,
                };
                if deadline.handle(now, self.http.as_deref().map_or(Duration::MAX, timeout)) {
                    self.end();
                }
            }
            Phase::Open(open) => open.connection.handle_timeout(now),
            Phase::Lingering(linger) => {
                let http = self.http.as_ref().filter(|_| self.unsent.is_some());
                let timeout = http.map(|http| http.response_timeout);
                if linger.handle_timeout(now, timeout) {
                    self.end();
                }
            }
            Phase::Deciding | Phase::Ended { .. } => {}
        }
    }

    /// Reports that the transport has ended or broken. Input that is still in the caller's buffer
    /// counts: lend it as before. Poll events afterwards.
    pub fn handle_eof(&mut self) {
        self.eof = true;
    }

    /// Reports that writing to the transport has failed. Drops unwritten output.
    ///
    /// An open WebSocket and a client's handshake may still receive input, so keep reading until
    /// the end of the transport. In any other phase the session ends, because it could only
    /// respond.
    pub fn handle_write_error(&mut self) {
        self.unsent = None;
        match &mut self.phase {
            Phase::Open(open) => open.connection.handle_write_error(),
            Phase::Connecting(handshake) => handshake.transmitted(usize::MAX),
            Phase::Ended { .. } => {}
            _ => self.end(),
        }
    }

    fn step<'a>(&mut self, input: &mut RecvBuf<'a>) -> Step<'a> {
        if let Some(failure) = self.failure.take() {
            return Step::Event(match *failure {
                Failure::Opening(error) => SessionEvent::NotOpened(error),
                Failure::Body(failure) => SessionEvent::BodyFailed(failure),
            });
        }
        match &mut self.phase {
            // While the client has not read the last response, its next request is not processed.
            Phase::Idle(_) if self.unsent.is_none() && !input.is_empty() => {
                let handshake = server::ServerHandshake::new(self.config.clone());
                self.phase = Phase::Reading(Box::new(handshake));
                Step::Again
            }
            Phase::Idle(_) if self.unsent.is_none() && self.eof => {
                self.end();
                Step::Again
            }
            Phase::Idle(_) => Step::Pending,
            Phase::Reading(handshake) => match handshake.poll_request(input) {
                Ok(Some(request)) => self.receive_request(request).map_or(Step::Again, Step::Event),
                Ok(None) if self.eof => {
                    let error = handshake.handle_eof();
                    self.fail_request(error);
                    Step::Again
                }
                Ok(None) => Step::Pending,
                Err(error) => {
                    self.fail_request(error);
                    Step::Again
                }
            },
            Phase::Connecting(handshake) => {
                // A server may answer before it has read the whole request. The rest of the request
                // must still be written.
                let unsent = handshake.poll_transmit().map(<[u8]>::to_vec);
                match handshake.poll_response(input) {
                    Ok(Some(established)) => {
                        self.establish(established, unsent.as_deref());
                        Step::Again
                    }
                    Ok(None) if self.eof => {
                        let error = handshake.handle_eof();
                        self.fail_response(error);
                        Step::Again
                    }
                    Ok(None) => Step::Pending,
                    Err(error) => {
                        self.fail_response(error);
                        Step::Again
                    }
                }
            }
            Phase::Deciding => Step::Pending,
            Phase::Exchange(_) => self.step_exchange(input),
            Phase::Open(open) => open.step(input, self.eof, self.delivery),
            Phase::Lingering(linger) => {
                let within_bounds = linger.discard(input);
                if !within_bounds || (self.eof && self.unsent.is_none()) {
                    self.end();
                    return Step::Again;
                }
                Step::Pending
            }
            Phase::Ended { reported } => {
                input.take_all();
                if core::mem::replace(reported, true) {
                    return Step::Pending;
                }
                Step::Event(SessionEvent::Ended(None))
            }
        }
    }

    fn step_exchange<'a>(&mut self, input: &mut RecvBuf<'a>) -> Step<'a> {
        let Phase::Exchange(exchange) = &mut self.phase else { return Step::Pending };
        let polled = match exchange.poll(input) {
            Ok(exchange::Step::Pending) if self.eof && exchange.reads_body() => {
                exchange.handle_eof().map(|()| exchange::Step::Pending)
            }
            polled => polled,
        };
        match polled {
            Ok(exchange::Step::Body(part)) => Step::Event(SessionEvent::Body(part)),
            Ok(exchange::Step::End) => Step::Event(SessionEvent::BodyEnd),
            Ok(exchange::Step::Continue) => {
                self.write(CONTINUE);
                Step::Pending
            }
            Ok(exchange::Step::Pending) => Step::Pending,
            Err(error) => {
                if let Phase::Exchange(exchange) = &mut self.phase {
                    exchange.fail();
                }
                Step::Event(SessionEvent::BodyFailed(BodyFailure::Body(error)))
            }
        }
    }

    fn fail_response(&mut self, error: client::ClientHandshakeError) {
        self.refuse(OpenError::Response(error), None);
    }

    /// Ends the session and drops unwritten output.
    pub(super) fn end(&mut self) {
        self.unsent = None;
        self.phase = Phase::Ended { reported: false };
    }
}

impl Open {
    fn step<'a>(&mut self, input: &mut RecvBuf<'a>, eof: bool, delivery: Delivery) -> Step<'a> {
        if let Some(opened) = self.opened.take() {
            return Step::Event(SessionEvent::Open(*opened));
        }
        let state = self.connection.state();
        if state == State::Closed {
            input.take_all();
            if core::mem::replace(&mut self.end_reported, true) {
                return Step::Pending;
            }
            let info = self.connection.close_info().cloned();
            return Step::Event(SessionEvent::Ended(info));
        }
        if input.is_empty() {
            return self.handle_end_of_input(eof);
        }
        if state == State::Open && !delivery.while_full && !self.connection.is_writable() {
            // New input shows that the peer is alive, even if it is not processed yet.
            let waiting = input.remaining().len();
            if waiting > core::mem::replace(&mut self.waiting, waiting) {
                self.connection.handle_waiting();
            }
            return Step::Pending;
        }
        self.waiting = 0;
        let polled = if delivery.in_parts {
            self.connection.poll_event(input).map(|event| event.map(Step::of_event))
        } else {
            self.poll_message(input)
        };
        match polled {
            Ok(Some(step)) => step,
            Ok(None) => Step::Again,
            Err(error) => {
                input.take_all();
                if core::mem::replace(&mut self.failure_reported, true) {
                    return Step::Again;
                }
                Step::Event(SessionEvent::Failed(error))
            }
        }
    }

    /// Reports the end of the transport to the connection, once all input has been processed.
    fn handle_end_of_input<'a>(&mut self, eof: bool) -> Step<'a> {
        self.assembler.release();
        self.connection.handle_processed();
        if !eof {
            return Step::Pending;
        }
        let before = self.connection.state();
        self.connection.handle_eof();
        // A connection that still has to write its Close ends after that.
        if self.connection.state() == before { Step::Pending } else { Step::Again }
    }

    fn poll_message<'a>(
        &mut self,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Step<'a>>, crate::ProtocolError> {
        let step = self.assembler.step(&mut self.connection, input)?;
        Ok(step.map(|step| match step {
            MessageStep::Whole(message) => Step::Whole(message),
            MessageStep::Buffered => Step::Merged,
            MessageStep::Control(control) => Step::Event(SessionEvent::Control(control)),
        }))
    }
}

impl<'a> Step<'a> {
    fn of_event(event: Event<'a>) -> Self {
        Step::Event(match event {
            Event::Data(data) => SessionEvent::Part(data),
            Event::Control(control) => SessionEvent::Control(control),
        })
    }
}
