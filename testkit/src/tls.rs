//! Certificates for tests, as PEM files: `certs/generate.sh` describes and generates them.

/// A certificate and its private key.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The certificate.
    pub certificate: &'static [u8],
    /// The private key.
    pub key: &'static [u8],
}

macro_rules! identity {
    ($name:literal) => {
        Identity {
            certificate: include_bytes!(concat!("../certs/", $name, ".pem")),
            key: include_bytes!(concat!("../certs/", $name, ".key")),
        }
    };
}

/// The certificate of the authority that has issued all but [`SELF_SIGNED`].
pub const CA: &[u8] = include_bytes!("../certs/ca.pem");

/// For localhost, example.com, 127.0.0.1 and ::1.
pub const SERVER: Identity = identity!("server");

/// For the same names, with another key.
pub const RENEWED: Identity = identity!("renewed");

/// For the same names, expired.
pub const EXPIRED: Identity = identity!("expired");

/// For another name.
pub const OTHER: Identity = identity!("other");

/// For localhost, signed by itself.
pub const SELF_SIGNED: Identity = identity!("self-signed");

/// The certificate of a client.
pub const CLIENT: Identity = identity!("client");
