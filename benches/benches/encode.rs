//! Messages sent by a server, by a client that masks them, in fragments, and encoded in advance.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sockeye_benches::{
    Encode, FastWebSockets, Kind, Library, Memory, Shape, Sockeye, SockeyeCore, TokioWebSockets, Traffic,
    Tungstenite, measure, settle_allocator, size_name,
};
use sockeye_core::Role;

fn encode(criterion: &mut Criterion) {
    settle_allocator();
    // The traffic is not read.
    let traffic = Traffic::new(Shape::new(Kind::Binary, 16));
    let message =
        |role, kind, size| Encode::new(role, kind, Traffic::new(Shape::new(kind, size)).messages.remove(0));
    for (name, role) in [("server", Role::Server), ("client", Role::Client)] {
        for kind in [Kind::Binary, Kind::Ascii] {
            for size in [16, 125, 1 << 10, 16 << 10, 64 << 10] {
                let group = format!("encode/{name}/{kind} {}", size_name(size));
                all(criterion, &group, &traffic, &message(role, kind, size));
            }
        }
        let mut fragmented = message(role, Kind::Ascii, 64 << 10);
        fragmented.fragment = Some(1 << 10);
        all(criterion, &format!("encode/{name}/ascii 64 KiB in 1 KiB"), &traffic, &fragmented);
    }
    for size in [16, 1 << 10, 64 << 10] {
        let mut prepared = message(Role::Server, Kind::Ascii, size);
        prepared.prepared = true;
        all(criterion, &format!("encode/prepared/ascii {}", size_name(size)), &traffic, &prepared);
    }
}

fn all(criterion: &mut Criterion, name: &str, traffic: &Traffic, encode: &Encode) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: encode.payload.len() as u64 });
    one::<SockeyeCore>(&mut group, traffic, encode);
    one::<Sockeye>(&mut group, traffic, encode);
    one::<Tungstenite>(&mut group, traffic, encode);
    one::<FastWebSockets>(&mut group, traffic, encode);
    one::<TokioWebSockets>(&mut group, traffic, encode);
    group.finish();
}

fn one<L: Library>(group: &mut BenchmarkGroup<'_, WallTime>, traffic: &Traffic, encode: &Encode) {
    if L::encode(Memory::new(traffic), encode, 0).is_none() {
        return;
    }
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| measure(|| L::encode(Memory::new(traffic), encode, count)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = encode
}
criterion_main!(benches);
