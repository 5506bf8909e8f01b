//! Shared code of the targets with compressed messages: settings, negotiated connections, and
//! frames that the target itself builds.

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use sockeye_core::deflate::{CompressionPolicy, Deflate, Memory, Negotiated};
use sockeye_core::{Config, Connection, Flags, MessageKind, Opcode, Role};
use sockeye_testkit::frames::{MASK_KEY, put_frame};

use crate::input::Input;
use crate::reference::{TAIL, Takeover};

/// Reads the settings of one end, four bytes.
pub(crate) fn settings(input: &mut Input<'_>) -> Deflate {
    let (windows, levels, choices, policy) = (input.byte(), input.byte(), input.byte(), input.byte());
    Deflate::new()
        // The bytes are small most of the time, so 0 stands for the largest window.
        .window_bits(15 - (windows & 7))
        .peer_window_bits(15 - (windows >> 3 & 7))
        .context_takeover(windows & 0x40 == 0)
        .peer_context_takeover(windows & 0x80 == 0)
        // Includes levels that do not exist.
        .level(levels & 0xf)
        .mem_level(levels >> 4)
        .memory(match choices & 7 {
            0 => Memory::Compressor,
            1 => Memory::History(0),
            2 => Memory::History(1),
            3 => Memory::History(700),
            4 => Memory::History(usize::MAX),
            _ => Memory::History(4 << 10),
        })
        .policy(match policy & 3 {
            0 => CompressionPolicy::Always,
            1 => CompressionPolicy::Above(usize::from(policy >> 2)),
            2 => CompressionPolicy::OnRequest,
            _ => CompressionPolicy::Never,
        })
}

/// Returns what this end and a peer with these settings negotiate.
pub(crate) fn agree(role: Role, own: &Deflate, peer: &Deflate) -> (Negotiated, Negotiated) {
    let (server, client) = if role == Role::Server { (own, peer) } else { (peer, own) };
    let (at_server, at_client) = sockeye_testkit::deflate::agree(server, client);
    if role == Role::Server { (at_server, at_client) } else { (at_client, at_server) }
}

pub(crate) fn connection(role: Role, config: &Arc<Config>, negotiated: &Negotiated) -> Connection {
    let mut connection = match role {
        Role::Server => Connection::server(config.clone()),
        Role::Client => Connection::client(config.clone(), Box::new(|| MASK_KEY)),
    };
    connection.enable_deflate(negotiated);
    connection
}

/// Returns how this end's inflater keeps earlier messages: as history of the negotiated window, or,
/// with the largest window, in a decompressor that continues.
pub(crate) fn takeover(negotiated: &Negotiated) -> Takeover {
    match negotiated.peer.window_bits {
        _ if !negotiated.peer.takeover => Takeover::None,
        bits @ ..15 => Takeover::History(1 << bits),
        _ => Takeover::Stream,
    }
}

/// Returns a frame as the peer of `role` writes it. A masked one has a key of zeros.
pub(crate) fn frame(role: Role, opcode: Opcode, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let first = u8::from(opcode) | u8::from(flags.finish) << 7 | u8::from(flags.rsv1) << 6;
    put_frame(&mut wire, first, (role == Role::Server).then_some([0; 4]), payload);
    wire
}

/// A message of the peer, as it is on the wire.
#[derive(Debug)]
pub(crate) struct PeerMessage {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Vec<u8>,
    pub(crate) compressed: bool,
}

/// The largest size of the wire and of a message, since every byte is read many times.
const MAX_WIRE: usize = 30_000;

/// Builds messages from the input: for each a byte of choices, the size and the payload.
pub(crate) fn compose(role: Role, mut input: Input<'_>) -> (Vec<PeerMessage>, Vec<u8>) {
    let (mut messages, mut wire) = (Vec::new(), Vec::new());
    // Each message needs a decompressor or two, many times.
    while !input.is_empty() && messages.len() < 20 && wire.len() < MAX_WIRE {
        let (how, size) = (input.byte(), input.size());
        let mut payload = input.take(size).to_vec();
        if how & 0x40 != 0 {
            payload = payload.repeat(1 + input.size());
            payload.truncate(MAX_WIRE);
        }
        let compressed = how & 3 != 3;
        if compressed && how & 0x80 != 0 {
            payload = compress(&payload, how);
        }
        let kind = if how & 3 == 0 { MessageKind::Text } else { MessageKind::Binary };
        // Up to four frames, possibly with pings between them.
        let frames = 1 + usize::from(how >> 2 & 3);
        let mut parts = payload.chunks(payload.len().div_ceil(frames).max(1)).peekable();
        let mut part = parts.next().unwrap_or_default();
        let (mut opcode, mut is_first) = (kind.opcode(), true);
        loop {
            let finish = parts.peek().is_none();
            wire.extend(frame(role, opcode, Flags { finish, rsv1: compressed && is_first }, part));
            let Some(next) = parts.next() else { break };
            if how & 0x30 == 0x30 {
                wire.extend(frame(role, Opcode::Ping, Flags { finish: true, rsv1: false }, b"?"));
            }
            (part, opcode, is_first) = (next, Opcode::Continuation, false);
        }
        messages.push(PeerMessage { kind, payload, compressed });
    }
    (messages, wire)
}

/// Compresses a message with zlib.
fn compress(plain: &[u8], how: u8) -> Vec<u8> {
    let level = Compression::new(u32::from(how >> 4 & 3) * 3);
    let mut compress = Compress::new(level, false);
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 8 + 100);
    let flush = if how & 8 == 0 { FlushCompress::Sync } else { FlushCompress::Finish };
    compress.compress_vec(plain, &mut out, flush).expect("room enough");
    match out.strip_suffix(&TAIL) {
        Some(stripped) => stripped.to_vec(),
        None => out,
    }
}
