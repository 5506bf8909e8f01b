use sockeye_tokio::server::{Handler, Port};

pub fn with_pings<H: Handler>(handler: H) -> Port<H> {
    Port::new(handler).forward_ping(true)
}
