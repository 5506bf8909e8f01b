//! The check of text, whole and cut into pieces, beside checks that handle only whole text.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_benches::{Kind, payload, size_name};
use sockeye_core::Utf8Stream;

/// The size of a piece, which cuts characters.
const PIECE: usize = 1021;

fn stream(text: &[u8], piece: usize) -> bool {
    let mut utf8 = Utf8Stream::new();
    text.chunks(piece).all(|piece| utf8.push(piece, |text| _ = black_box(text)).is_ok()) && utf8.is_complete()
}

fn utf8(criterion: &mut Criterion) {
    for kind in [Kind::Ascii, Kind::MultiByte] {
        let mut group = criterion.benchmark_group(format!("utf8/{kind}"));
        for size in [16, 125, 1 << 10, 64 << 10] {
            let text = payload(kind, size, &mut fastrand::Rng::with_seed(7));
            group.throughput(Throughput::Bytes(size as u64));
            let mut bench = |name: &str, check: fn(&[u8]) -> bool| {
                group.bench_with_input(BenchmarkId::new(name, size_name(size)), &*text, |bencher, text| {
                    assert!(check(text));
                    bencher.iter(|| check(black_box(text)));
                });
            };
            bench("sockeye, whole", |text| stream(text, text.len()));
            bench("sockeye, cut", |text| stream(text, PIECE));
            bench("std", |text| std::str::from_utf8(text).is_ok());
            bench("simdutf8", |text| simdutf8::basic::from_utf8(text).is_ok());
        }
        group.finish();
    }
}

criterion_group!(benches, utf8);
criterion_main!(benches);
