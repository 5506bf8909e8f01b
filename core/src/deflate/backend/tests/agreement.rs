use super::checker::check_message;
use super::*;

/// Both backends and the checker agree on valid and invalid streams, however the input is split.
#[test]
fn backends_and_checker_agree_on_random_and_mutated_streams() {
    let mut random = Random(9);
    let mut seeds = Vec::new();
    for backend in BACKENDS {
        for level in [1, 2, 6, 9] {
            for plain in [random.json(300), random.bytes(60), random.repetitive(500, 500), vec![b'a'; 400]] {
                let (mut encoder, _) = backend.pair(&settings(level, 15));
                encoder.reset(b"history");
                seeds.push(compress_message(&mut *encoder, &plain));
            }
        }
    }
    let mut decoders: Vec<_> = BACKENDS.iter().map(|backend| (backend.decoder)()).collect();
    let mut valid = 0;
    for round in 0..8_000 {
        let mut since_final = None;
        let stream = if round % 4 == 0 { noise(&mut random) } else { mutated(&mut random, &seeds) };
        let expected = check_message(&stream, b"history");
        for (decoder, backend) in decoders.iter_mut().zip(BACKENDS) {
            for (chunk, room) in [(usize::MAX, 1 << 12), (1 + random.below(20), 1 + random.below(300))] {
                decoder.reset(b"history");
                let output =
                    feed(&mut **decoder, &stream, chunk, room).and_then(|out| decoder.finish().map(|()| out));
                if output.is_ok() {
                    let window_len = decoder.since_final();
                    assert_eq!(
                        *since_final.get_or_insert(window_len),
                        window_len,
                        "{} {round}",
                        backend.name
                    );
                }
                assert_eq!(output.ok(), expected, "{} {round} {chunk} {room} {stream:02x?}", backend.name);
            }
        }
        valid += usize::from(expected.is_some());
    }
    assert!((200..6_000).contains(&valid), "{valid}");
}

fn noise(random: &mut Random) -> Vec<u8> {
    let size = random.below(80);
    let mut stream = random.bytes(size);
    // Prefer compressed blocks.
    if let Some(first) = stream.first_mut() {
        *first = (*first & !6) | [0, 2, 4, 4][random.below(4)];
    }
    stream
}

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(3) {
        let at = random.below(stream.len().max(1));
        match random.below(9) {
            0 => stream.truncate(at),
            1 => stream.insert(at, random.next() as u8),
            2 if !stream.is_empty() => drop(stream.remove(at)),
            // Append another stream after a last block or a flush.
            3 => {
                stream.extend_from_slice(&TAIL);
                stream.extend_from_slice(&seeds[random.below(seeds.len())]);
            }
            4 => stream.extend_from_slice(&[0x03, 0x00]),
            5 => stream.first_mut().into_iter().for_each(|first| *first ^= 1),
            6 => {}
            _ => stream.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    stream
}
