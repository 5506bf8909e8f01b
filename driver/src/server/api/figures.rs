//! The figures of a server under the names by which monitoring knows them.
//!
//! [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/) have none for
//! WebSockets. The names follow those for HTTP servers, and the attributes are theirs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::runtime::address::Address;
use crate::server::api::stats::{PortStats, Stats};

/// Whether a figure only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// A name, with what it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// Whether it counts bytes.
    pub(crate) bytes: bool,
}

/// The attributes of a value, each a name and a value.
pub(crate) type Labels<'a> = &'a [(&'static str, String)];

/// Calls `f` for each family with all its values.
pub(crate) fn for_each(stats: &Stats, mut f: impl FnMut(Family, &[(Vec<(&'static str, String)>, u64)])) {
    for (family, figure) in SERVER {
        f(*family, &[(Vec::new(), figure(stats))]);
    }
    // Endpoints without a listener have no address to tell them apart.
    let mut ports: BTreeMap<Vec<(&'static str, String)>, PortStats> = BTreeMap::new();
    for (address, figures) in &stats.ports {
        ports.entry(labels(address)).or_default().add(figures);
    }
    for (family, figures) in PORT {
        let mut values = Vec::new();
        for (labels, port) in &ports {
            figures(port, &mut |attribute, count| {
                values.push((labels.iter().cloned().chain(attribute).collect(), count));
            });
        }
        f(*family, &values);
    }
}

fn labels(address: &Address) -> Vec<(&'static str, String)> {
    match address.as_inet() {
        Some(address) => {
            vec![("server.address", address.ip().to_string()), ("server.port", address.port().to_string())]
        }
        None => vec![("server.address", address.to_string()), ("server.port", String::new())],
    }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter, bytes: false }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge, bytes: false }
}

const fn bytes(family: Family) -> Family {
    Family { bytes: true, ..family }
}

type ServerFigure = fn(&Stats) -> u64;

const SERVER: &[(Family, ServerFigure)] = &[
    (
        gauge("websocket.server.handshakes", "Connections whose first request has not been answered."),
        |stats| stats.handshakes as u64,
    ),
    (bytes(gauge("websocket.server.queue.size", "Bytes that wait to be written.")), |stats| {
        stats.queued_bytes as u64
    }),
    (bytes(gauge("websocket.server.held.size", "Received bytes that are held.")), |stats| {
        stats.held_bytes as u64
    }),
    (gauge("websocket.server.topics", "Topics that have subscribers."), |stats| stats.topics as u64),
];

/// Passes each value of a port to a function, with its own attribute if there are several.
type PortFigures = fn(&PortStats, &mut dyn FnMut(Option<(&'static str, String)>, u64));

fn by(name: &'static str, value: impl ToString) -> Option<(&'static str, String)> {
    Some((name, value.to_string()))
}

const DIRECTION: &str = "network.io.direction";

const PORT: &[(Family, PortFigures)] = &[
    (gauge("websocket.server.connections", "Present connections, by state."), |port, f| {
        f(by("state", "open"), port.open as u64);
        f(by("state", "closing"), port.closing as u64);
        f(by("state", "http"), port.http() as u64);
    }),
    (counter("websocket.server.connections.accepted", "Accepted connections."), |port, f| {
        f(None, port.accepted);
    }),
    (counter("websocket.server.connections.opened", "WebSockets that were opened."), |port, f| {
        f(None, port.opened);
    }),
    (counter("websocket.server.connections.closed", "WebSockets that ended, by code."), |port, f| {
        port.closed.iter().for_each(|(code, count)| f(by("code", code), *count));
        f(by("code", "other"), port.closed_with_others);
    }),
    (counter("websocket.server.refused", "Refused connections and requests, by reason."), |port, f| {
        port.refused.iter().for_each(|(reason, count)| f(by("reason", reason), count))
    }),
    (counter("websocket.server.http.requests", "Plain HTTP requests."), |port, f| f(None, port.requests)),
    (counter("websocket.server.messages", "Messages, by direction."), |port, f| {
        f(by(DIRECTION, "receive"), port.received.messages);
        f(by(DIRECTION, "transmit"), port.sent.messages);
    }),
    (bytes(counter("websocket.server.payload", "Bytes of messages, before compression.")), |port, f| {
        f(by(DIRECTION, "receive"), port.received.bytes);
        f(by(DIRECTION, "transmit"), port.sent.bytes);
    }),
    (bytes(counter("websocket.server.io", "Bytes of frames, after compression.")), |port, f| {
        f(by(DIRECTION, "receive"), port.received.wire_bytes);
        f(by(DIRECTION, "transmit"), port.sent.wire_bytes);
    }),
    (
        counter("websocket.server.messages.compressed", "Received messages that were compressed."),
        |port, f| f(None, port.received_compressed),
    ),
    (
        counter("websocket.server.messages.dropped", "Messages that were dropped for slow readers."),
        |port, f| f(None, port.dropped),
    ),
    (
        counter("websocket.server.messages.refused", "Pushes that failed because of a full queue."),
        |port, f| f(None, port.slow),
    ),
    (counter("websocket.server.messages.over_rate", "Received messages above the rate limit."), |port, f| {
        f(None, port.over_rate)
    }),
];

impl Stats {
    /// Returns the figures in the text format of Prometheus, for an HTTP response with the content
    /// type `text/plain; version=0.0.4`.
    ///
    /// Each port has the labels `server_address` and `server_port`.
    ///
    /// ```
    /// use sockeye_driver::server::Callbacks;
    /// use sockeye_core::http::Response;
    ///
    /// let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
    ///     .on_request(|client, request| async move {
    ///         match request.path() {
    ///             "/metrics" => {
    ///                 let text = client.server().stats().to_prometheus();
    ///                 Ok(Response::new(200).body(text).header("Content-Type", "text/plain; version=0.0.4")?)
    ///             }
    ///             "/readyz" if client.server().is_shutting_down() => Ok(Response::text(503, "shutting down\n")),
    ///             "/readyz" | "/healthz" => Ok(Response::text(200, "ok\n")),
    ///             _ => Ok(Response::new(404)),
    ///         }
    ///     });
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for_each(self, |family, values| {
            let mut name = family.name.replace('.', "_");
            if family.bytes {
                name.push_str("_bytes");
            }
            let kind = match family.kind {
                Kind::Counter => {
                    name.push_str("_total");
                    "counter"
                }
                Kind::Gauge => "gauge",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, value) in values {
                let _ = writeln!(text, "{name}{} {value}", label_text(labels));
            }
        });
        text
    }
}

fn label_text(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escape = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let pairs =
        labels.iter().map(|(name, value)| format!("{}=\"{}\"", name.replace('.', "_"), escape(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn m16_the_text_for_prometheus_names_each_series_once() {
        let port = |opened| PortStats { opened, closed: [(1000, 2)].into(), ..PortStats::default() };
        let inet = Address::from("127.0.0.1:9501".parse::<SocketAddr>().unwrap());
        // Two endpoints without a listener.
        let unix = Address::Unix(None);
        let ports = vec![(inet, port(7)), (unix.clone(), port(1)), (unix, port(2))];
        let text = Stats { ports, topics: 3, ..Stats::default() }.to_prometheus();
        let name = "websocket_server_connections_opened_total";
        for line in [
            "# TYPE websocket_server_topics gauge".to_owned(),
            "websocket_server_topics 3".to_owned(),
            format!("# TYPE {name} counter"),
            format!("{name}{{server_address=\"127.0.0.1\",server_port=\"9501\"}} 7"),
            format!("{name}{{server_address=\"unix:\",server_port=\"\"}} 3"),
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
        }
        let closed = r#"server_port="9501",code="1000"} 2"#;
        assert!(text.contains(closed), "{text}");
        let mut series: Vec<&str> =
            text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect();
        series.sort_unstable();
        assert!(series.windows(2).all(|pair| pair[0] != pair[1] || pair[0].starts_with('#')));
    }

    #[test]
    fn m16_labels_are_escaped() {
        let labels = [("server.address", "a\"b\\c\nd".to_owned())];
        assert_eq!(label_text(&labels), "{server_address=\"a\\\"b\\\\c\\nd\"}");
    }
}
