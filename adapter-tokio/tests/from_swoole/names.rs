//! The names of Sockeye in the document. Each is written here once, compiled, and compared with the
//! document.

use std::future::Ready;
use std::sync::Arc;

use sockeye_tokio::WebSocket;
use sockeye_tokio::protocol::handshake::server::InvalidHost;
use sockeye_tokio::server::{HandlerResult, ListenOptions};

use crate::examples::prelude::*;

/// A handler, to name the methods of [`Handler`].
struct Nothing;

impl Handler for Nothing {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        Ok(())
    }
}

/// Conversion to the number on the wire, or in Swoole.
trait Number {
    fn number(self) -> u16;
}

impl Number for Opcode {
    fn number(self) -> u16 {
        u8::from(self).into()
    }
}

impl Number for Status {
    fn number(self) -> u16 {
        self.as_u8().into()
    }
}

impl Number for CloseCode {
    fn number(self) -> u16 {
        self.as_u16()
    }
}

/// Lists names by how they can be compiled: `items` are types, traits and constants, `numbers`
/// implement [`Number`], `events` are methods of [`Handler`], `values` are functions and variants,
/// `generic` are functions with a type for their arguments, `structs` are variants with fields, and
/// `fields` are public fields.
macro_rules! names {
    (
        items { $($item:ident)* }
        numbers { $($nt:ident::$number:ident)* }
        events { $($event:ident)* }
        values { $($vt:ident::$value:ident)* }
        generic { $($gt:ident::$generic:ident: $fn:ty;)* }
        structs { $($st:ident::$struct:ident)* }
        fields { $($ft:ident::$field:ident)* }
    ) => {
        /// All names, as the document writes them.
        pub(crate) const NAMES: &[&str] = &[
            $(stringify!($item),)*
            $(concat!(stringify!($nt), "::", stringify!($number)),)*
            $(concat!("Handler::", stringify!($event)),)*
            $(concat!(stringify!($vt), "::", stringify!($value)),)*
            $(concat!(stringify!($gt), "::", stringify!($generic)),)*
            $(concat!(stringify!($st), "::", stringify!($struct)),)*
            $(concat!(stringify!($ft), "::", stringify!($field)),)*
        ];

        pub(crate) fn numbers() -> Vec<(&'static str, u16)> {
            vec![$((concat!(stringify!($nt), "::", stringify!($number)), $nt::$number.number()),)*]
        }

        #[expect(dead_code, unused_imports, elided_lifetimes_in_paths, reason = "compiling it is the test")]
        fn exist() {
            $(use $item as _;)*
            $(let _ = Nothing::$event;)*
            $(let _ = $vt::$value;)*
            $(let _: $fn = $gt::$generic;)*
            $(let _ = |it: $st| matches!(it, $st::$struct { .. });)*
            $(let _ = |it: &$ft| size_of_val(&it.$field);)*
        }
    };
}

type PushResult = Result<Pushed, PushError>;
type Filter = fn(ConnectionId) -> bool;
type OnMessage = fn(Client, Message) -> Ready<()>;

names! {
    items {
        Handler CloseInfo Decision Broadcast ConnectionId Pushed PushError Request HttpRequest HttpExchange Upgrade
        Response Inbound Message Frame Payload CloseFrame MAX_CLOSE_REASON
    }
    numbers {
        Opcode::Continuation Opcode::Text Opcode::Binary Opcode::Close Opcode::Ping Opcode::Pong
        Status::Connection Status::Handshake Status::Active Status::Closing Status::HandshakeFailed
        CloseCode::NORMAL CloseCode::GOING_AWAY CloseCode::PROTOCOL_ERROR CloseCode::UNSUPPORTED_DATA
        CloseCode::NO_STATUS CloseCode::ABNORMAL CloseCode::INVALID_PAYLOAD CloseCode::POLICY_VIOLATION
        CloseCode::TOO_BIG CloseCode::EXTENSION_MISSING CloseCode::INTERNAL_ERROR CloseCode::SERVICE_RESTART
        CloseCode::TRY_AGAIN_LATER CloseCode::BAD_GATEWAY CloseCode::TLS
    }
    events {
        connect handshake before_handshake_response open message request close disconnect control drained refused failed
    }
    values {
        Server::builder Server::run Server::handle ServerHandle::shutdown ServerHandle::drain
        ServerHandle::exists
        ServerHandle::is_established ServerHandle::ping
        ServerHandle::abort ServerHandle::info ServerHandle::connections Client::server Client::ping
        Client::is_established Client::abort Client::info Client::id
        Frame::pack Frame::pack_masked Frame::unpack Frame::finish Frame::compress Frame::text Frame::binary
        Request::headers Request::query Request::param Request::params Response::new
        Decision::Accept Inbound::as_bytes Inbound::as_text Inbound::kind Inbound::is_compressed
        Message::as_bytes Message::as_text Message::kind CloseFrame::parse CloseFrame::status
        Payload::compress CloseCode::is_sendable Policy::subprotocol Policy::origins Origins::Any
        CompressionPolicy::OnRequest Config::keepalive Request::cookies Request::method Request::path
        Request::form HttpRequest::form HttpRequest::body Response::remove_header Client::peer Client::protect
        Client::pause Client::resume ServerHandle::protect Limits::max_connections
        ServerHandle::stats ServerHandle::connection_count
    }
    generic {
        Server::bind: fn(&'static str, Nothing) -> std::io::Result<Server>;
        Callbacks::on_message: fn(OnMessage) -> Callbacks;
        Port::config: fn(Port<Nothing>, Config) -> Port<Nothing>;
        Port::policy: fn(Port<Nothing>, Policy) -> Port<Nothing>;
        Port::forward_close: fn(Port<Nothing>, bool) -> Port<Nothing>;
        Port::forward_ping: fn(Port<Nothing>, bool) -> Port<Nothing>;
        Port::forward_pong: fn(Port<Nothing>, bool) -> Port<Nothing>;
        Port::inbox: fn(Port<Nothing>, usize, usize) -> Port<Nothing>;
        Client::push: fn(&Client, &'static str) -> PushResult;
        Client::push_frame: fn(&Client, &'static Frame<'static>) -> PushResult;
        Client::send: fn(&'static Client, &'static str) -> _;
        Client::send_blocking: fn(&Client, &'static str) -> PushResult;
        Client::close: fn(&Client, u16, &str) -> PushResult;
        Client::defer: fn(&Client, fn(&Client));
        ServerHandle::push: fn(&ServerHandle, ConnectionId, &'static str) -> PushResult;
        ServerHandle::push_frame: fn(&ServerHandle, ConnectionId, &'static Frame<'static>) -> PushResult;
        ServerHandle::disconnect: fn(&ServerHandle, ConnectionId, u16, &str) -> PushResult;
        Client::set_data: fn(&Client, u8);
        Client::data: fn(&Client) -> Option<Arc<u8>>;
        ServerHandle::set_data: fn(&ServerHandle, ConnectionId, u8) -> Result<(), PushError>;
        ServerHandle::data: fn(&ServerHandle, ConnectionId) -> Option<Arc<u8>>;
        Client::subscribe: fn(&Client, &'static str) -> Result<bool, PushError>;
        Client::publish: fn(&Client, &'static str, &'static str) -> Broadcast;
        ServerHandle::publish: fn(&ServerHandle, &'static str, &'static str) -> Broadcast;
        ServerHandle::presence: fn(&ServerHandle, &'static str) -> _;
        Policy::public_hosts: fn(Policy, [&'static str; 1]) -> Result<Policy, InvalidHost>;
        Policy::allowed_hosts: fn(Policy, [&'static str; 1]) -> Result<Policy, InvalidHost>;
        ServerHandle::broadcast: fn(&ServerHandle, Filter, &'static str) -> Broadcast;
        Response::header: fn(Response, &str, &'static str) -> Result<Response, InvalidHeader>;
        Response::set_header: fn(Response, &str, &'static str) -> Result<Response, InvalidHeader>;
        Port::max_body_size: fn(Port<Nothing>, u64) -> Port<Nothing>;
        Port::listen_options: fn(Port<Nothing>, ListenOptions) -> Port<Nothing>;
        ServerBuilder::listen: fn(ServerBuilder, &'static str, Port<Nothing>) -> std::io::Result<ServerBuilder>;
        Response::body: fn(Response, &'static str) -> Response;
        WebSocket::recv: fn(&'static mut WebSocket) -> _;
        WebSocket::recv_event: fn(&'static mut WebSocket) -> _;
        Accept::header: fn(Accept, &str, &'static str) -> Result<Accept, InvalidHeader>;
    }
    structs { PushError::TooBig PushError::Backpressure }
    fields {
        Info::status Info::round_trip Frame::data Frame::opcode Frame::flags Flags::finish Flags::rsv1
        CloseFrame::code CloseFrame::reason
        Config::auto_pong Config::auto_close Config::deflate Config::max_send_size Config::max_message_size Config::high_water_mark Config::close_timeout Config::idle_timeout
    }
}
