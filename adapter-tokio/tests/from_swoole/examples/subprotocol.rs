use sockeye_tokio::Policy;
use sockeye_tokio::server::{BoxError, Callbacks, Port, Server};

pub fn server(address: &str) -> Result<Server, BoxError> {
    let handler = Callbacks::on_message(|_, _| async {});
    let port = Port::new(handler).policy(Policy::new().subprotocol("chat")?);
    Ok(Server::builder().listen(address, port)?.build())
}
