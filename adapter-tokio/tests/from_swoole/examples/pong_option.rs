use sockeye_tokio::server::{Handler, Port};

pub fn with_pongs<H: Handler>(handler: H) -> Port<H> {
    Port::new(handler).forward_pong(true)
}
