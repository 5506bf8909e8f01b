//! SOCKS5 (RFC 1928), with user names and passwords (RFC 1929).

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::proxy::Credentials;
use super::{ProxyError, SocksRefusal};
use crate::RecvBuf;

const VERSION: u8 = 5;
/// RFC 1928 3: "NO AUTHENTICATION REQUIRED".
const NO_AUTHENTICATION: u8 = 0;
/// RFC 1928 3: "USERNAME/PASSWORD".
const USER_PASSWORD: u8 = 2;
/// RFC 1929 2: "The VER field contains the current version of the subnegotiation".
const SUBNEGOTIATION: u8 = 1;
/// RFC 1928 4: "CONNECT".
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The exchange with a SOCKS proxy.
pub(super) struct Socks {
    stage: Stage,
    /// The message of RFC 1929, if there are credentials.
    login: Option<Vec<u8>>,
    request: Vec<u8>,
    /// The part of the answer that has arrived.
    answer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Method,
    Login,
    Reply,
}

/// The next need of the exchange.
pub(super) enum Step {
    /// More bytes of the proxy.
    Read,
    /// Write these bytes, then read.
    Write(Vec<u8>),
    /// The tunnel is open.
    Open,
}

impl Socks {
    /// Returns the exchange and its first message.
    pub(super) fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<(Self, Vec<u8>), ProxyError> {
        let methods: &[u8] =
            if credentials.is_some() { &[NO_AUTHENTICATION, USER_PASSWORD] } else { &[NO_AUTHENTICATION] };
        let mut greeting = vec![VERSION];
        push_prefixed(&mut greeting, methods)?;
        let login = match credentials {
            Some(Credentials { user, password }) => {
                let mut login = vec![SUBNEGOTIATION];
                push_prefixed(&mut login, user)?;
                push_prefixed(&mut login, password)?;
                Some(login)
            }
            None => None,
        };
        let request = connect_request(host, port)?;
        let socks = Socks { stage: Stage::Method, login, request, answer: Vec::new() };
        Ok((socks, greeting))
    }

    /// Reads the answer to the last message.
    pub(super) fn poll(&mut self, input: &mut RecvBuf<'_>) -> Result<Step, ProxyError> {
        loop {
            let missing = answer_len(self.stage, &self.answer)?.saturating_sub(self.answer.len());
            if missing == 0 {
                return self.finish_stage();
            }
            let bytes = input.take(missing);
            if bytes.is_empty() {
                return Ok(Step::Read);
            }
            self.answer.extend_from_slice(bytes);
        }
    }

    fn finish_stage(&mut self) -> Result<Step, ProxyError> {
        let code = self.answer.get(1).copied().unwrap_or(u8::MAX);
        self.answer.clear();
        match (self.stage, code) {
            (Stage::Method, NO_AUTHENTICATION) | (Stage::Login, 0) => {
                self.stage = Stage::Reply;
                self.login = None;
                Ok(Step::Write(core::mem::take(&mut self.request)))
            }
            (Stage::Method, USER_PASSWORD) => {
                self.stage = Stage::Login;
                // A proxy that chooses a method that was not offered does not follow the RFC.
                self.login.take().map(Step::Write).ok_or(ProxyError::NotSocks)
            }
            // RFC 1928 3: "NO ACCEPTABLE METHODS".
            (Stage::Method, 0xff) if self.login.is_none() => Err(ProxyError::CredentialsRequired),
            (Stage::Method, 0xff) | (Stage::Login, _) => Err(ProxyError::CredentialsRefused),
            (Stage::Method, _) => Err(ProxyError::NotSocks),
            (Stage::Reply, 0) => Ok(Step::Open),
            (Stage::Reply, code) => Err(ProxyError::Socks(SocksRefusal(code))),
        }
    }
}

/// Returns the length of an answer that begins with these bytes, as far as they show it.
fn answer_len(stage: Stage, answer: &[u8]) -> Result<usize, ProxyError> {
    let version = if matches!(stage, Stage::Login) { SUBNEGOTIATION } else { VERSION };
    if answer.first().is_some_and(|first| *first != version) {
        return Err(ProxyError::NotSocks);
    }
    let address = match (stage, answer) {
        (Stage::Method | Stage::Login, _) => return Ok(2),
        // The address of a refusal has no meaning, and some proxies leave it out.
        (Stage::Reply, [_, code, ..]) if *code != 0 => return Ok(2),
        (Stage::Reply, [_, _, _, IPV4, ..]) => 4,
        (Stage::Reply, [_, _, _, IPV6, ..]) => 16,
        (Stage::Reply, [_, _, _, NAME, len, ..]) => 1_usize.saturating_add(usize::from(*len)),
        (Stage::Reply, [_, _, _, NAME]) => 1,
        (Stage::Reply, [_, _, _, _, ..]) => return Err(ProxyError::NotSocks),
        (Stage::Reply, _) => return Ok(4),
    };
    let port = if matches!(answer, [_, _, _, NAME]) { 0 } else { 2 };
    Ok(address.saturating_add(4).saturating_add(port))
}

/// Writes the request of RFC 1928 4. The proxy resolves a name.
fn connect_request(host: &str, port: u16) -> Result<Vec<u8>, ProxyError> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.push(NAME);
            push_prefixed(&mut request, host.as_bytes())?;
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// Appends the length of `bytes` in one byte, then `bytes`.
fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ProxyError> {
    out.push(u8::try_from(bytes.len()).map_err(|_| ProxyError::HostTooLong)?);
    out.extend_from_slice(bytes);
    Ok(())
}

impl fmt::Debug for Socks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The login contains credentials, so it is not printed.
        f.debug_struct("Socks").field("stage", &self.stage).finish_non_exhaustive()
    }
}
