//! The opening handshake of a client as a request to send and a response to verify.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use sockeye_core::Config;
use sockeye_core::handshake::client::{
    BadResponse, ClientHandshakeError, ClientRequest, Established, PartsHandshake, Url, UrlError,
};
use sockeye_core::http::{Response, Version};
use sockeye_driver::mask_keys;

use super::{ConnectError, InvalidRequest};
use crate::Opening;

/// The opening handshake of a client whose request and response any HTTP client carries.
///
/// 1. Create it from the request of the application: a URI, headers, subprotocols.
/// 2. Send [`request`](Handshake::request), or a request with its [`headers`](Handshake::headers).
/// 3. Pass the response to [`finish`](Handshake::finish) if it is one of hyper. Otherwise pass its
///    parts to [`verify`](Handshake::verify), take the stream, and drive the WebSocket over it with
///    `sockeye_tokio::websocket`.
///
/// With reqwest, whose `Upgraded` is a stream of tokio:
///
/// ```
/// # mod reqwest {
/// #     pub type Result<T> = std::result::Result<T, std::io::Error>;
/// #     pub struct Client; pub struct RequestBuilder;
/// #     pub struct Response { headers: http::HeaderMap }
/// #     impl Client { pub fn get(&self, _: &str) -> RequestBuilder { RequestBuilder } }
/// #     impl RequestBuilder {
/// #         pub fn headers(self, _: http::HeaderMap) -> Self { self }
/// #         pub async fn send(self) -> Result<Response> { Ok(Response { headers: Default::default() }) }
/// #     }
/// #     impl Response {
/// #         pub fn status(&self) -> http::StatusCode { http::StatusCode::OK }
/// #         pub fn version(&self) -> http::Version { http::Version::HTTP_11 }
/// #         pub fn headers(&self) -> &http::HeaderMap { &self.headers }
/// #         pub async fn upgrade(self) -> Result<tokio::net::TcpStream> {
/// #             tokio::net::TcpStream::connect("example.com:443").await
/// #         }
/// #     }
/// # }
/// use sockeye_hyper::Config;
/// use sockeye_hyper::client::Handshake;
///
/// async fn talk(client: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
///     let request = http::Request::get("https://example.com/chat").body(())?;
///     let handshake = Handshake::http1(&request, Config::new())?;
///     let headers = handshake.headers()?;
///     let response = client.get("https://example.com/chat").headers(headers).send().await?;
///
///     let opened = handshake.verify(response.status(), response.version(), response.headers())?;
///     let mut ws = sockeye_tokio::websocket(response.upgrade().await?, opened);
///     ws.send("hello").await?;
///     Ok(())
/// }
/// ```
pub struct Handshake(PartsHandshake);

impl Handshake {
    /// Begins a handshake over HTTP/1.1. The request is as for [`http1`](super::http1); its method
    /// and its body are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the URI is not one of a WebSocket, or if a header belongs to the handshake.
    pub fn http1<B>(
        request: &http::Request<B>,
        config: impl Into<Arc<Config>>,
    ) -> Result<Self, InvalidRequest> {
        let request = client_request(request)?;
        Ok(Handshake(request.start_parts(sockeye_driver::nonce(), mask_keys(), config.into())))
    }

    /// Begins a handshake over HTTP/2, by an Extended CONNECT (RFC 8441).
    ///
    /// # Errors
    ///
    /// Returns an error like [`http1`](Handshake::http1).
    #[cfg(feature = "http2")]
    pub fn http2<B>(
        request: &http::Request<B>,
        config: impl Into<Arc<Config>>,
    ) -> Result<Self, InvalidRequest> {
        let request = client_request(request)?;
        Ok(Handshake(request.start_extended_connect(mask_keys(), config.into())))
    }

    /// Returns the handshake, and the request to send with the body and the extensions of `request`.
    pub(super) fn start<B>(
        request: http::Request<B>,
        start: impl FnOnce(&http::Request<B>) -> Result<Self, InvalidRequest>,
    ) -> Result<(Self, http::Request<B>), InvalidRequest> {
        let handshake = start(&request)?;
        let mut head = handshake.request()?;
        let (parts, body) = request.into_parts();
        head.extensions_mut().extend(parts.extensions);
        Ok((handshake, head.map(|()| body)))
    }

    /// Returns the request to send. Over HTTP/1.1 its URI is the path alone, as hyper's connections
    /// need it.
    ///
    /// # Errors
    ///
    /// Returns an error if the `http` crate refuses the target or a header.
    pub fn request(&self) -> Result<http::Request<()>, InvalidRequest> {
        #[cfg_attr(not(feature = "http2"), expect(unused_mut, reason = "only HTTP/2 needs an extension"))]
        let mut request = http::Request::try_from(&self.0)?;
        #[cfg(feature = "http2")]
        if let Some(protocol) = self.0.protocol() {
            request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
        }
        Ok(request)
    }

    /// Returns the headers of the request.
    ///
    /// # Errors
    ///
    /// Returns an error like [`request`](Handshake::request).
    pub fn headers(&self) -> Result<HeaderMap, InvalidRequest> {
        Ok(self.request()?.into_parts().0.headers)
    }

    /// Verifies a response of hyper (RFC 6455 4.1), and returns the future of the WebSocket.
    ///
    /// # Errors
    ///
    /// Returns [`ConnectError::Refused`] if the server refuses, without the body, which remains in
    /// `response`; and [`ConnectError::BadResponse`] if the response is invalid.
    pub fn finish<B>(self, response: &mut http::Response<B>) -> Result<Opening, ConnectError> {
        let established = self.verify(response.status(), response.version(), response.headers())?;
        Ok(Opening::new(hyper::upgrade::on(response), established))
    }

    /// Verifies the response of any HTTP client (RFC 6455 4.1).
    ///
    /// # Errors
    ///
    /// Returns an error like [`finish`](Handshake::finish).
    pub fn verify(
        self,
        status: StatusCode,
        version: http::Version,
        headers: &HeaderMap,
    ) -> Result<Established, ConnectError> {
        let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let response = Version::try_from(version)
            .and_then(|version| Response::from_parts(status.as_u16(), version, fields))
            .map_err(|error| ConnectError::BadResponse(BadResponse::Head(error)))?;
        self.0.verify(response).map_err(|error| match error {
            ClientHandshakeError::BadResponse(error) => ConnectError::BadResponse(error),
            // Nothing but a refusal remains, because no time and no bytes are involved.
            _ => {
                let mut response = http::Response::new(Bytes::new());
                *response.status_mut() = status;
                *response.version_mut() = version;
                *response.headers_mut() = headers.clone();
                ConnectError::Refused(Box::new(response))
            }
        })
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Converts a request of the application.
fn client_request<B>(request: &http::Request<B>) -> Result<ClientRequest, InvalidRequest> {
    let mut converted = ClientRequest::new(&url(request)?);
    for (name, value) in request.headers() {
        // These follow from the URI and the handshake, and existing programs may set them.
        if [header::HOST, header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_VERSION].contains(name)
            || name == header::SEC_WEBSOCKET_KEY
        {
            continue;
        }
        if name == header::SEC_WEBSOCKET_PROTOCOL {
            let names = value.to_str().unwrap_or("\0").split(',');
            converted = names.map(str::trim).try_fold(converted, ClientRequest::subprotocol)?;
        } else {
            converted = converted.header(name.as_str(), value)?;
        }
    }
    Ok(converted)
}

/// Returns the URL of a request: its URI, or its path on the host of its header `Host`.
fn url<B>(request: &http::Request<B>) -> Result<Url, UrlError> {
    let uri = request.uri();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = uri.authority().map(|authority| authority.as_str()).or(host) else {
        return Err(UrlError::Host);
    };
    let scheme = match uri.scheme_str() {
        None | Some("http" | "ws") => "ws",
        Some("https" | "wss") => "wss",
        Some(_) => return Err(UrlError::Scheme),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Url::try_from(format!("{scheme}://{authority}{path}"))
}
