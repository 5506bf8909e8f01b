//! Masking in place: Sockeye's, and the formula of RFC 6455 section 5.3 byte by byte.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_benches::size_name;
use sockeye_core::apply_mask;

type Apply = fn(&mut [u8], [u8; 4]);

fn by_bytes(bytes: &mut [u8], key: [u8; 4]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[i & 3];
    }
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for size in [7, 16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20] {
        group.throughput(Throughput::Bytes(size as u64));
        for (name, apply) in [("sockeye", apply_mask as Apply), ("byte by byte", by_bytes)] {
            // A payload follows a header, so it rarely begins at an aligned address.
            let mut buffer = vec![0x5a; size + 6];
            group.bench_with_input(BenchmarkId::new(name, size_name(size)), &size, |bencher, _| {
                bencher.iter(|| apply(black_box(&mut buffer[6..]), black_box([0x37, 0xfa, 0x21, 0x3d])));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
