//! The errors of TLS.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error as RustlsError};
use sockeye_core::http::Response;

/// The reason why a TLS connection could not be opened, or why it failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TlsError {
    /// The transport broke or ended, or the handshake took too long
    /// ([`TimedOut`](io::ErrorKind::TimedOut)).
    Io(std::sync::Arc<io::Error>),
    /// rustls refused the peer, the configuration or a record, or the peer sent an alert.
    Rustls(RustlsError),
    /// The client sent plain HTTP. It receives a 400 in plain text.
    PlainClient,
    /// The server answered in plain HTTP, because its port does not speak TLS.
    PlainServer,
    /// This host name or IP address cannot be in a certificate.
    ServerName(Box<str>),
    /// A PEM file holds no certificate or no private key, or is malformed.
    Pem(Box<str>),
    /// The process has no cryptography: enable the feature `rustls`, or install a
    /// [`CryptoProvider`](rustls::crypto::CryptoProvider).
    NoCryptoProvider,
}

impl TlsError {
    /// Returns the response, in plain text, for a [client of plain HTTP](TlsError::PlainClient).
    #[must_use]
    pub fn plain_response() -> Response {
        Response::text(400, "this port speaks TLS; use wss:// or https://\n")
    }

    /// Explains errors whose text in rustls is terse.
    fn explanation(&self) -> Option<&'static str> {
        let TlsError::Rustls(error) = self else { return None };
        Some(match error {
            RustlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "the peer's certificate is self-signed, or from an issuer that is not trusted"
            }
            RustlsError::InvalidCertificate(CertificateError::Other(other))
                if other.to_string().contains("CaUsedAsEndEntity") =>
            {
                "the peer's certificate is self-signed, or from an issuer that is not trusted"
            }
            RustlsError::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => "the peer's certificate has expired",
            RustlsError::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => "the peer's certificate is not valid yet",
            RustlsError::NoCertificatesPresented => "the client sent no certificate",
            RustlsError::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => "the server requires a client certificate",
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown => "the peer does not trust this end's certificate",
                AlertDescription::CertificateExpired => {
                    "the peer says that this end's certificate has expired"
                }
                AlertDescription::NoApplicationProtocol => "the peer does not offer a common protocol (ALPN)",
                AlertDescription::UnrecognisedName => "the server has no certificate for this name",
                AlertDescription::ProtocolVersion => "the peer speaks no common version of TLS",
                AlertDescription::HandshakeFailure => {
                    "the peer refused the handshake: no common cipher suite, or a certificate is missing"
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("the TLS handshake took too long")
            }
            TlsError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the peer closed the connection during the TLS handshake")
            }
            TlsError::Io(_) => f.write_str("the transport broke during the TLS handshake"),
            TlsError::Rustls(error) => match self.explanation() {
                Some(explanation) => write!(f, "TLS failed: {explanation}"),
                None => write!(f, "TLS failed: {error}"),
            },
            TlsError::PlainClient => f.write_str("the client sent plain HTTP; this port speaks TLS"),
            TlsError::PlainServer => {
                f.write_str("the server answered in plain HTTP; this port does not speak TLS: use ws://")
            }
            TlsError::ServerName(name) => write!(f, "no certificate can be for the name {name:?}"),
            TlsError::Pem(problem) => write!(f, "cannot read the PEM file: {problem}"),
            TlsError::NoCryptoProvider => f.write_str(
                "there is no cryptography for TLS; enable the feature `rustls`, or install a `CryptoProvider`",
            ),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Io(error) => Some(&**error),
            // The display contains the explanation of rustls, or replaces it.
            TlsError::Rustls(error) => self.explanation().map(|_| error as _),
            _ => None,
        }
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        TlsError::Io(std::sync::Arc::new(error))
    }
}

impl From<RustlsError> for TlsError {
    fn from(error: RustlsError) -> Self {
        TlsError::Rustls(error)
    }
}

/// For transports: the error of a read or a write.
impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match &error {
            TlsError::Io(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
