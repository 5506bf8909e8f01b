use sockeye_tokio::{Accept, Config, Error, Response, Upgrade, WebSocket};
use tokio::net::TcpListener;

pub async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        tokio::spawn(async move {
            let decide = async |request: &Upgrade| match request.path() {
                "/echo" => Ok(Accept::new()),
                _ => Err(Response::text(404, "the only path is /echo\n")),
            };
            match sockeye_tokio::accept_with(stream, Config::new(), decide).await {
                Ok(socket) => echo(socket).await.unwrap_or_else(|error| eprintln!("{error}")),
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}

async fn echo(mut socket: WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
