//! Masked messages that a server receives: whole, with checked text.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sockeye_benches::{
    FastWebSockets, Kind, Library, Memory, Shape, Sockeye, SockeyeCore, SockeyeLent, TokioWebSockets,
    Traffic, Tungstenite, measure, settle_allocator,
};

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for kind in [Kind::Binary, Kind::Ascii, Kind::MultiByte] {
        shapes.extend([16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20].map(|size| Shape::new(kind, size)));
    }
    for kind in [Kind::Binary, Kind::Ascii] {
        shapes.push(Shape::new(kind, 64 << 10).in_fragments(1 << 10));
    }
    shapes
}

fn decode(criterion: &mut Criterion) {
    settle_allocator();
    for shape in shapes() {
        let traffic = Traffic::new(shape);
        let mut group = criterion.benchmark_group(format!("decode/{shape}"));
        group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: shape.size as u64 });
        one::<SockeyeCore>(&mut group, &traffic);
        one::<SockeyeLent>(&mut group, &traffic);
        one::<Sockeye>(&mut group, &traffic);
        one::<Tungstenite>(&mut group, &traffic);
        one::<FastWebSockets>(&mut group, &traffic);
        one::<TokioWebSockets>(&mut group, &traffic);
        group.finish();
    }
}

fn one<L: Library>(group: &mut BenchmarkGroup<'_, WallTime>, traffic: &Traffic) {
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| measure(|| L::decode(Memory::new(traffic), count)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = decode
}
criterion_main!(benches);
