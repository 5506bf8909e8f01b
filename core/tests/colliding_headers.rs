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

/// Names that collide in the hash functions of Java (`Aa`, `BB`) and of DJB (`Ez`, `FY`), which
/// servers have used for header names.
#[test]
fn t4_names_that_collide_in_common_hash_functions_are_told_apart() {
    for pairs in [["Aa", "BB"], ["Ez", "FY"]] {
        let names: Vec<String> =
            (0..64_u32).map(|n| (0..6).map(|bit| pairs[(n >> bit & 1) as usize]).collect()).collect();
        let mut head = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for (n, name) in names.iter().enumerate() {
            write!(head, "{name}: {n}\r\n").unwrap();
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        let mut handshake = ServerHandshake::new(Arc::default());
        let request = handshake.poll_request(&mut RecvBuf::new(&mut bytes)).unwrap().unwrap();
        assert_eq!(request.headers().len(), 65);
        for (n, name) in names.iter().enumerate() {
            let expected = n.to_string();
            assert_eq!(request.headers().first(name), Some(expected.as_str()), "{name}");
            assert_eq!(request.headers().all(&name.to_ascii_uppercase()).count(), 1);
        }
    }
}
