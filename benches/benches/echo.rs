//! Messages received and sent back, with one write for those that arrived together.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sockeye_benches::{
    FastWebSockets, Kind, Library, Memory, Shape, Sockeye, SockeyeCore, SockeyeLent, TokioWebSockets,
    Traffic, Tungstenite, measure, settle_allocator,
};

fn echo(criterion: &mut Criterion) {
    settle_allocator();
    for batch in [1, 16] {
        for size in [16, 125, 1 << 10, 16 << 10, 64 << 10] {
            let traffic = Traffic::new(Shape::new(Kind::Ascii, size));
            let mut group = criterion.benchmark_group(format!("echo/{batch} at a time/{}", traffic.shape));
            group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
            one::<SockeyeCore>(&mut group, &traffic, batch);
            one::<SockeyeLent>(&mut group, &traffic, batch);
            one::<Sockeye>(&mut group, &traffic, batch);
            one::<Tungstenite>(&mut group, &traffic, batch);
            one::<FastWebSockets>(&mut group, &traffic, batch);
            one::<TokioWebSockets>(&mut group, &traffic, batch);
            group.finish();
        }
    }
}

fn one<L: Library>(group: &mut BenchmarkGroup<'_, WallTime>, traffic: &Traffic, batch: usize) {
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| measure(|| L::echo(Memory::in_batches(traffic, batch), count)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = echo
}
criterion_main!(benches);
