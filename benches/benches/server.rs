//! The cost of the server for a message: an echo by a handler, beside an echo through a bare
//! `WebSocket`, in memory.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sockeye_benches::{
    Kind, Shape, Traffic, echo_alone, echo_on_thread, echo_served, measure, settle_allocator,
};

type Echo = fn(&Arc<[u8]>, u64);

const ECHOES: [(&str, Echo); 3] =
    [("WebSocket", echo_alone), ("Server", echo_served), ("Server, own threads", echo_on_thread)];

fn server(criterion: &mut Criterion) {
    settle_allocator();
    for batch in [1, 16] {
        for size in [16, 125] {
            let traffic = Traffic::new(Shape::new(Kind::Binary, size));
            let mut group = criterion.benchmark_group(format!("server/{batch} at a time/{}", traffic.shape));
            group.throughput(Throughput::Elements(1));
            let bytes: Arc<[u8]> = traffic.first(batch).into();
            for (name, echo) in ECHOES {
                group.bench_function(name, |bencher| {
                    bencher.iter_custom(|count| measure(|| echo(&bytes, count.div_ceil(batch as u64))));
                });
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = server
}
criterion_main!(benches);
