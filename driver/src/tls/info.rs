//! The result of a TLS handshake.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};

/// The result of a TLS handshake: the agreed parameters, and the certificates of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The protocol that ALPN has chosen (RFC 7301), most often `http/1.1`.
    pub alpn: Option<Box<[u8]>>,
    /// The name that the client asked for (SNI, RFC 6066 3); `None` for a client's own connection.
    pub server_name: Option<Box<str>>,
    /// The verified certificates of the peer, its own first. Empty for a client without one.
    pub peer_certificates: Box<[CertificateDer<'static>]>,
    /// The handshake resumed an earlier session.
    pub resumed: bool,
}

impl TlsInfo {
    pub(super) fn new(state: &CommonState, server_name: Option<Box<str>>) -> Self {
        TlsInfo {
            version: state.protocol_version(),
            cipher_suite: state.negotiated_cipher_suite().map(|suite| suite.suite()),
            alpn: state.alpn_protocol().map(Box::from),
            server_name,
            peer_certificates: state.peer_certificates().map(Box::from).unwrap_or_default(),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}
