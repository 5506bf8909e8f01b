use sockeye_tokio::{Frame, ProtocolError};

/// The payload of the first frame, if all of it has come, and how many bytes the frame took.
pub fn first_payload(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ProtocolError> {
    Ok(Frame::unpack(bytes)?.map(|(frame, used)| (frame.data.into_owned(), used)))
}
