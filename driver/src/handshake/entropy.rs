//! Randomness for the client: handshake nonces and mask keys.

use sockeye_core::MaskKeys;

/// A source of mask keys: a generator of the thread (ChaCha, seeded by the operating system and reseeded as it goes), so
/// that a peer cannot predict them (RFC 6455 5.3, 10.3). A process that forks without `exec` must not share it.
#[must_use]
pub fn mask_keys() -> MaskKeys {
    // A function takes no memory in a box, and the generator is the thread's: no connection holds one.
    Box::new(rand::random::<[u8; 4]>)
}

/// A nonce for one opening handshake (RFC 6455 4.1: "a randomly selected 16-byte value").
#[must_use]
pub fn nonce() -> [u8; 16] {
    rand::random()
}
