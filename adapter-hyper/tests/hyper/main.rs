//! WebSockets that hyper opens: servers, clients, the extractor of axum, and faults of HTTP/2.

mod axum;
mod client;
mod contract;
mod example;
mod faults;
mod http2;
mod port;
mod server;
mod support;
