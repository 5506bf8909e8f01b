//! The handlers, each with the path that the tests request.

use std::thread;
use std::time::{Duration, Instant};

use sockeye_tokio::protocol::http::{Request, Response};
use sockeye_tokio::server::{BoxError, Client, Decision, Handler, HandlerResult, Inbound};
use sockeye_tokio::{Accept, CloseCode, Frame, Opcode, Upgrade};

/// All handlers. Each connection keeps its [`Path`] as the application's data.
pub(crate) struct Handlers;

/// The first segment of the request's path, such as `echo`.
struct Path(String);

/// The paths that open a WebSocket. Any other gets a 404.
const PATHS: &[&str] = &[
    "basic_auth",
    "delayed-passive-close",
    "echo",
    "echo-cookie",
    "echo-query",
    "echo-query_v13",
    "echo_close_data",
    "echo_exit",
    "echo_raw",
    "empty-message",
    "handshake_no_extensions",
    "handshake_no_protocol",
    "handshake_protocol",
    "handshake_sleep_2",
    "origin",
    "passive-close-abort",
    "protocol",
    "protocol_array",
    "receive-backpressure",
    "receive-many-with-backpressure",
    "referrer",
    "remote-close",
    "send-backpressure",
    "set-cookie",
    "set-cookie-secure",
    "set-cookie_http",
    "set-cookies-samesite",
    "simple_handshake",
    "sleep_10_v13",
];

impl Handler for Handlers {
    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let path = upgrade.path().trim_start_matches('/');
        client.set_data(Path(path.to_owned()));
        match path {
            "basic_auth"
                if upgrade.request().headers().first("Authorization") != Some("Basic Zm9vOmJhcg==") =>
            {
                let refusal = Response::new(401).header("WWW-Authenticate", "Basic realm=\"camelot\"")?;
                return Ok(Decision::Respond(refusal));
            }
            // The originals write `FOO BAR BAZ` or a wrong key, which Sockeye never does. The browser
            // must fail the connection in either case.
            "invalid" | "wrong_accept_key" => return Ok(Decision::Respond(Response::new(400))),
            "handshake_sleep_2" => sleep(Duration::from_secs(2)).await,
            "sleep_10_v13" => sleep(Duration::from_secs(10)).await,
            path if PATHS.contains(&path) => {}
            _ => return Ok(Decision::Respond(Response::text(404, "no such handler\n"))),
        }
        Ok(Decision::Policy)
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let request = upgrade.request();
        let query = request.query().unwrap_or_default();
        Ok(match path_of(client).as_str() {
            "echo" if upgrade.subprotocols().any(|name| name == "echo") => accept.subprotocol("echo"),
            "protocol" | "protocol_array" => match upgrade.subprotocols().next() {
                Some(first) => accept.subprotocol(first),
                None => accept,
            },
            // The client offers another one.
            "handshake_protocol" => accept.subprotocol("foobar"),
            "handshake_no_extensions"
            | "receive-backpressure"
            | "receive-many-with-backpressure"
            | "send-backpressure" => accept.without_compression(),
            "simple_handshake" => {
                // Queued before the 101, so both can arrive in one packet.
                let _ = client.close(1001, "PASS");
                accept.header("Set-Cookie", "ws_test=test")?
            }
            "set-cookie" => accept.header("Set-Cookie", format!("ws_test_{query}=test; Path=/"))?,
            "set-cookie-secure" => {
                accept.header("Set-Cookie", format!("ws_test_{query}=test; Secure; Path=/"))?
            }
            "set-cookie_http" => {
                accept.header("Set-Cookie", format!("ws_test_{query}=test; Path=/; HttpOnly"))?
            }
            "set-cookies-samesite" => same_site_cookies(accept, request)?,
            _ => accept,
        })
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let query = request.query().unwrap_or_default();
        match request.path().trim_start_matches('/') {
            "echo-cookie" => push_and_close(client, request.headers().first("Cookie").unwrap_or("(none)")),
            "echo-query" => push_and_close(client, query),
            "echo-query_v13" => push_and_close(client, query.split('?').next().unwrap_or_default()),
            "origin" => push_and_close(client, request.headers().first("Origin").unwrap_or_default()),
            "protocol" | "protocol_array" => {
                push_and_close(client, client.info().subprotocol.as_deref().unwrap_or_default())
            }
            "referrer" => {
                push_and_close(client, request.headers().first("Referer").unwrap_or("MISSING AS PER FETCH"))
            }
            "basic_auth" | "handshake_no_extensions" | "handshake_no_protocol" | "handshake_sleep_2" => {
                close(client)
            }
            "receive-backpressure" => {
                // Meanwhile the inbox fills. After that, the client has to wait.
                sleep(Duration::from_secs(2)).await;
                Ok(())
            }
            "send-backpressure" => send_and_measure(client).await,
            "remote-close" => remote_close(client, request).await,
            _ => Ok(()),
        }
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let goodbye = message.as_text() == Some("Goodbye");
        match path_of(client).as_str() {
            "echo" | "sleep_10_v13" => {
                client.send(message).await?;
                if goodbye { close(client) } else { Ok(()) }
            }
            "echo_exit" | "echo_close_data" if goodbye => close(client),
            "echo_raw" => echo_raw(client, message.as_bytes()).await,
            "empty-message" => {
                push_and_close(client, if message.as_text() == Some("") { "pass" } else { "fail" })
            }
            "receive-many-with-backpressure" => {
                sleep(Duration::from_millis(100)).await;
                client.push(message.as_bytes().len().to_string())?;
                Ok(())
            }
            "receive-backpressure"
            | "set-cookie"
            | "set-cookie-secure"
            | "set-cookie_http"
            | "set-cookies-samesite" => close(client),
            _ => Ok(()),
        }
    }

    async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        if frame.opcode == Opcode::Close {
            match path_of(client).as_str() {
                "delayed-passive-close" => sleep(Duration::from_secs(1)).await,
                "passive-close-abort" => client.abort()?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn path_of(client: &Client) -> String {
    client.data::<Path>().map(|path| path.0.clone()).unwrap_or_default()
}

fn close(client: &Client) -> HandlerResult {
    client.close(CloseCode::NORMAL, "")?;
    Ok(())
}

fn push_and_close(client: &Client, text: &str) -> HandlerResult {
    client.push(text)?;
    close(client)
}

fn same_site_cookies(mut accept: Accept, request: &Request) -> Result<Accept, Response> {
    let value = request.param("value");
    let value = value.as_deref().unwrap_or("1");
    let age = if request.query().is_some_and(|query| query.contains("clear")) { "; Max-Age=0" } else { "" };
    for (kind, attributes) in [
        ("unspecified", ""),
        ("lax", "; SameSite=Lax"),
        ("strict", "; SameSite=Strict"),
        ("none", "; SameSite=None; Secure"),
    ] {
        accept = accept.header("Set-Cookie", format!("samesite-{kind}={value}; Path=/{attributes}{age}"))?;
    }
    Ok(accept)
}

/// Sends 16 MiB, then the seconds that it took. The page does not read at first.
async fn send_and_measure(client: &Client) -> HandlerResult {
    client.send(&b""[..]).await?;
    let begin = Instant::now();
    let part = vec![b' '; 1 << 20];
    for _ in 0..16 {
        client.send(&part[..]).await?;
    }
    client.send(format!("{:.6}", begin.elapsed().as_secs_f64())).await?;
    close(client)
}

/// Closes as the query says: with `code` and `reason`, or with `abrupt`.
async fn remote_close(client: &Client, request: &Request) -> HandlerResult {
    if request.param("abrupt").is_some() {
        client.ping(b"ping")?;
        // An abort drops what is queued, so the ping needs some time.
        sleep(Duration::from_millis(100)).await;
        client.abort()?;
        return Ok(());
    }
    match request.param("code") {
        Some(code) => {
            client.close(code.parse::<u16>()?, request.param("reason").as_deref().unwrap_or_default())?;
        }
        None => {
            client.push_frame(&Frame::new(Opcode::Close, &b""[..]))?;
        }
    }
    Ok(())
}

/// Sends the frames in `bytes`, then one that fails the connection. Sockeye sends no invalid header,
/// so it sends a payload that cannot be inflated. Chromium would drop a message in the same read.
async fn echo_raw(client: &Client, mut bytes: &[u8]) -> HandlerResult {
    while let Ok(Some((frame, length))) = Frame::unpack(bytes) {
        client.push_frame(&frame)?;
        bytes = &bytes[length..];
    }
    sleep(Duration::from_millis(100)).await;
    let mut invalid = Frame::binary(&[0xff; 8]);
    invalid.flags.rsv1 = true;
    client.push_frame(&invalid)?;
    Ok(())
}

/// Waits on any runtime.
async fn sleep(duration: Duration) {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    thread::spawn(move || {
        thread::sleep(duration);
        drop(sender);
    });
    // The channel is closed when the time is over.
    let _ = receiver.recv().await;
}
