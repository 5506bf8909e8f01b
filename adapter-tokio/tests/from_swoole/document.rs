//! `docs/from-swoole.md` says what is so.

use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/from-swoole.md");

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!($name, ".rs")))),*] };
}

#[test]
fn its_examples_are_those_that_are_run() {
    let files = files![
        "first",
        "status",
        "before_handshake_response",
        "handshake",
        "defer",
        "request",
        "class",
        "pack",
        "unpack",
        "subprotocol",
        "close_frames",
        "ping_frames",
        "pong_frames",
        "compression_server",
        "compression_client",
        "ping_server",
        "ping_client",
    ];
    let blocks: Vec<&str> = DOCUMENT
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the end of a block").0)
        .collect();
    assert_eq!(blocks.len(), files.len());
    for (block, (name, file)) in blocks.iter().zip(files) {
        assert_eq!(block, &file, "{name}.rs and the document differ");
    }
}

/// Where each type of the tables is defined.
const SOURCES: [(&str, &str); 24] = [
    ("Accept", include_str!("../../../core/src/handshake/server/accept.rs")),
    ("Callbacks", include_str!("../../../driver/src/server/callbacks.rs")),
    ("Client", include_str!("../../../driver/src/server/client.rs")),
    ("CloseCode", include_str!("../../../core/src/close.rs")),
    ("CloseFrame", include_str!("../../../core/src/close.rs")),
    ("Config", include_str!("../../../core/src/config.rs")),
    ("Decision", include_str!("../../../driver/src/server/handler.rs")),
    ("Flags", include_str!("../../../core/src/frame.rs")),
    ("Frame", include_str!("../../../core/src/frame.rs")),
    ("Handler", include_str!("../../../driver/src/server/handler.rs")),
    ("HttpRequest", include_str!("../../../driver/src/server/http.rs")),
    ("Inbound", include_str!("../../../driver/src/server/handler.rs")),
    ("Info", include_str!("../../../driver/src/server/status.rs")),
    ("Limits", include_str!("../../../driver/src/server/options.rs")),
    ("Opcode", include_str!("../../../core/src/frame.rs")),
    ("Payload", include_str!("../../../core/src/message.rs")),
    ("Policy", include_str!("../../../core/src/handshake/server/policy.rs")),
    ("Port", include_str!("../../../driver/src/server/options.rs")),
    ("Request", include_str!("../../../core/src/http/request.rs")),
    ("Response", include_str!("../../../core/src/http/response.rs")),
    ("Server", include_str!("../../../driver/src/server/running.rs")),
    ("ServerHandle", include_str!("../../../driver/src/server/handle.rs")),
    ("Status", include_str!("../../../driver/src/server/status.rs")),
    ("WebSocket", include_str!("../../../driver/src/websocket.rs")),
];

#[test]
fn its_names_exist() {
    // Without the blocks of code.
    let prose = DOCUMENT.split("```").step_by(2);
    let quoted = prose.flat_map(|part| part.split('`').skip(1).step_by(2));
    let names: BTreeSet<(&str, &str)> = quoted.filter_map(|name| name.split_once("::")).collect();
    assert!(names.len() > 60, "{names:?}");
    for (of, name) in names {
        let name = name.split(['(', ' ', '{']).next().unwrap_or_default();
        let (_, source) =
            SOURCES.iter().find(|(known, _)| *known == of).unwrap_or_else(|| panic!("{of}::{name}"));
        let words: BTreeSet<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert!(words.contains(name), "{of}::{name}");
    }
}
