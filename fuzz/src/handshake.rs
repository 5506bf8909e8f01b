//! Any bytes as an opening handshake, on both sides, and any request that our own client can make.

use std::sync::Arc;

use sockeye_core::deflate::Negotiated;
use sockeye_core::handshake::{client, server};
use sockeye_core::http::{BodyEvent, BodyLength, BodyReader, Response};
use sockeye_core::{Config, RecvBuf, Role};

use crate::compressed::settings;
use crate::input::{Cut, Input};

/// Checks one input: a byte that chooses the check, a seed for the cut, then the bytes.
pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    let mut config = Config::new();
    if choices & 0x80 != 0 {
        config = config.max_head_size(200).max_headers(4);
    }
    if choices & 0x40 != 0 {
        config = config.deflate(settings(&mut Input::new(&[seed, 0x86, 5, 0])));
    }
    let config = Arc::new(config);
    match choices & 3 {
        0 => check_all_cuts(|cut| server_reads(&config, input_bytes(data), cut), seed),
        1 => check_all_cuts(|cut| client_reads(&config, input_bytes(data), cut), seed),
        2 => check_all_cuts(|cut| read_body(choices, input_bytes(data), cut), seed),
        _ => round_trip(&mut input, choices, seed),
    }
}

fn input_bytes(data: &[u8]) -> &[u8] {
    data.get(2..).unwrap_or_default()
}

/// Checks that the result does not depend on how the bytes are cut.
fn check_all_cuts<T: PartialEq + std::fmt::Debug>(run: impl Fn(Cut) -> T, seed: u8) {
    let whole = run(Cut::Whole);
    for cut in Cut::all(seed) {
        assert_eq!(run(cut), whole, "{cut:?}");
    }
}

/// Passes the pieces to `poll` until it has an outcome. Returns the outcome and the number of bytes
/// taken.
fn feed<T>(
    bytes: &[u8],
    cut: Cut,
    mut poll: impl FnMut(&mut RecvBuf<'_>) -> Option<T>,
) -> (Option<T>, usize) {
    let mut used = 0;
    for mut piece in cut.pieces(bytes) {
        let mut input = RecvBuf::new(&mut piece);
        let outcome = poll(&mut input);
        used += input.consumed();
        if outcome.is_some() {
            return (outcome, used);
        }
        assert!(input.is_empty(), "input is left without an outcome");
    }
    (None, used)
}

/// Lets a server read the bytes. Checks that a client understands the answer.
fn server_reads(config: &Arc<Config>, bytes: &[u8], cut: Cut) -> String {
    let mut handshake = server::ServerHandshake::new(config.clone());
    let (outcome, used) = feed(bytes, cut, |input| handshake.poll_request(input).transpose());
    let request = match outcome {
        None => return format!("{:?}", handshake.handle_eof()),
        Some(Err(error)) => {
            assert_eq!(
                handshake.poll_request(&mut RecvBuf::new(&mut [])).err(),
                Some(error),
                "the error changed"
            );
            error.response().iter().for_each(check_refusal);
            // The reason depends on the cut: the first byte is judged alone if it arrives alone.
            return match error.to_string() {
                text if text.contains("TLS") || text.contains("method") => "not HTTP".into(),
                text => text,
            };
        }
        Some(Ok(request)) => request,
    };
    let seen = format!("{request:?} {:?} {used}", request.cookies().collect::<Vec<_>>());
    match server::Upgrade::new(request) {
        Err(rejection) => {
            check_refusal(&rejection.response());
            format!("{seen} {:?}", rejection.reason())
        }
        Ok(upgrade) => {
            let expects_continue = upgrade.request().expects_continue();
            let chosen = upgrade.subprotocols().last().map(str::to_owned);
            let policy = server::Policy::new().decide(&upgrade).map(drop);
            let mut accept = server::Accept::new();
            if let Some(name) = &chosen {
                accept = accept.subprotocol(name);
            }
            let accepted = upgrade.accept(&accept, config.clone()).expect("the subprotocol was offered");
            assert_eq!(accepted.subprotocol, chosen);
            let head = accepted.connection.poll_transmit().expect("a 101").first().to_vec();
            let interim: &[u8] = if expects_continue { b"HTTP/1.1 100 Continue\r\n\r\n" } else { b"" };
            let opening = head.strip_prefix(interim).expect("a 100 if the client expects it");
            assert!(opening.starts_with(b"HTTP/1.1 101 ") && opening.ends_with(b"\r\n\r\n"));
            format!("{seen} {policy:?} {}", String::from_utf8_lossy(&head))
        }
    }
}

fn url() -> client::Url {
    "ws://example.com/chat".parse().expect("a url")
}

fn start(request: client::ClientRequest, nonce: [u8; 16], config: &Arc<Config>) -> client::ClientHandshake {
    request.start(nonce, Box::new(|| [1, 2, 3, 4]), config.clone())
}

/// Checks that a client reports a refusal exactly as the server wrote it.
fn check_refusal(response: &Response) {
    let mut handshake = start(client::ClientRequest::new(&url()), [7; 16], &Arc::new(Config::new()));
    let mut bytes = response.encode();
    let mut input = RecvBuf::new(&mut bytes);
    let outcome = handshake.poll_response(&mut input);
    let Err(client::ClientHandshakeError::Refused(received)) = outcome else {
        panic!("{response:?} gave {outcome:?}")
    };
    assert!(input.is_empty());
    assert_eq!(received.status(), response.status());
    assert_eq!(received.content(), response.content());
    assert!(!received.is_truncated());
}

/// Lets a client read the bytes.
fn client_reads(config: &Arc<Config>, bytes: &[u8], cut: Cut) -> String {
    // The sample nonce of RFC 6455 1.3, so that the sample response there is valid.
    let request = client::ClientRequest::new(&url()).subprotocol("chat").expect("a token");
    let mut handshake = start(request, *b"the sample nonce", config);
    let (outcome, used) = feed(bytes, cut, |input| handshake.poll_response(input).transpose());
    match outcome {
        None => format!("{:?}", handshake.handle_eof()),
        Some(Err(error)) => format!("{error:?}"),
        Some(Ok(established)) => {
            assert_eq!(established.connection.role(), Role::Client);
            let (response, deflate) = (&established.response, established.deflate);
            format!("{response:?} {:?} {deflate:?} {used}", established.subprotocol)
        }
    }
}

/// Reads a body. If that fails, the content read before depends on the cut and is left out.
fn read_body(choices: u8, bytes: &[u8], cut: Cut) -> String {
    let length = match choices >> 2 & 3 {
        0 => BodyLength::Length(u64::from(choices)),
        1 => BodyLength::UntilClose,
        _ => BodyLength::Chunked,
    };
    let limit = if choices & 0x10 == 0 { 1 << 20 } else { 40 };
    let mut reader = BodyReader::new(length, limit);
    let mut content = Vec::new();
    let (outcome, used) = feed(bytes, cut, |input| {
        let mut steps = input.remaining().len() + 1;
        loop {
            match reader.poll_event(input) {
                Ok(Some(BodyEvent::Data(part))) => {
                    assert!(!part.is_empty());
                    content.extend_from_slice(part);
                }
                Ok(Some(BodyEvent::End)) => return Some(Ok(())),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
            steps -= 1;
            assert!(steps > 0, "the reader does not stop");
        }
    });
    assert!(content.len() as u64 <= limit);
    match outcome {
        Some(Err(error)) => format!("{error:?}"),
        Some(Ok(())) => format!("{content:?} {used}"),
        None => format!("{content:?} {:?}", reader.handle_eof()),
    }
}

/// Checks that our server accepts every request of our client, and our client its answer.
fn round_trip(input: &mut Input<'_>, choices: u8, seed: u8) {
    let config = |deflate: bool| {
        let config = Config::new().max_head_size(1 << 20).max_headers(1000);
        Arc::new(if deflate {
            config.deflate(settings(&mut Input::new(&[!seed, 0x86, 5, 0])))
        } else {
            config
        })
    };
    let deflates = [choices & 4 != 0, choices & 8 != 0];
    let [config, server_config] = deflates.map(config);
    let url = match input.text().parse::<client::Url>() {
        Ok(parsed) => parsed,
        Err(_) => url(),
    };
    let mut nonce = [0; 16];
    input.take(16).iter().zip(&mut nonce).for_each(|(byte, slot)| *slot = *byte);
    let mut request = client::ClientRequest::new(&url);
    let mut accept = server::Accept::new();
    let mut offered = Vec::new();
    while !input.is_empty() {
        let (kind, name, value) = (input.byte(), input.text(), input.bytes());
        match kind & 3 {
            0 => {
                if let Ok(more) = request.clone().subprotocol(&name) {
                    request = more;
                    offered.push(name);
                }
            }
            1 | 2 => request = request.clone().header(&name, value).unwrap_or(request),
            _ => accept = accept.clone().header(&name, value).unwrap_or(accept),
        }
    }
    let chosen = offered.get(usize::from(seed) % offered.len().max(1)).cloned();
    if let Some(name) = &chosen {
        accept = accept.subprotocol(name);
    }

    let mut handshake = start(request, nonce, &config);
    let mut sent = Vec::new();
    while let Some(bytes) = handshake.poll_transmit() {
        let n = bytes.len().min(1 + usize::from(seed));
        sent.extend_from_slice(&bytes[..n]);
        handshake.transmitted(n);
    }
    let mut server = server::ServerHandshake::new(server_config.clone());
    let (request, used) = feed(&sent, Cut::Seeded(seed), |input| server.poll_request(input).transpose());
    let request = request.expect("a whole head").expect("a valid head");
    assert_eq!(used, sent.len());
    let upgrade = server::Upgrade::new(request).expect("a valid handshake");
    assert!(upgrade.subprotocols().eq(offered.iter()));
    let mut accepted = upgrade.accept(&accept, server_config).expect("the subprotocol was offered");
    accepted.connection.send("first").expect("open");
    let head = accepted.connection.poll_transmit().expect("a 101").first().to_vec();
    let outcome = feed(&head, Cut::Seeded(seed), |input| handshake.poll_response(input).transpose());
    let (Some(Ok(established)), used) = outcome else {
        panic!("{outcome:?}: {}", String::from_utf8_lossy(&head))
    };
    assert_eq!(established.subprotocol, chosen);
    let agreed = |deflate: Option<Negotiated>| deflate.map(|agreed| (agreed.own, agreed.peer));
    let mirrored = agreed(accepted.deflate).map(|(own, peer)| (peer, own));
    assert_eq!(agreed(established.deflate), mirrored);
    assert_eq!(mirrored.is_some(), deflates == [true, true]);
    assert_eq!(established.connection.deflate(), established.deflate);
    // The first frame is left for the connection.
    assert!(head[used..].is_empty() || head[used..].starts_with(b"\x81"));
}
