//! The figures of a server in the `metrics` facade (M16).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use sockeye_core::{Config, Opcode};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// A recorder that keeps each value under its name and labels.
#[derive(Default)]
struct Values {
    numbers: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    durations: Arc<Durations>,
    described: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Durations(Mutex<Vec<f64>>);

impl HistogramFn for Durations {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Values {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        self.numbers.lock().unwrap().entry(name).or_default().clone()
    }

    /// Returns a counter.
    fn counter(&self, name: &str) -> u64 {
        self.numbers.lock().unwrap()[name].load(Ordering::Relaxed)
    }
}

impl Recorder for Values {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.durations.clone())
    }
}

#[test]
fn m16_the_figures_reach_the_recorder_of_the_program() {
    let values = Values::default();
    metrics::with_local_recorder(&values, || {
        let mut world = World::new(Config::new());
        let pipe = world.open();
        for _ in 0..3 {
            world.send(&pipe, &client_frame(Opcode::Text, b"1234567"));
        }
        world.wait(1500);
        let close = FrameWriter::to(true).close(sockeye_core::CloseCode::NORMAL, "");
        world.send(&pipe, &close);
        let _open = world.open();
        world.server.record_metrics();
        world.server.record_metrics();
    });
    let port = "server.address=unix: server.port=";
    for (name, expected) in [
        (format!("websocket.server.messages {port} network.io.direction=receive"), 3),
        (format!("websocket.server.payload {port} network.io.direction=transmit"), 21),
        (format!("websocket.server.connections.closed {port} code=1000"), 1),
        (format!("websocket.server.connections.opened {port}"), 2),
    ] {
        assert_eq!(values.counter(&name), expected, "{name}");
    }
    let open = values.counter(&format!("websocket.server.connections {port} state=open"));
    assert_eq!(f64::from_bits(open), 1.0);
    assert_eq!(*values.durations.0.lock().unwrap(), [1.5]);
    let described = values.described.lock().unwrap();
    for name in values.numbers.lock().unwrap().keys() {
        let name = name.split(' ').next().unwrap();
        assert!(described.iter().any(|known| known == name), "{name} is not described");
    }
}
