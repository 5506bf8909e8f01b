//! The client behind a proxy: from a PROXY protocol header, or from the fields of each request.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use sockeye_core::RecvBuf;
use sockeye_core::http::Headers;
use sockeye_core::proxy::{ProxyHeader, ProxyHeaderError, ProxyHeaderReader};

use crate::engine::buffer::ReadBuffer;
use crate::runtime::address::Address;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::registry::admission::FullLimit;
use crate::server::registry::hub::Hub;

/// Reads the PROXY protocol header at the beginning of a connection. Also returns the bytes after
/// it.
///
/// # Errors
///
/// Returns an error if the transport breaks or ends, or if the header does not arrive in time.
pub(crate) async fn read_proxy_header<I: Io, C: Clock>(
    io: &mut I,
    clock: &mut C,
    timeout: Duration,
) -> io::Result<(Result<ProxyHeader, ProxyHeaderError>, ReadBuffer)> {
    let (mut reader, mut input) = (ProxyHeaderReader::new(), ReadBuffer::default());
    let deadline = clock.now() + timeout;
    let header = poll_fn(|cx| {
        loop {
            let mut view = RecvBuf::new(input.unread());
            let polled = reader.poll(&mut view);
            let used = view.consumed();
            input.consume(used);
            if let Some(header) = polled.transpose() {
                return Poll::Ready(Ok(header));
            }
            match io.poll_read(cx, input.space()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(n)) => input.filled(n),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    input.release();
                    ready!(poll_deadline(clock, cx, deadline));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    })
    .await?;
    clock.cancel();
    input.release();
    Ok((header, input))
}

/// Finds the client of a request that `nearest` has sent: a client, or the nearest proxy. Returns
/// the host that trusted proxies name.
///
/// # Errors
///
/// Returns the limit that the client has reached.
pub(crate) fn find_client<'h>(
    client: &Client,
    hub: &Hub,
    nearest: &Address,
    headers: &'h Headers,
) -> Result<Option<&'h str>, FullLimit> {
    let proxies = &client.entry().port.trusted_proxies;
    if !proxies.trusts(nearest.ip()) {
        return Ok(None);
    }
    let found = proxies.resolve(nearest.ip(), headers);
    set_peer(client, hub, found.client.map_or_else(|| nearest.clone(), Address::from))?;
    Ok(found.host)
}

/// Sets the client's address, and counts the connection for it.
///
/// # Errors
///
/// Returns the limit that the client has reached.
pub(crate) fn set_peer(client: &Client, hub: &Hub, peer: Address) -> Result<(), FullLimit> {
    hub.recount_address(client.entry(), &peer)
}
