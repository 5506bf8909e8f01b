//! The absence of a backend. Its types have no values, so compression cannot be configured,
//! negotiated or run.

use alloc::vec::Vec;

use super::{Corrupt, CorruptAfter, Inflated};
use crate::deflate::CompressorSettings;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Available(Never);

/// A type without values. It is private, so the code that uses this module is the same with and
/// without a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Never {}

pub(crate) struct Encoder(Never);

impl Encoder {
    pub(crate) fn new(settings: &CompressorSettings) -> Self {
        match settings.available.0 {}
    }

    pub(crate) fn reset(&mut self, _history: &[u8]) {
        match self.0 {}
    }

    pub(crate) fn compress(&mut self, _input: &[u8], _out: &mut Vec<u8>) -> Result<(), Corrupt> {
        match self.0 {}
    }
}

pub(crate) struct Decoder(Never);

impl Decoder {
    pub(crate) fn new(available: Available) -> Self {
        match available.0 {}
    }

    pub(crate) fn reset(&mut self, _history: &[u8]) {
        match self.0 {}
    }

    pub(crate) fn inflate(&mut self, _input: &[u8], _out: &mut [u8]) -> Result<Inflated, CorruptAfter> {
        match self.0 {}
    }

    pub(crate) fn since_final(&self) -> Option<usize> {
        match self.0 {}
    }

    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        match self.0 {}
    }
}
