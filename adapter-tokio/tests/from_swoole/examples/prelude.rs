pub use sockeye_tokio::protocol::deflate::CompressionPolicy;
pub use sockeye_tokio::protocol::http::{InvalidHeader, Request, Response};
pub use sockeye_tokio::protocol::{Flags, MAX_CLOSE_REASON};
pub use sockeye_tokio::server::{
    Broadcast, Callbacks, Client, ConnectionId, Decision, Handler, HttpExchange, HttpRequest, Inbound, Info,
    Limits, Port, PushError, Pushed, Server, ServerBuilder, ServerHandle, Status,
};
pub use sockeye_tokio::{
    Accept, CloseCode, CloseFrame, CloseInfo, Config, Frame, Message, Opcode, Origins, Payload, Policy,
    Upgrade,
};
