//! The same handlers for `sockeye-std`, which calls plain functions.

use smol::block_on;
use sockeye_std::protocol::http::{Request, Response};
use sockeye_std::server::{BoxError, Client, Decision, Handler, HandlerResult, Inbound};
use sockeye_std::{Accept, Frame, Upgrade};
use sockeye_tokio::server as asynchronous;

use crate::handler::Handlers;

impl Handler for Handlers {
    fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        block_on(asynchronous::Handler::handshake(self, client, upgrade))
    }

    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        block_on(asynchronous::Handler::before_handshake_response(self, client, upgrade, accept))
    }

    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        block_on(asynchronous::Handler::open(self, client, request))
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        block_on(asynchronous::Handler::message(self, client, message))
    }

    fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        block_on(asynchronous::Handler::control(self, client, frame))
    }
}
