//! sockudo-ws with its defaults, zlib-rs and a check of text, but without heartbeats, which need a
//! runtime.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::{CompressedWebSocketStream, Config, Message};

use super::{Connection, Settings, Text};
use crate::Memory;
use crate::libraries::spin;

struct Sockudo<'t>(CompressedWebSocketStream<Memory<'t>>);

pub(super) fn open(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    // Otherwise the first request for the time measures the speed of the clock.
    sockudo_ws::init_clock();
    let config = Config::builder().max_payload_length(64 << 20).auto_ping(false).idle_timeout(0).build();
    let deflate = DeflateConfig {
        server_no_context_takeover: !settings.takeover,
        client_no_context_takeover: !settings.takeover,
        compression_level: u32::from(settings.level),
        ..DeflateConfig::default()
    };
    Box::new(Sockudo(CompressedWebSocketStream::server(memory, config, deflate)))
}

impl Connection for Sockudo<'_> {
    fn receive(&mut self, show: &mut dyn FnMut(&[u8])) {
        match spin(self.0.next()).expect("the stream does not end").expect("valid frames") {
            Message::Text(text) | Message::Binary(text) => show(&text),
            other => panic!("not a message: {other:?}"),
        }
    }

    fn send(&mut self, text: &Text) {
        spin(self.0.send(Message::Text(text.bytes.clone()))).expect("open");
    }
}
