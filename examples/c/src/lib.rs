//! An example of a C interface to `sockeye-core`. The header `include/sockeye.h` documents it.
//!
//! C passes pointers, so this crate needs `unsafe`. Every block turns pointers of the caller into
//! references; the rest is safe code.

use std::ptr;
use std::slice;
use std::sync::Arc;

use sockeye_core::handshake::server::Policy;
use sockeye_core::session::{InputBuffer, Session, SessionEvent};
use sockeye_core::{CloseCode, Config, Instant, Message};

/// A session with its input and the message that the caller looks at.
#[derive(Debug)]
pub struct Handle {
    session: Session,
    policy: Policy,
    input: InputBuffer,
    /// The message that the caller may look at until the next event.
    message: Option<Message>,
}

/// The kinds of events, as in the header.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the header documents them")]
pub enum EventKind {
    None,
    Open,
    Text,
    Binary,
    Ended,
}

/// An event, as in the header.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents them")]
pub struct Event {
    pub kind: EventKind,
    pub data: *const u8,
    pub len: usize,
}

/// Borrows the caller's session.
///
/// # Safety
///
/// `handle` comes from `sockeye_server`, has not been freed, and no other thread uses it.
unsafe fn borrow<'a>(handle: *mut Handle) -> &'a mut Handle {
    // SAFETY: the caller keeps the contract above.
    unsafe { &mut *handle }
}

/// Borrows the caller's bytes.
///
/// # Safety
///
/// `bytes` points to `len` bytes that do not change meanwhile; it may be null if `len` is 0.
unsafe fn borrow_bytes<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller keeps the contract above.
    unsafe { slice::from_raw_parts(bytes, len) }
}

impl Handle {
    fn poll_event(&mut self) -> Event {
        self.message = None;
        let kind = loop {
            match self.session.poll_event_from(&mut self.input) {
                None => break EventKind::None,
                Some(SessionEvent::Upgrade(upgrade)) => self.session.decide(upgrade, &self.policy),
                Some(SessionEvent::Open(_)) => break EventKind::Open,
                Some(SessionEvent::Message(message)) => {
                    let message = self.message.insert(message.into_message());
                    break if matches!(message, Message::Text(_)) {
                        EventKind::Text
                    } else {
                        EventKind::Binary
                    };
                }
                Some(SessionEvent::Ended(_)) => break EventKind::Ended,
                Some(_) => {}
            }
        };
        let data = self.message.as_ref().map(Message::as_bytes).unwrap_or_default();
        Event { kind, data: data.as_ptr(), len: data.len() }
    }
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_server() -> *mut Handle {
    let session = Session::server(Arc::new(Config::new()));
    Box::into_raw(Box::new(Handle {
        session,
        policy: Policy::new(),
        input: InputBuffer::new(),
        message: None,
    }))
}

/// See the header.
///
/// # Safety
///
/// `handle` is null, or comes from [`sockeye_server`] and is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_free(handle: *mut Handle) {
    if !handle.is_null() {
        // SAFETY: the pointer comes from `Box::into_raw`, and the caller passes it here once.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it. `bytes`
/// points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_receive(handle: *mut Handle, bytes: *const u8, len: usize) {
    // SAFETY: the caller passes a session, and `len` bytes.
    let (handle, bytes) = unsafe { (borrow(handle), borrow_bytes(bytes, len)) };
    handle.input.extend_from_slice(bytes);
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_poll_event(handle: *mut Handle) -> Event {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.poll_event()
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_transmitted(handle: *mut Handle, written: usize) {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.transmitted(written);
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_poll_timeout(handle: *mut Handle) -> u64 {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.poll_timeout().map_or(u64::MAX, Instant::as_nanos)
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_handle_timeout(handle: *mut Handle, now: u64) {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.handle_timeout(Instant::from_nanos(now));
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_wants_shutdown(handle: *mut Handle) -> bool {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.wants_shutdown()
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_handle_eof(handle: *mut Handle) {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.handle_eof();
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_close(handle: *mut Handle, code: u16) -> bool {
    // SAFETY: the caller passes a session.
    let handle = unsafe { borrow(handle) };
    handle.session.close(CloseCode::from(code), "").is_ok()
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it. `len`
/// points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_poll_transmit(handle: *mut Handle, len: *mut usize) -> *const u8 {
    // SAFETY: the caller passes a session, and a pointer to its variable.
    let (handle, len) = unsafe { (borrow(handle), &mut *len) };
    let bytes = handle.session.poll_transmit().map(|transmit| transmit.first());
    *len = bytes.map_or(0, <[u8]>::len);
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

/// See the header.
///
/// # Safety
///
/// `handle` comes from [`sockeye_server`], has not been freed, and no other thread uses it. `data`
/// points to `len` bytes, which may be those of the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_send(
    handle: *mut Handle,
    is_text: bool,
    data: *const u8,
    len: usize,
) -> bool {
    // SAFETY: the caller passes a session, and `len` bytes. They may lie in the session's message,
    // which nothing here changes.
    let (handle, data) = unsafe { (borrow(handle), borrow_bytes(data, len)) };
    if !is_text {
        return handle.session.send(data).is_ok();
    }
    str::from_utf8(data).is_ok_and(|text| handle.session.send(text).is_ok())
}
