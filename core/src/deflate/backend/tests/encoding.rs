use alloc::vec::Vec;

use super::checker::check;
use super::*;

#[test]
fn every_size_round_trips_through_every_backend_with_takeover() {
    let mut random = Random(1);
    let (noise, text) = (random.bytes(2000), random.json(2000));
    for backend in BACKENDS {
        for level in [1, 6] {
            let mut encoder = (backend.encoder)(&settings(level, 15));
            encoder.reset(&[]);
            let mut decoders: Vec<_> = BACKENDS.iter().map(|other| other.pair(&settings(1, 15)).1).collect();
            for size in 0..=2000 {
                for plain in [&noise[..size], &text[2000 - size..]] {
                    let sent = compress_message(&mut *encoder, plain);
                    for decoder in &mut decoders {
                        assert!(
                            inflate_message(&mut **decoder, &sent).as_deref() == Ok(plain),
                            "{} {level} {size}",
                            backend.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn sizes_at_the_edges_of_blocks_and_windows_round_trip() {
    let mut random = Random(2);
    let mut turns = [(1, 15), (6, 9), (4, 15), (9, 15), (1, 12), (6, 15), (2, 14)].iter().cycle();
    for size in [4096, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_071, 131_072] {
        for plain in [random.bytes(size), random.json(size), vec![0; size], random.repetitive(size, 40_000)] {
            let &(level, window_bits) = turns.next().unwrap();
            for backend in BACKENDS {
                let (mut encoder, _) = backend.pair(&settings(level, window_bits));
                let sent = compress_message(&mut *encoder, &plain);
                // Fixed codes take at most nine bits for eight.
                assert!(sent.len() < size + size / 8 + 64, "{} {level} {size}: {}", backend.name, sent.len());
                for other in BACKENDS {
                    let (_, mut decoder) = other.pair(&settings(level, 15));
                    let output = inflate_message(&mut *decoder, &sent);
                    assert!(output.as_ref() == Ok(&plain), "{} {level} {size}", backend.name);
                }
            }
        }
    }
}

#[test]
fn no_distance_is_beyond_the_window_or_before_the_history() {
    let mut random = Random(3);
    for backend in BACKENDS {
        for window_bits in 8..=15 {
            let window = 1_usize << window_bits;
            for level in 1..=9 {
                let mut encoder = (backend.encoder)(&settings(level, window_bits));
                for known in [0, 2, 200, window, 2 * window + 77] {
                    let bytes = random.repetitive(known + 2 * window.min(4096) + 1000, window + 300);
                    let (history, plain) = bytes.split_at(known);
                    let mut sent = Vec::new();
                    encoder.reset(history);
                    // Two messages, the second one in parts.
                    let (first, second) = plain.split_at(plain.len() / 3);
                    encoder.compress(first, &mut sent).unwrap();
                    second
                        .chunks(window / 3 + 50)
                        .for_each(|part| encoder.compress(part, &mut sent).unwrap());
                    // The peer keeps no more history than the window.
                    let checked = check(&sent, super::super::tail(history, window)).expect(backend.name);
                    assert!(checked.output == plain);
                    let far = checked.max_distance;
                    assert!(far <= window, "{} {window_bits} {level} {known}: {far}", backend.name);
                }
            }
        }
    }
}

#[test]
fn an_encoder_uses_its_history_and_a_reset_discards_it() {
    let mut random = Random(4);
    let plain = random.bytes(200);
    for backend in BACKENDS {
        for level in 1..=9 {
            for window_bits in 9..=15 {
                let (mut encoder, mut decoder) = backend.pair(&settings(level, window_bits));
                encoder.reset(&plain);
                decoder.reset(&plain);
                let short = compress_message(&mut *encoder, &plain);
                assert!(short.len() < 60, "{} {level} {window_bits}: {}", backend.name, short.len());
                assert!(inflate_message(&mut *decoder, &short).as_ref() == Ok(&plain));
                encoder.reset(&[]);
                decoder.reset(&[]);
                let long = compress_message(&mut *encoder, &plain);
                assert!(long.len() >= 200);
                assert!(inflate_message(&mut *decoder, &long).as_ref() == Ok(&plain));
                // RFC 7692 7.2.3.2: the encoder uses the previous message too.
                let again = compress_message(&mut *encoder, &plain);
                assert!(again.len() < 60, "{} {level} {window_bits}: {}", backend.name, again.len());
                assert!(inflate_message(&mut *decoder, &again).as_ref() == Ok(&plain));
            }
        }
    }
}

#[test]
fn an_empty_message_always_compresses_to_an_empty_block() {
    for backend in BACKENDS {
        for level in 1..=9 {
            for history in [&b""[..], b"a", b"history"] {
                let (mut encoder, mut decoder) = backend.pair(&settings(level, 15));
                encoder.reset(history);
                decoder.reset(history);
                for plain in [&b""[..], b"", b"Hello", b"", b"", b"Hello"] {
                    let sent = compress_message(&mut *encoder, plain);
                    assert!(!plain.is_empty() || sent == [0x00], "RFC 7692 7.2.3.6");
                    assert_eq!(
                        inflate_message(&mut *decoder, &sent).as_deref(),
                        Ok(plain),
                        "{} {level}",
                        backend.name
                    );
                }
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_clamped() {
    for backend in BACKENDS {
        for value in [0, u8::MAX] {
            let settings =
                CompressorSettings { level: value, window_bits: value, mem_level: value, ..settings(1, 8) };
            let (mut encoder, mut decoder) = backend.pair(&settings);
            let sent = compress_message(&mut *encoder, b"Hello, Hello, Hello, Hello");
            assert!(sent.len() < 26);
            assert!(inflate_message(&mut *decoder, &sent).as_deref() == Ok(b"Hello, Hello, Hello, Hello"));
        }
    }
}

#[test]
fn compressed_bytes_are_appended_to_the_output() {
    for backend in BACKENDS {
        let (mut encoder, _) = backend.pair(&settings(6, 15));
        let mut out = b"head".to_vec();
        encoder.compress(&Random(5).bytes(100_000), &mut out).unwrap();
        encoder.compress(b"", &mut out).unwrap();
        assert!(
            out.starts_with(b"head") && check(&out[4..], &[]).unwrap().output == Random(5).bytes(100_000)
        );
    }
}
