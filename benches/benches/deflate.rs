//! permessage-deflate: compressed messages that a server receives, and messages that it compresses.
//!
//! An iteration of `inflate` is 256 KiB of messages, and one of `deflate` is one message. Compare
//! their throughputs, not their times.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sockeye_benches::deflate::{LIBRARIES, Settings, Text};
use sockeye_benches::{Kind, Shape, Traffic, settle_allocator};

fn deflate(criterion: &mut Criterion) {
    settle_allocator();
    for shape in [1 << 10, 64 << 10].map(|size| Shape::new(Kind::Json, size)) {
        for takeover in [true, false] {
            let settings = Settings { level: 6, takeover };
            let traffic = Traffic::deflated(shape, takeover);
            let messages = Text::all(&traffic);
            for (direction, inflate) in [("inflate", true), ("deflate", false)] {
                let mut group = criterion.benchmark_group(format!("{direction}/{shape}, {settings}"));
                for library in LIBRARIES {
                    let mut work = match inflate {
                        true => library.inflate(&traffic, settings),
                        false => library.deflate(&traffic, &messages, settings, 1),
                    };
                    let (elements, bytes) = (work.messages, work.messages * shape.size as u64);
                    group.throughput(Throughput::ElementsAndBytes { elements, bytes });
                    group.bench_function(library.name, |bencher| {
                        bencher.iter_custom(|count| work.measure(count))
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = deflate
}
criterion_main!(benches);
