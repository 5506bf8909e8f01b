//! Repeats one operation for a profiler:
//! `spin <library> <decode|echo|echo16> <ascii|multi-byte|binary> <size> <seconds>`.

use std::time::Duration;

use sockeye_benches::{
    FastWebSockets, Kind, Library, Memory, Shape, Sockeye, SockeyeCore, SockeyeLent, TokioWebSockets,
    Traffic, Tungstenite, cpu_time, settle_allocator,
};

fn main() {
    settle_allocator();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [library, what, kind, size, seconds] = &args[..] else {
        eprintln!("spin <library> <decode|echo|echo16> <ascii|multi-byte|binary> <size> <seconds>");
        std::process::exit(2);
    };
    let kind = match &**kind {
        "binary" => Kind::Binary,
        "multi-byte" => Kind::MultiByte,
        _ => Kind::Ascii,
    };
    let shape = Shape::new(kind, size.parse().expect("a size"));
    let time = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let run = match &**library {
        "sockeye-core" => spin::<SockeyeCore>,
        "sockeye-lent" => spin::<SockeyeLent>,
        "tungstenite" => spin::<Tungstenite>,
        "fastwebsockets" => spin::<FastWebSockets>,
        "tokio-websockets" => spin::<TokioWebSockets>,
        _ => spin::<Sockeye>,
    };
    let batch = match &**what {
        "echo" => Some(1),
        "echo16" => Some(16),
        _ => None,
    };
    run(&Traffic::new(shape), batch, time);
}

fn spin<L: Library>(traffic: &Traffic, echo: Option<usize>, time: Duration) {
    let (start, mut messages) = (cpu_time(), 0);
    let count = (64 << 20) / (traffic.shape.size as u64 + 64);
    while cpu_time() - start < time {
        let bytes = match echo {
            Some(batch) => L::echo(Memory::in_batches(traffic, batch), count),
            None => L::decode(Memory::new(traffic), count),
        };
        assert_eq!(bytes, count * traffic.shape.size as u64);
        messages += count;
    }
    let spent = cpu_time() - start;
    println!("{} {}: {:.1} ns a message", L::NAME, traffic.shape, spent.as_nanos() as f64 / messages as f64);
}
