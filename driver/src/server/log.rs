//! The log events of a server, emitted with the feature `tracing`, and the report of a failure
//! without it.
#![cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "without the feature, only failures are reported")
)]

use std::error::Error;
use std::io::{self, Write};

#[cfg(feature = "tracing")]
use sockeye_core::http::Excerpt;
use sockeye_core::http::Request;

use crate::runtime::address::Address;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::rate_limit::Excess;
use crate::server::registry::refusal::RefusalInfo;
#[cfg(feature = "tracing")]
use crate::server::registry::refusal::RefusalReason;

/// Reports the failure of a handler: as an event of `tracing`, or on the standard error if the
/// program has no subscriber. Otherwise the first mistake of an application would be invisible.
///
/// The panic hook has already reported a panic.
pub(crate) fn failed(id: ConnectionId, peer: &Address, failure: &dyn Error, is_panic: bool) {
    #[cfg(feature = "tracing")]
    if tracing::dispatcher::has_been_set() {
        tracing::error!(connection = %id, %peer, failure = %Chain(failure), "a handler has failed");
        return;
    }
    if !is_panic {
        let text = escape_control(&Chain(failure).to_string());
        // Nothing can report that the standard error is closed.
        let _ = writeln!(io::stderr(), "sockeye: a handler has failed: {text} (connection {id} from {peer})");
    }
}

/// Escapes control characters: the text may contain input of the peer, which must not control the
/// terminal or begin a line.
fn escape_control(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if c.is_control() {
            escaped.extend(c.escape_default())
        } else {
            escaped.push(c)
        }
        escaped
    })
}

/// Logs a refusal: a warning if the server is at fault or at a limit, otherwise for information.
/// Values that the client sent are escaped, so that they cannot look like another line.
pub(crate) fn refused(id: ConnectionId, peer: &Address, refusal: &RefusalInfo<'_>) {
    #[cfg(feature = "tracing")]
    {
        let status = refusal.status();
        let origin = refusal.origin().map(Excerpt::new).map(tracing::field::display);
        let host = refusal.host().map(Excerpt::new).map(tracing::field::display);
        let path = refusal.path().map(Excerpt::new).map(tracing::field::display);
        if matches!(
            refusal.reason,
            RefusalReason::Limit(_) | RefusalReason::Failed | RefusalReason::Subprotocol { .. }
        ) {
            tracing::warn!(connection = %id, %peer, reason = %refusal, status, origin, host, path, "a connection or request was refused");
        } else {
            tracing::info!(connection = %id, %peer, reason = %refusal, status, origin, host, path, "a connection or request was refused");
        }
    }
}

/// Logs that a client sends more than the rate limit allows: once for each connection.
pub(crate) fn too_fast(id: ConnectionId, peer: &Address, excess: Excess) {
    #[cfg(feature = "tracing")]
    tracing::warn!(connection = %id, %peer, ?excess, "a client exceeds the rate limit");
}

/// Logs that a connection is closed because its peer reads too slowly.
#[cold]
pub(crate) fn slow_reader(id: ConnectionId, peer: &Address, queued: usize) {
    #[cfg(feature = "tracing")]
    tracing::warn!(connection = %id, %peer, queued, "a connection is closed because its peer reads too slowly");
}

/// The span of a connection, in which its task runs: the application's methods, and the events above.
/// It has no cost if no subscriber wants it, and no size without the feature `tracing`.
pub(crate) struct ConnectionSpan {
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

impl ConnectionSpan {
    pub(crate) fn new(id: ConnectionId, peer: &Address) -> Self {
        #[cfg(feature = "tracing")]
        {
            use tracing::field::Empty;
            let span = tracing::info_span!("connection", %id, %peer, client = Empty, path = Empty, subprotocol = Empty);
            ConnectionSpan { span: (!span.is_disabled()).then(|| Box::new(span)) }
        }
        #[cfg(not(feature = "tracing"))]
        ConnectionSpan {}
    }

    /// Enters the span until the returned guard is dropped.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn enter(&self) -> Option<tracing::span::Entered<'_>> {
        self.span.as_ref().map(|span| span.enter())
    }

    #[cfg(not(feature = "tracing"))]
    #[inline]
    pub(crate) fn enter(&self) -> Entered {
        Entered
    }
}

/// The guard of a span that does not exist.
#[cfg(not(feature = "tracing"))]
pub(crate) struct Entered;

/// Adds to the span of the connection, in which this runs, what its handshake has shown.
pub(crate) fn opened(client: &Address, request: &Request, subprotocol: Option<&str>) {
    #[cfg(feature = "tracing")]
    {
        let span = tracing::Span::current();
        span.record("client", tracing::field::display(client));
        span.record("path", tracing::field::display(Excerpt::new(request.path())));
        if let Some(subprotocol) = subprotocol {
            span.record("subprotocol", subprotocol);
        }
    }
}

/// An error with its causes.
struct Chain<'e>(&'e dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_of_the_peer_controls_neither_the_terminal_nor_the_lines() {
        assert_eq!(escape_control("no \u{1b}[2Jroom\r\n\"ü\""), r#"no \u{1b}[2Jroom\r\n"ü""#);
    }
}
