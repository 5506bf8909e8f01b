//! The figures of a server for the `metrics` facade.

use crate::server::api::figures::{self, Kind};
use crate::server::api::handle::ServerHandle;

/// Metrics, with the feature `metrics`.
impl ServerHandle {
    /// Sets the counters and gauges of the [`metrics`](https://docs.rs/metrics) facade to the
    /// server's [`stats`](ServerHandle::stats), so that the recorder of the program exports them.
    ///
    /// Call it before each export, or every few seconds. The names begin with `websocket.server.`, and
    /// the labels `server.address` and `server.port` tell ports apart. The duration of each
    /// WebSocket is recorded when it ends, in the histogram `websocket.server.connection.duration`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye_driver::server::ServerHandle;
    ///
    /// /// Runs until the server has stopped. `sleep` is that of the runtime.
    /// async fn export<F: Future<Output = ()>>(server: ServerHandle, sleep: impl Fn(Duration) -> F) {
    ///     while !server.is_shutting_down() {
    ///         server.record_metrics();
    ///         sleep(Duration::from_secs(5)).await;
    ///     }
    /// }
    /// ```
    pub fn record_metrics(&self) {
        figures::for_each(&self.stats(), |family, values| {
            for (labels, value) in values {
                let labels: Vec<metrics::Label> =
                    labels.iter().map(|(name, value)| metrics::Label::new(*name, value.clone())).collect();
                match family.kind {
                    Kind::Counter => metrics::counter!(family.name, labels).absolute(*value),
                    Kind::Gauge => metrics::gauge!(family.name, labels).set(*value as f64),
                }
            }
        });
    }
}

/// Describes the metrics to the program's recorder.
pub(crate) fn describe() {
    figures::for_each(&Default::default(), |family, _| {
        let unit = if family.bytes { metrics::Unit::Bytes } else { metrics::Unit::Count };
        match family.kind {
            Kind::Counter => metrics::describe_counter!(family.name, unit, family.help),
            Kind::Gauge => metrics::describe_gauge!(family.name, unit, family.help),
        }
    });
    metrics::describe_histogram!(DURATION, metrics::Unit::Seconds, "The duration of WebSockets.");
}

const DURATION: &str = "websocket.server.connection.duration";

/// Records how long a WebSocket was connected.
pub(crate) fn record_duration(duration: std::time::Duration) {
    metrics::histogram!(DURATION).record(duration.as_secs_f64());
}
