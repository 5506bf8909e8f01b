//! Header names chosen to collide in a hash table (T4 of docs/requirements.md).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use sockeye_core::RecvBuf;
use sockeye_core::handshake::server::ServerHandshake;

/// Header fields are a list of at most 100. Colliding names cost nothing if names are never hashed.
#[test]
fn t4_the_core_hashes_nothing_that_a_peer_sends() {
    fn scan(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                scan(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["HashMap", "HashSet", "BTreeMap", "BTreeSet", "Hasher"] {
                if text.contains(word) {
                    found.push(format!("{word} in {}", path.display()));
                }
            }
        }
    }
    let mut found = Vec::new();
    scan(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn t4_a_request_with_99_fields_of_one_name_is_read_like_any_other() {
    let mut head = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
    for n in 0..99 {
        write!(head, "X-Same: {n}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    let mut handshake = ServerHandshake::new(Arc::default());
    let request = handshake.poll_request(&mut RecvBuf::new(&mut bytes)).unwrap().unwrap();
    assert_eq!(request.headers().len(), 100);
    assert_eq!(request.headers().first("x-same"), Some("0"));
}
