//! The input from proxies: the PROXY protocol, and the fields that name the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sockeye_core::RecvBuf;
use sockeye_core::http::{Request, Version};
use sockeye_core::proxy::{
    ForwardedFields, ForwardedRequest, ProxyHeader, ProxyHeaderError, ProxyHeaderReader, TrustedProxies,
};

use crate::input::{Cut, Input};

/// Checks one input: a choice, a seed for the cut, then the bytes.
pub fn proxies(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, seed) = (input.byte(), input.byte());
    match choice % 3 {
        0 => check_header(input.rest(), seed),
        1 => check_addresses(&mut input),
        _ => check_fields(choice, input.rest()),
    }
}

/// Checks that the outcome does not depend on how the bytes are cut.
fn check_header(bytes: &[u8], seed: u8) {
    let whole = read(bytes, Cut::Whole);
    for cut in Cut::all(seed) {
        assert_eq!(read(bytes, cut), whole, "{cut:?}");
    }
    // The bytes after a header do not matter.
    if let Ok(Some((header, end))) = whole {
        let more = [&bytes[..end], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&more, Cut::Whole), Ok(Some((header, end))));
    }
}

/// Returns the header and the number of its bytes, or `None` if it is incomplete.
fn read(bytes: &[u8], cut: Cut) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let (mut reader, mut before) = (ProxyHeaderReader::new(), 0);
    for mut piece in cut.pieces(bytes) {
        let mut input = RecvBuf::new(&mut piece);
        if let Some(header) = reader.poll(&mut input)? {
            return Ok(Some((header, before + input.consumed())));
        }
        assert!(input.is_empty(), "the reader waits, but has not taken everything");
        before += input.consumed();
    }
    Ok(None)
}

/// Checks that both versions name the addresses that the proxy has written.
fn check_addresses(input: &mut Input<'_>) {
    let is_v6 = input.byte() % 2 == 1;
    let mut address = || {
        let mut bytes = [0; 16];
        bytes.iter_mut().for_each(|byte| *byte = input.byte());
        let port = u16::from_be_bytes([input.byte(), input.byte()]);
        let ip = match is_v6 {
            true => IpAddr::V6(Ipv6Addr::from(bytes)),
            false => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        };
        SocketAddr::new(ip, port)
    };
    let (source, destination) = (address(), address());
    let family = if is_v6 { 6 } else { 4 };
    let v1 = format!(
        "PROXY TCP{family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let addresses = [octets(source), octets(destination), ports].concat();
    let kind = [0x21, if is_v6 { 0x21 } else { 0x11 }, 0, addresses.len() as u8];
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &kind, &addresses].concat();
    for bytes in [v1.into_bytes(), v2] {
        let (header, end) = read(&bytes, Cut::Single).expect("a valid header").expect("a whole header");
        // An IPv4 address in its IPv6 form is the IPv4 address.
        let [source, destination] =
            [source, destination].map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
        assert_eq!((header.source, header.destination), (Some(source), Some(destination)));
        assert_eq!(end, bytes.len());
    }
}

/// Checks that a client cannot invent its address, whatever it sends before the proxies' part.
fn check_fields(choice: u8, bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let is_rfc = choice & 4 != 0;
    let (name, fields) = match is_rfc {
        true => ("forwarded", ForwardedFields::Forwarded),
        false => ("x-forwarded-for", ForwardedFields::XForwarded),
    };
    let proxies = TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"]).expect("networks").fields(fields);
    let node = |address: &str| if is_rfc { format!("for={address}") } else { address.to_owned() };
    let (forged, real) = (node("6.6.6.6"), node("203.0.113.9"));
    let Some(found) = resolve(&proxies, name, &lines) else { return };
    let client = |ip: [u8; 4]| Some(SocketAddr::from((ip, 0)));
    // Text before the first client that is not a proxy does not count.
    let with_forged = [&[forged.as_bytes()], &lines[..]].concat();
    let again = resolve(&proxies, name, &with_forged).expect("a valid request");
    if found.client.is_some_and(|client| !proxies.trusts(Some(client.ip()))) {
        assert_eq!(again, found);
    }
    // A proxy that is trusted names the client last.
    let with_real = [&lines[..], &[real.as_bytes()]].concat();
    let named = resolve(&proxies, name, &with_real).expect("a valid request");
    assert_eq!(named.client, client([203, 0, 113, 9]));
}

/// The client and the host, without the borrow.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    client: Option<SocketAddr>,
    host: Option<String>,
}

/// Resolves a request from a trusted proxy with these lines of one field; `None` if it is not valid.
fn resolve(proxies: &TrustedProxies, name: &str, lines: &[&[u8]]) -> Option<Found> {
    let fields = [("host", &b"a"[..])].into_iter().chain(lines.iter().map(|line| (name, *line)));
    let request = Request::from_parts("GET", "/", Version::Http11, fields).ok()?;
    let stranger = proxies.resolve(Some(IpAddr::from([192, 0, 2, 1])), request.headers());
    assert_eq!(stranger, ForwardedRequest::default(), "a stranger's fields count");
    let found = proxies.resolve(Some(IpAddr::from([10, 0, 0, 1])), request.headers());
    Some(Found { client: found.client, host: found.host.map(str::to_owned) })
}
