//! yawc with its feature `zlib` (zlib-rs) and the buffers of its own benchmarks.

use futures_util::SinkExt;
use yawc::{CompressionLevel, Frame, Options, Role, WebSocket};

use super::{Connection, Settings, Text};
use crate::Memory;
use crate::libraries::spin;

struct Yawc<'t>(WebSocket<Memory<'t>>);

pub(super) fn open(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    let options = Options::default()
        .with_limits(64 << 20, 128 << 20)
        .with_utf8()
        .with_read_buffer_capacity(128 << 10)
        .with_backpressure_boundary(64 << 10)
        .with_compression_level(CompressionLevel::new(u32::from(settings.level)));
    let agreed = match settings.takeover {
        true => "permessage-deflate",
        false => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    };
    let ws = WebSocket::from_stream_with_extensions(memory, Role::Server, Some(agreed), options);
    Box::new(Yawc(ws.expect("valid extensions")))
}

impl Connection for Yawc<'_> {
    fn receive(&mut self, show: &mut dyn FnMut(&[u8])) {
        let frame = spin(self.0.next_frame()).expect("valid frames");
        show(frame.payload());
    }

    fn send(&mut self, text: &Text) {
        spin(self.0.send(Frame::text(text.bytes.clone()))).expect("open");
    }
}
