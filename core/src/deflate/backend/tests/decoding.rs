use super::checker::{check, check_message};
use super::*;

/// The examples of RFC 7692 7.2.3: messages without their last four bytes.
#[test]
fn the_examples_of_the_rfc_inflate() {
    let hello: &[(&str, &[u8])] = &[
        ("7.2.3.1", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ("7.2.3.2", &[0xf2, 0x00, 0x11, 0x00, 0x00]),
        ("7.2.3.3", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
        ("7.2.3.4", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        ("7.2.3.5", &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]),
    ];
    for backend in BACKENDS {
        for chunk in [1, 2, 3, 100] {
            for room in [1, 2, 5, 600] {
                let (_, mut decoder) = backend.pair(&settings(6, 15));
                for (section, message) in hello {
                    let output = feed(&mut *decoder, message, chunk, room);
                    assert_eq!(output.as_deref(), Ok(&b"Hello"[..]), "{} {section}", backend.name);
                    assert_eq!(decoder.finish(), Ok(()), "{} {section}", backend.name);
                }
                // 7.2.3.6, and a message without any bytes.
                for empty in [&[0x00][..], &[]] {
                    assert_eq!(feed(&mut *decoder, empty, chunk, room), Ok(vec![]));
                    assert_eq!(decoder.finish(), Ok(()));
                }
            }
        }
    }
}

#[test]
fn the_output_is_the_same_at_any_chunk_size_and_room() {
    let mut random = Random(6);
    let text = random.json(700);
    let plain = [random.repetitive(3000, 3000), random.bytes(300), text, vec![7; 1000]].concat();
    for backend in BACKENDS {
        for level in [1, 4, 9] {
            let (mut encoder, _) = backend.pair(&settings(level, 15));
            let sent =
                [compress_message(&mut *encoder, &plain), compress_message(&mut *encoder, &plain[..1500])];
            for other in BACKENDS {
                for (chunk, room) in
                    [(1, 1), (1, 5000), (9999, 1), (2, 3), (16, 259), (15, 300), (7, 2), (333, 257)]
                {
                    let (_, mut decoder) = other.pair(&settings(level, 15));
                    for (sent, plain) in sent.iter().zip([&plain[..], &plain[..1500]]) {
                        assert!(
                            feed(&mut *decoder, sent, chunk, room).as_deref() == Ok(plain),
                            "{chunk} {room}"
                        );
                        assert_eq!(decoder.finish(), Ok(()));
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_cut_anywhere_does_not_finish() {
    let mut random = Random(7);
    let plains = [random.json(600), random.bytes(100), b"Hello".to_vec(), random.repetitive(900, 900)];
    for backend in BACKENDS {
        for (plain, level) in plains.iter().zip([6, 1, 9, 4]) {
            let (mut encoder, _) = backend.pair(&settings(level, 15));
            let sent = [
                compress_message(&mut *encoder, &plain[..plain.len() / 2]),
                TAIL.to_vec(),
                compress_message(&mut *encoder, plain),
            ]
            .concat();
            for other in BACKENDS {
                let mut decoder = (other.decoder)();
                let mut valid = 0;
                for cut in 0..=sent.len() {
                    decoder.reset(&[]);
                    let whole = inflate_message(&mut *decoder, &sent[..cut]);
                    valid += usize::from(whole.is_ok());
                    assert_eq!(whole.ok(), check_message(&sent[..cut], &[]), "{} at {cut}", other.name);
                }
                // Valid cuts: the start, the ends of both messages, and the first bits of stored
                // blocks.
                assert!((3..=5).contains(&valid), "{} {valid}", other.name);
            }
        }
    }
}

/// A writer of blocks in the fixed code (RFC 1951 3.2.6).
#[derive(Default)]
struct Fixed(Vec<u8>, usize);

impl Fixed {
    fn bits(mut self, value: usize, count: usize) -> Self {
        for bit in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.1 % 8);
            self.1 += 1;
        }
        self
    }

    fn code(self, value: usize, count: usize) -> Self {
        (0..count).rev().fold(self, |to, bit| to.bits(value >> bit & 1, 1))
    }

    fn block(last: bool) -> Self {
        Fixed::default().begin(last)
    }

    fn begin(self, last: bool) -> Self {
        self.bits(usize::from(last), 1).bits(1, 2)
    }

    fn literals(self, count: usize) -> Self {
        (0..count).fold(self, |to, _| to.code(0x30 + usize::from(b'x'), 8))
    }

    /// Repeats three bytes from this distance.
    fn repeat_from(self, distance: usize) -> Self {
        let to = self.code(1, 7);
        match distance - 1 {
            code @ 0..4 => to.code(code, 5),
            value => {
                let extra = value.ilog2() as usize - 1;
                to.code(2 * extra + (value >> extra), 5).bits(value & ((1 << extra) - 1), extra)
            }
        }
    }

    /// Ends the block, and the message with the header of an empty block.
    fn end(self) -> Vec<u8> {
        let to = self.code(0, 7).bits(0, 3);
        to.0
    }

    fn align(mut self) -> Self {
        self.1 = self.0.len() * 8;
        self
    }
}

/// Codecs serve one connection after another, so data of one must never reach the next.
#[test]
fn no_reference_reaches_bytes_before_a_reset() {
    let secret = Random(8).bytes(33_000);
    for backend in BACKENDS {
        let (mut encoder, mut decoder) = backend.pair(&settings(1, 15));
        let sent = compress_message(&mut *encoder, &secret);
        for known in [0, 1, 3, 300, 4096, 32_767] {
            for before in [0, 1, 50] {
                for after in [0, 40] {
                    for distance in [1, 2, 3, 4, 258, 300, 301, 4096, 4097, 20_000, 32_767, 32_768] {
                        decoder.reset(&[]);
                        assert!(inflate_message(&mut *decoder, &sent).as_ref() == Ok(&secret));
                        decoder.reset(&vec![b'h'; known]);
                        let stream =
                            Fixed::block(false).literals(before).repeat_from(distance).literals(after).end();
                        // Enough room for the fast paths of the backends.
                        let output = feed(&mut *decoder, &stream, 500, 500)
                            .and_then(|out| decoder.finish().map(|()| out));
                        let checked = check(&[&stream[..], &TAIL].concat(), &vec![b'h'; known]);
                        assert_eq!(checked.is_some(), distance <= known + before);
                        assert_eq!(
                            output.ok(),
                            checked.map(|checked| checked.output),
                            "{} {known} {before} {distance}",
                            backend.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn no_reference_reaches_bytes_before_a_final_block() {
    for backend in BACKENDS {
        for (literals, back, valid) in
            [(0, 1, false), (1, 1, true), (1, 2, false), (40, 40, true), (40, 41, false)]
        {
            for chunk in [1, 2, 500] {
                let (_, mut decoder) = backend.pair(&settings(1, 15));
                decoder.reset(b"history");
                let last = Fixed::block(true).repeat_from(7).literals(60).code(0, 7).align();
                let stream = last.begin(false).literals(literals).repeat_from(back).literals(40).end();
                let output =
                    feed(&mut *decoder, &stream, chunk, 600).and_then(|out| decoder.finish().map(|()| out));
                assert_eq!(output.is_ok(), valid, "{} {literals} {back}", backend.name);
                // The same if the final block ends the message, and the references are in the next
                // one.
                decoder.reset(b"history");
                let stream = Fixed::block(true).repeat_from(7).literals(60).code(0, 7).0;
                assert_eq!(feed(&mut *decoder, &stream, chunk, 600).unwrap().len(), 63);
                assert_eq!(decoder.finish(), Ok(()));
                let stream = Fixed::block(false).literals(literals).repeat_from(back).literals(40).end();
                let output =
                    feed(&mut *decoder, &stream, chunk, 600).and_then(|out| decoder.finish().map(|()| out));
                assert_eq!(output.is_ok(), valid, "{} {literals} {back}", backend.name);
            }
        }
    }
}

/// The message ends with an empty BFINAL block, whose last four bytes RFC 7692 7.2.1 removes.
#[test]
fn the_block_that_the_tail_completes_can_be_final() {
    for backend in BACKENDS {
        let (_, mut decoder) = backend.pair(&settings(1, 15));
        for _ in 0..2 {
            let stream = Fixed::block(false).literals(1).repeat_from(1).code(0, 7).bits(1, 3).0;
            assert_eq!(inflate_message(&mut *decoder, &stream).as_deref(), Ok(&b"xxxx"[..]));
            assert_eq!(
                inflate_message(&mut *decoder, &Fixed::block(false).repeat_from(1).end()),
                Err(Corrupt),
                "{}",
                backend.name
            );
            decoder.reset(&[]);
        }
    }
}

#[test]
fn a_message_that_ends_without_an_empty_block_is_corrupt() {
    for backend in BACKENDS {
        for literals in 0..16 {
            let stream = Fixed::block(false).literals(literals).code(0, 7);
            let (_, mut decoder) = backend.pair(&settings(1, 15));
            let output = inflate_message(&mut *decoder, &stream.0);
            // Three or more bits of padding are the header of an empty block.
            assert_eq!(output.is_ok(), (1..=5).contains(&(stream.1 % 8)), "{} {literals}", backend.name);
            assert_eq!(output.ok(), check_message(&stream.0, &[]), "{} {literals}", backend.name);
        }
    }
}

/// Returns a block with dynamic codes. Its end-of-block code lacks `end` one-bits, which the tail
/// supplies: the first ones of the tail or, if `late`, those after the first three.
fn completed_by_the_tail(last: bool, end: usize, late: bool) -> Vec<u8> {
    // The code for lengths: 17 (zeros) is 0, and 0 to 15 have five bits. The lengths of the
    // literals: 1, 2 and so on, and the last one twice.
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let build = |runs: usize| {
        let distances = if late { 22 } else { 12 };
        let mut to = Fixed::default()
            .bits(usize::from(last), 1)
            .bits(2, 2)
            .bits(0, 5)
            .bits(distances - 1, 5)
            .bits(15, 4);
        for symbol in ORDER {
            to = to.bits(
                if symbol == 17 {
                    1
                } else if symbol < 16 {
                    5
                } else {
                    0
                },
                3,
            );
        }
        to = (1..end).chain([end]).fold(to, |to, length| to.code(16 + length, 5));
        to = (0..runs).fold(to, |to, _| to.bits(0, 4));
        to = (0..256 - end - 3 * runs).fold(to, |to, _| to.code(16, 5));
        to.code(16 + end, 5).bits(0, usize::from(late))
    };
    (0..8).map(build).find(|to| to.1 % 8 == 0).unwrap().0
}

#[test]
fn a_tail_that_completes_another_block_must_end_it_on_a_byte_boundary() {
    for backend in BACKENDS {
        for (last, end, late, valid) in [
            (false, 13, true, true),
            (false, 12, true, false),
            (false, 11, true, false),
            (false, 10, true, false),
            (false, 5, true, false),
            (false, 15, false, false),
            (false, 14, false, false),
            (false, 13, false, false),
            (false, 8, false, false),
            (true, 13, true, true),
            (true, 12, true, true),
            (true, 15, false, true),
            (true, 14, false, true),
            (true, 9, false, true),
            // One byte of the tail is left over.
            (true, 8, false, false),
        ] {
            for chunk in [1, 1000] {
                let (mut encoder, mut decoder) = backend.pair(&settings(6, 15));
                assert_eq!(
                    feed(&mut *decoder, &completed_by_the_tail(last, end, late), chunk, 100),
                    Ok(vec![])
                );
                assert_eq!(decoder.finish().is_ok(), valid, "{} {last} {end} {late}", backend.name);
                if valid {
                    let sent = compress_message(&mut *encoder, b"Hello");
                    assert_eq!(inflate_message(&mut *decoder, &sent).as_deref(), Ok(&b"Hello"[..]));
                }
            }
        }
    }
}

/// A kilobyte of input inflates to a megabyte, but only into the room that the caller provides.
#[test]
fn an_inflate_bomb_stays_within_the_room() {
    for backend in BACKENDS {
        let (mut encoder, mut decoder) = backend.pair(&settings(9, 15));
        let mut sent = Vec::new();
        encoder.compress(&vec![0; 1 << 20], &mut sent).unwrap();
        assert!(sent.len() < 2000);
        let (mut room, mut total) = ([1; 1000], 0);
        for _ in 0..16 {
            let mut input = &sent[..];
            loop {
                let step = decoder.inflate(input, &mut room).unwrap();
                assert!(room[..step.written].iter().all(|&byte| byte == 0));
                (input, total) = (&input[step.read..], total + step.written);
                if step.written < room.len() {
                    break;
                }
            }
        }
        assert_eq!(total, 16 << 20);
    }
}

#[test]
fn inflating_without_room_is_no_error_and_does_not_loop() {
    for backend in BACKENDS {
        let (mut encoder, mut decoder) = backend.pair(&settings(6, 15));
        let sent = compress_message(&mut *encoder, b"Hello");
        let Inflated { read, written: 0 } = decoder.inflate(&sent, &mut []).unwrap() else { panic!() };
        assert_eq!(
            feed(&mut *decoder, &sent[read..], 100, 100).unwrap_or_default(),
            if read < sent.len() { &b"Hello"[..] } else { b"" }
        );
    }
}
