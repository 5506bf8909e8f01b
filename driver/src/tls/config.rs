//! The configurations of clients and servers.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    WantsVerifier,
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::connection::NoteServerName;
use super::error::TlsError;

/// The protocol that ALPN names, unless the application chooses others (RFC 7301 6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificates of a TLS port. All clones are one: [`replace`](ServerTls::replace) acts on each.
///
/// ALPN offers `http/1.1`, unless the configuration names other protocols. Early data, which an
/// attacker can replay, is turned off.
///
/// ```no_run
/// use sockeye_driver::tls::ServerTls;
///
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let read = || -> Result<ServerTls, Box<dyn std::error::Error>> {
///     Ok(ServerTls::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?)
/// };
/// let tls = read()?;
/// // Give `tls.clone()` to a port. When the files have changed:
/// tls.replace(read()?);
/// # Ok(()) }
/// ```
///
/// For client certificates, several certificates, or another policy, build a
/// [`ServerConfig`](rustls::ServerConfig):
///
/// ```no_run
/// use std::sync::Arc;
///
/// use sockeye_driver::tls::{ServerTls, TlsError, rustls};
/// use rustls::RootCertStore;
/// use rustls::server::WebPkiClientVerifier;
///
/// # fn f(roots: RootCertStore, chain: Vec<rustls::pki_types::CertificateDer<'static>>,
/// #     key: rustls::pki_types::PrivateKeyDer<'static>) -> Result<(), Box<dyn std::error::Error>> {
/// let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
/// let config = rustls::ServerConfig::builder()
///     .with_client_cert_verifier(clients)
///     .with_single_cert(chain, key)?;
/// let tls = ServerTls::from(config);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ServerTls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Uses a configuration of rustls.
    #[must_use]
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols.push(HTTP_1_1.to_vec());
        }
        config.max_early_data_size = 0;
        config.cert_resolver = Arc::new(NoteServerName(config.cert_resolver));
        ServerTls { current: Arc::new(RwLock::new(Arc::new(config))) }
    }

    /// Uses one certificate for all names: PEM files with its chain, its own certificate first, and
    /// with its private key. Clients need no certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is malformed or empty, if the key does not fit the certificate, or
    /// if there is no cryptography.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Pem(error.to_string().into()))?;
        let config = ServerConfig::builder_with_provider(provider()?)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self::new(config))
    }

    /// Names the protocols that ALPN offers, the preferred one first, such as `h2` and `http/1.1` for
    /// a port on which an HTTP library speaks HTTP/2. Those of a later
    /// [replacement](ServerTls::replace) are its own.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        let mut config = ServerConfig::clone(&self.config());
        config.alpn_protocols = protocols.into_iter().map(Into::into).collect();
        ServerTls { current: Arc::new(RwLock::new(Arc::new(config))) }
    }

    /// Replaces the configuration, for instance because a certificate was renewed. Connections that
    /// arrive later use the new one; others keep theirs.
    pub fn replace(&self, new: impl Into<ServerTls>) {
        let new = new.into().config();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Returns the current configuration, as amended by [`new`](ServerTls::new).
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<ServerConfig> for ServerTls {
    fn from(config: ServerConfig) -> Self {
        ServerTls::new(config)
    }
}

impl From<Arc<ServerConfig>> for ServerTls {
    fn from(config: Arc<ServerConfig>) -> Self {
        ServerTls::new(config)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// The certificates that a client trusts, and its own if it has one. Cloning is cheap, and clones
/// resume each other's sessions.
///
/// ALPN offers `http/1.1`, unless the configuration names other protocols. Early data, which an
/// attacker can replay, is turned off.
///
/// For a client certificate, or another policy, build a [`ClientConfig`](rustls::ClientConfig) and
/// convert it.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Uses a configuration of rustls.
    #[must_use]
    pub fn new(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = config.into();
        if config.alpn_protocols.is_empty() || config.enable_early_data {
            let config = Arc::make_mut(&mut config);
            config.enable_early_data = false;
            if config.alpn_protocols.is_empty() {
                config.alpn_protocols.push(HTTP_1_1.to_vec());
            }
        }
        ClientTls { config, server_name: None }
    }

    /// Trusts the certificates that the operating system trusts.
    ///
    /// # Errors
    ///
    /// Returns an error if the system's certificates cannot be read, or if there is no cryptography.
    pub fn platform() -> Result<Self, TlsError> {
        let config = builder()?.with_platform_verifier()?.with_no_client_auth();
        Ok(Self::new(config))
    }

    /// Returns [`platform`](ClientTls::platform), which the process reads once. The adapters use it
    /// for `wss://` URLs.
    ///
    /// # Errors
    ///
    /// Returns an error like [`platform`](ClientTls::platform). A later call tries again.
    pub fn shared() -> Result<Self, TlsError> {
        static SHARED: OnceLock<ClientTls> = OnceLock::new();
        if let Some(shared) = SHARED.get() {
            return Ok(shared.clone());
        }
        let new = Self::platform()?;
        Ok(SHARED.get_or_init(|| new).clone())
    }

    /// Trusts the certificates that Mozilla trusts, as of the release of the crate `webpki-roots`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no cryptography.
    #[cfg(feature = "webpki-roots")]
    pub fn webpki_roots() -> Result<Self, TlsError> {
        Self::with_roots(RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()))
    }

    /// Trusts the certificates in a PEM file and no others: those of a private authority, or the
    /// self-signed certificate of one server.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is malformed or empty, or if there is no cryptography.
    pub fn with_ca_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots.add(certificate)?;
        }
        Self::with_roots(roots)
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, TlsError> {
        Ok(Self::new(builder()?.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Trusts every certificate. An attacker on the way can then read and change everything: use
    /// this for tests only.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no cryptography.
    pub fn dangerous_without_verification() -> Result<Self, TlsError> {
        let verifier = Arc::new(TrustAnything(provider()?));
        let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self::new(config))
    }

    /// Sets the name that the server's certificate must have, if it is not the host of the URL.
    ///
    /// # Errors
    ///
    /// Returns an error if this is neither a host name nor an IP address.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        self.server_name = Some(server_name(name)?);
        Ok(self)
    }

    /// Forgets the name that [`server_name`](ClientTls::server_name) has set, for another host.
    #[must_use]
    pub(crate) fn without_server_name(self) -> Self {
        ClientTls { server_name: None, ..self }
    }

    /// Returns the name that the server's certificate must have: the one that was
    /// [set](ClientTls::server_name), or `host`.
    ///
    /// # Errors
    ///
    /// Returns an error if `host` is neither a host name nor an IP address.
    pub fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.server_name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// Returns the configuration, as amended by [`new`](ClientTls::new).
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl From<ClientConfig> for ClientTls {
    fn from(config: ClientConfig) -> Self {
        ClientTls::new(config)
    }
}

impl From<Arc<ClientConfig>> for ClientTls {
    fn from(config: Arc<ClientConfig>) -> Self {
        ClientTls::new(config)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Returns the cryptography of the process: the one that it has installed, or ring.
fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Ok(provider.clone());
    }
    #[cfg(feature = "rustls")]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(feature = "rustls"))]
    return Err(TlsError::NoCryptoProvider);
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider()?).with_safe_default_protocol_versions()?)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| TlsError::Pem(error.to_string().into()))?;
    if certificates.is_empty() {
        return Err(TlsError::Pem("there is no certificate in it".into()));
    }
    Ok(certificates)
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    // A URL has IPv6 addresses in brackets.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(name.into()))
}

/// A verifier that trusts every certificate, for
/// [`dangerous_without_verification`](ClientTls::dangerous_without_verification).
#[derive(Debug)]
struct TrustAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
