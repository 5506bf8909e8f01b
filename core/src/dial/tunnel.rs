//! A connection to a server through a proxy, by HTTP CONNECT or SOCKS5.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::proxy::{Credentials, Scheme};
use super::socks::{Socks, Step};
use super::{Proxy, ProxyError};
use crate::http::{HeadKind, HeadReader};
use crate::{Config, RecvBuf};

/// The limit on 1xx responses before the final one.
const MAX_INTERIM: u8 = 8;

/// Asks a proxy for a connection to a server. Afterwards the bytes in both directions are those of
/// the server.
///
/// Connect to [`Proxy::host`] and [`Proxy::port`], then:
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::dial::{Proxy, Tunnel};
/// use sockeye_core::{Config, RecvBuf};
///
/// let proxy = Proxy::parse("http://proxy.example:3128")?;
/// let mut tunnel = Tunnel::new(&proxy, "example.com", 443, Arc::new(Config::new()))?;
/// // Write:
/// assert_eq!(
///     tunnel.poll_transmit(),
///     Some(&b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"[..])
/// );
/// tunnel.transmitted(tunnel.poll_transmit().map_or(0, <[u8]>::len));
/// // Read, and repeat both until the tunnel is open:
/// let mut received = *b"HTTP/1.1 200 OK\r\n\r\n";
/// assert!(tunnel.poll_open(&mut RecvBuf::new(&mut received))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It has no deadline: the caller sets one for the whole way to the server.
pub struct Tunnel {
    output: Vec<u8>,
    sent: usize,
    state: State,
    has_credentials: bool,
    config: Arc<Config>,
}

#[derive(Debug)]
enum State {
    Http { head: HeadReader, interim: u8 },
    Socks(Socks),
    Open,
    Failed(ProxyError),
}

impl Tunnel {
    /// Begins a tunnel to this host and port. An IPv6 address may have brackets.
    ///
    /// The limits of the proxy's response are [`Config::max_head_size`] and
    /// [`Config::max_headers`].
    ///
    /// # Errors
    ///
    /// Returns [`ProxyError::HostTooLong`] if SOCKS5 cannot carry the host.
    pub fn new(
        proxy: &Proxy,
        host: &str,
        port: u16,
        config: impl Into<Arc<Config>>,
    ) -> Result<Self, ProxyError> {
        let host = host.trim_matches(['[', ']']);
        let credentials = proxy.credentials.as_ref();
        let (output, state) = match proxy.scheme {
            Scheme::Http => {
                let head = HeadReader::new(HeadKind::Response);
                (connect_request(host, port, credentials), State::Http { head, interim: 0 })
            }
            Scheme::Socks5 => {
                let (socks, greeting) = Socks::new(host, port, credentials)?;
                (greeting, State::Socks(socks))
            }
        };
        Ok(Tunnel { output, sent: 0, state, has_credentials: credentials.is_some(), config: config.into() })
    }

    /// Returns the bytes that have not been written yet.
    #[must_use]
    pub fn poll_transmit(&self) -> Option<&[u8]> {
        self.output.get(self.sent..).filter(|rest| !rest.is_empty())
    }

    /// Records that the first `n` of those bytes have been written.
    pub fn transmitted(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n).min(self.output.len());
    }

    /// Returns true once the tunnel is open. If it returns false, write what
    /// [`poll_transmit`](Tunnel::poll_transmit) returns, then read more. Later bytes, which are the
    /// server's, stay in the input.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy refuses, or if its answer is invalid. Later calls return it
    /// again.
    pub fn poll_open(&mut self, input: &mut RecvBuf<'_>) -> Result<bool, ProxyError> {
        let polled = match &mut self.state {
            State::Http { .. } => self.poll_http(input),
            State::Socks(socks) => socks.poll(input).map(|step| match step {
                Step::Read => false,
                Step::Write(output) => {
                    (self.output, self.sent) = (output, 0);
                    false
                }
                Step::Open => true,
            }),
            State::Open => return Ok(true),
            State::Failed(error) => return Err(error.clone()),
        };
        match &polled {
            Ok(false) => {}
            Ok(true) => self.state = State::Open,
            Err(error) => self.fail(error.clone()),
        }
        polled
    }

    /// Handles the end of the connection to the proxy. Returns the error for it.
    pub fn handle_eof(&mut self) -> ProxyError {
        if !matches!(self.state, State::Failed(_)) {
            self.fail(ProxyError::Eof);
        }
        match &self.state {
            State::Failed(error) => error.clone(),
            _ => ProxyError::Eof,
        }
    }

    fn fail(&mut self, error: ProxyError) {
        self.state = State::Failed(error);
        self.output.clear();
    }

    fn poll_http(&mut self, input: &mut RecvBuf<'_>) -> Result<bool, ProxyError> {
        while let State::Http { head, interim } = &mut self.state {
            let polled = head.poll_response(input, &self.config).map_err(ProxyError::BadResponse)?;
            let Some(response) = polled else { return Ok(false) };
            match response.status() {
                // RFC 9110 9.3.6: "Any 2xx (Successful) response indicates that the sender … will
                // switch to tunnel mode immediately after the response header section"; "A client
                // MUST ignore any Content-Length or Transfer-Encoding header fields".
                200..=299 => return Ok(true),
                101 => return Err(ProxyError::Refused(response)),
                100..=199 if *interim < MAX_INTERIM => {
                    *interim = interim.saturating_add(1);
                    *head = HeadReader::new(HeadKind::Response);
                }
                100..=199 => return Err(ProxyError::TooManyInterim),
                407 if self.has_credentials => return Err(ProxyError::CredentialsRefused),
                407 => return Err(ProxyError::CredentialsRequired),
                _ => return Err(ProxyError::Refused(response)),
            }
        }
        Ok(false)
    }
}

/// Writes the request of RFC 9110 9.3.6, with the credentials of RFC 7617.
fn connect_request(host: &str, port: u16, credentials: Option<&Credentials>) -> Vec<u8> {
    let authority = match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{host}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(Credentials { user, password }) = credentials {
        let pair = [user.as_slice(), b":", password].concat();
        request.push_str("Proxy-Authorization: Basic ");
        STANDARD.encode_string(pair, &mut request);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.into_bytes()
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output may contain credentials, so it is not printed.
        let state = match &self.state {
            State::Http { .. } => "http",
            State::Socks(_) => "socks5",
            State::Open => "open",
            State::Failed(_) => "failed",
        };
        f.debug_struct("Tunnel").field("state", &state).field("sent", &self.sent).finish_non_exhaustive()
    }
}
