use std::sync::Arc;

use sockeye_tokio::Frame;
use sockeye_tokio::protocol::RecvBuf;
use sockeye_tokio::protocol::handshake::accept_key;
use sockeye_tokio::protocol::handshake::server::ServerHandshake;
use sockeye_tokio::protocol::http::Response;
use sockeye_tokio::server::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub async fn serve(listener: TcpListener) -> ! {
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        tokio::spawn(greet(stream));
    }
}

async fn greet(mut stream: TcpStream) -> Result<(), BoxError> {
    let (mut handshake, mut bytes) = (ServerHandshake::new(Arc::default()), [0; 1024]);
    let request = loop {
        let n = stream.read(&mut bytes).await?;
        if n == 0 {
            return Err(handshake.handle_eof().into());
        }
        if let Some(request) = handshake.poll_request(&mut RecvBuf::new(&mut bytes[..n]))? {
            break request;
        }
    };
    let key = request.headers().first("sec-websocket-key").ok_or("no key")?;
    let head = Response::new(101)
        .header("Upgrade", "websocket")?
        .header("Connection", "Upgrade")?
        .header("Sec-WebSocket-Accept", accept_key(key))?;
    let mut answer = head.encode();
    answer.extend(Frame::text("hello world\n").pack()?);
    stream.write_all(&answer).await?;
    Ok(())
}
