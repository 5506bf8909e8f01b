//! An echo server on localhost, for clients with a token and pages of its own host only.
//!
//! ```sh
//! TOKEN=s3cret cargo run -p sockeye-examples --example auth
//! ```
//!
//! A client sends `Authorization: Bearer s3cret`, or connects to `ws://localhost:9501/?token=s3cret`.

use sockeye_examples::auth::is_authorized;
use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{Policy, Response};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = std::env::var("TOKEN").map_err(|_| "set TOKEN to the token of the clients")?;
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_before_handshake_response(move |_, upgrade, accept| {
            let authorized = is_authorized(upgrade.request(), &token);
            async move {
                if authorized {
                    return Ok(accept);
                }
                let response = Response::text(401, "a token is needed\n");
                // RFC 9110 15.5.2: a 401 must have this field.
                Err(response.header("WWW-Authenticate", "Bearer")?)
            }
        });
    // Without these hosts, a page whose name resolves to this machine could connect.
    let policy = Policy::new().allowed_hosts(["localhost", "127.0.0.1", "[::1]"])?;
    let port = Port::new(handler).policy(policy);
    Server::builder().listen("127.0.0.1:9501", port)?.build().run().await?;
    Ok(())
}
