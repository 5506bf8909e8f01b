//! TLS on a port. Its handshake is a part of the connection's task.

use sockeye_core::Instant;
use sockeye_core::http::Response;

use crate::engine::buffer::ReadBuffer;
use crate::runtime::server::Runtime;
use crate::server::registry::entry::Entry;
use crate::server::registry::refusal::RefusalReason;

/// A transport of a port, which may have TLS.
#[cfg(feature = "_tls")]
pub(crate) type PortIo<I> = crate::tls::MaybeTls<I>;
/// A transport of a port.
#[cfg(not(feature = "_tls"))]
pub(crate) type PortIo<I> = I;

/// The first byte of a TLS client.
#[cfg(feature = "_tls")]
const HANDSHAKE_RECORD: u8 = 22;

/// The transport of a server's connection.
pub(crate) type ServerIo<R> = PortIo<<R as Runtime>::Io>;

/// The reason why TLS has failed, and the answer to a client of plain HTTP. There is no reason if
/// the client left without a byte: a probe, or a browser's spare connection.
pub(crate) type NotSecured<R> = (Option<RefusalReason>, Option<Box<Answer<R>>>);

/// A transport, and the response to send on it.
pub(crate) type Answer<R> = (ServerIo<R>, Response);

/// Returns a transport without TLS.
pub(crate) fn plain<R: Runtime>(io: R::Io) -> ServerIo<R> {
    #[cfg(feature = "_tls")]
    let io = crate::tls::MaybeTls::Plain(io);
    io
}

/// Begins TLS if the port has it, before `deadline`. `input` has been read before.
///
/// # Errors
///
/// Returns the reason if that fails. If the client speaks plain HTTP, also returns the transport and
/// the response. Boxed, so that a silent connection has no room for them.
#[cfg_attr(not(feature = "_tls"), expect(unused_variables, reason = "without the feature, no port has TLS"))]
pub(crate) async fn start_tls<R: Runtime>(
    #[cfg_attr(not(feature = "_tls"), expect(unused_mut, reason = "without the feature, nothing is read"))]
    mut io: R::Io,
    input: &mut ReadBuffer,
    clock: &mut R::Clock,
    entry: &Entry,
    deadline: Instant,
) -> Result<ServerIo<R>, Box<NotSecured<R>>> {
    #[cfg(feature = "_tls")]
    if let Some(tls) = &entry.port.tls {
        use crate::server::connection::first_bytes::read_first_bytes;
        use crate::tls::{MaybeTls, TlsError, accept_tls_after};

        // Until they arrive, the connection has no session, so that a silent client takes little
        // memory.
        match read_first_bytes(&mut io, clock, input, deadline).await {
            Ok(false) => {}
            Ok(true) | Err(_) => return Err(Box::new((None, None))),
        }
        // A TLS client begins with a record of this type (RFC 8446 5.1). No HTTP method does.
        if entry.port.allows_plain && input.unread().first().is_some_and(|first| *first != HANDSHAKE_RECORD) {
            return Ok(plain::<R>(io));
        }
        let accepted = accept_tls_after(io, clock, tls, deadline, input.unread()).await;
        *input = ReadBuffer::default();
        return match accepted {
            Ok(tls) => {
                entry.set_tls(tls.info());
                Ok(tls.into())
            }
            Err((error, io)) => {
                let is_http = matches!(error, TlsError::PlainClient);
                let answer = is_http.then(|| Box::new((MaybeTls::Plain(io), TlsError::plain_response())));
                Err(Box::new((Some(RefusalReason::Tls(error)), answer)))
            }
        };
    }
    Ok(plain::<R>(io))
}
