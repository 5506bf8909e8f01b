//! The randomness of a client: handshake nonces and mask keys.

use sockeye_core::MaskKeys;

/// Returns a source of mask keys that a peer cannot predict (RFC 6455 5.3, 10.3).
///
/// It is the thread's ChaCha generator, which the operating system seeds and reseeds. After a
/// `fork` without `exec`, both processes would draw the same keys: open connections in one of them
/// only.
#[must_use]
pub fn mask_keys() -> MaskKeys {
    // A boxed function takes no memory, and the generator belongs to the thread.
    Box::new(rand::random::<[u8; 4]>)
}

/// Returns the nonce of one opening handshake (RFC 6455 4.1: "a randomly selected 16-byte value").
#[must_use]
pub fn nonce() -> [u8; 16] {
    rand::random()
}
