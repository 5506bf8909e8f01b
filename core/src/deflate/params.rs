//! Reading and writing the parameters of permessage-deflate (RFC 7692 7.1).

use core::fmt;
use core::mem;

use super::InvalidAnswer;
use crate::handshake::extensions::{Extension, Param, Value};

pub(super) const NAME: &str = "permessage-deflate";
const MIN_WINDOW_BITS: u8 = 8;
pub(super) const MAX_WINDOW_BITS: u8 = 15;

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// Limits a setting to the windows that RFC 7692 7.1.2 allows.
pub(super) fn clamp_window_bits(bits: u8) -> u8 {
    bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)
}

/// The parameters of one offer or answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Params {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    /// `Some(None)` means that the parameter is present without a value.
    pub(super) client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// Reads the parameters of an extension. By RFC 7692 7 the same three faults make the server
    /// decline an offer and the client fail on an answer: "an extension parameter not defined for
    /// use", "an extension parameter with an invalid value", "multiple extension parameters with
    /// the same name".
    pub(super) fn read(extension: &Extension<'_>) -> Result<Self, InvalidAnswer> {
        let mut params = Params::default();
        extension.params().try_for_each(|param| params.add(&param))?;
        Ok(params)
    }

    fn add(&mut self, param: &Param<'_>) -> Result<(), InvalidAnswer> {
        let is_new = if param.is(SERVER_NO_CONTEXT_TAKEOVER) {
            no_value(param)?;
            !mem::replace(&mut self.server_no_context_takeover, true)
        } else if param.is(CLIENT_NO_CONTEXT_TAKEOVER) {
            no_value(param)?;
            !mem::replace(&mut self.client_no_context_takeover, true)
        } else if param.is(SERVER_MAX_WINDOW_BITS) {
            let value = param.value.ok_or(InvalidAnswer::ParameterValue)?;
            self.server_max_window_bits.replace(window_bits(value)?).is_none()
        } else if param.is(CLIENT_MAX_WINDOW_BITS) {
            let bits = param.value.map(window_bits).transpose()?;
            self.client_max_window_bits.replace(bits).is_none()
        } else {
            return Err(InvalidAnswer::UnknownParameter);
        };
        if is_new { Ok(()) } else { Err(InvalidAnswer::RepeatedParameter) }
    }
}

/// Checks RFC 7692 7.1.1.1, 7.1.1.2: "This extension parameter has no value."
fn no_value(param: &Param<'_>) -> Result<(), InvalidAnswer> {
    if param.value.is_none() { Ok(()) } else { Err(InvalidAnswer::ParameterValue) }
}

/// Reads a window. RFC 7692 7.1.2: "a decimal integer value without leading zeroes between 8 to 15,
/// inclusive".
fn window_bits(value: Value<'_>) -> Result<u8, InvalidAnswer> {
    let mut bytes = value.bytes();
    match (bytes.next(), bytes.next(), bytes.next()) {
        (Some(digit @ (b'8' | b'9')), None, None) => Ok(digit ^ b'0'),
        (Some(b'1'), Some(digit @ b'0'..=b'5'), None) => Ok(10 + (digit ^ b'0')),
        _ => Err(InvalidAnswer::ParameterValue),
    }
}

/// Writes the parameters as one element of `Sec-WebSocket-Extensions`.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        match self.client_max_window_bits {
            None => Ok(()),
            Some(None) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}"),
            Some(Some(bits)) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}"),
        }
    }
}
