//! The randomness of a client: handshake nonces and mask keys.

use std::fmt;

use sockeye_core::MaskKeys;

/// The randomness of one client connection, for [`client_with`](crate::client_with).
///
/// The peer must not be able to predict either part: predictable mask keys let a server poison the
/// caches of intermediaries (RFC 6455 10.3). Only tests and simulations use predictable ones.
///
/// ```
/// use sockeye_driver::Entropy;
///
/// // A simulation draws both from its seed, so that a run can be repeated.
/// let mut state = 42_u32;
/// let mut draw = move || {
///     state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
///     state.to_be_bytes()
/// };
/// let mut nonce = [0; 16];
/// nonce.chunks_exact_mut(4).for_each(|chunk| chunk.copy_from_slice(&draw()));
/// let entropy = Entropy::new(nonce, Box::new(draw));
/// # let _ = entropy;
/// ```
pub struct Entropy {
    pub(crate) nonce: [u8; 16],
    pub(crate) mask_keys: MaskKeys,
}

impl Entropy {
    /// Combines the nonce of the opening handshake (RFC 6455 4.1) and a source of mask keys, from
    /// which each frame draws one (RFC 6455 5.3).
    #[must_use]
    pub fn new(nonce: [u8; 16], mask_keys: MaskKeys) -> Self {
        Entropy { nonce, mask_keys }
    }

    /// Draws both from the operating system's randomness, with [`nonce`] and [`mask_keys`].
    #[cfg(feature = "rand")]
    #[must_use]
    pub fn random() -> Self {
        Entropy::new(nonce(), mask_keys())
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").finish_non_exhaustive()
    }
}

/// Returns a source of mask keys that a peer cannot predict (RFC 6455 5.3, 10.3).
///
/// It is the thread's ChaCha generator, which the operating system seeds and reseeds. After a
/// `fork` without `exec`, both processes would draw the same keys: open connections in one of them
/// only.
#[cfg(feature = "rand")]
#[must_use]
pub fn mask_keys() -> MaskKeys {
    // A boxed function takes no memory, and the generator belongs to the thread.
    Box::new(rand::random::<[u8; 4]>)
}

/// Returns the nonce of one opening handshake (RFC 6455 4.1: "a randomly selected 16-byte value").
#[cfg(feature = "rand")]
#[must_use]
pub fn nonce() -> [u8; 16] {
    rand::random()
}
