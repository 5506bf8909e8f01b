//! The values that closures of `Callbacks` may return.

use sockeye_core::handshake::server::Accept;
use sockeye_core::http::Response;

use crate::server::api::handler::{BoxError, Decision};
use crate::server::registry::error::PushError;
use crate::server::registry::pushed::Pushed;

/// A return value of a closure that reports `T`, or fails with `E`: `T` itself, or a
/// `Result<T, E>`.
///
/// A closure for an event reports `()` and fails with a [`BoxError`], into which `?` converts any
/// error. It may also end with a push or a subscription:
///
/// ```
/// use sockeye_driver::server::Callbacks;
///
/// Callbacks::on_message(|client, message| async move { println!("{}: {message:?}", client.id()) });
/// Callbacks::on_message(|client, message| async move { client.push(message) });
/// Callbacks::on_message(|client, message| async move {
///     let number: u64 = message.as_text().ok_or("a number was expected")?.parse()?;
///     client.push((number + 1).to_string())?;
///     Ok(())
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "this closure may not return `{Self}`",
    label = "returns `{Self}`",
    note = "return `{T}` or a `Result` of it: apply `?` to what may fail, and end with `Ok(…)`"
)]
pub trait Outcome<T = (), E = BoxError> {
    /// Converts the value into a result.
    ///
    /// # Errors
    ///
    /// Returns the error of the closure, if it failed.
    fn into_result(self) -> Result<T, E>;
}

impl<T, E> Outcome<T, E> for Result<T, E> {
    fn into_result(self) -> Result<T, E> {
        self
    }
}

/// A closure may end with a push. Only results of `Pushed` match this implementation, so the
/// compiler still infers the error type of a closure that ends with `Ok(())`.
impl Outcome for Result<Pushed, PushError> {
    fn into_result(self) -> Result<(), BoxError> {
        self?;
        Ok(())
    }
}

/// A closure may end with a subscription.
impl Outcome for Result<bool, PushError> {
    fn into_result(self) -> Result<(), BoxError> {
        self?;
        Ok(())
    }
}

macro_rules! infallible {
    ($($type:ty),*) => {$(
        impl<E> Outcome<$type, E> for $type {
            fn into_result(self) -> Result<$type, E> {
                Ok(self)
            }
        }

        #[diagnostic::do_not_recommend]
        #[expect(private_interfaces, reason = "the trait serves only to name `!`")]
        impl<E> Outcome<$type, E> for Never {
            fn into_result(self) -> Result<$type, E> {
                self
            }
        }
    )*};
}

infallible! { (), Accept, Decision, Response }

/// The type `!` of a closure that always panics, which has no name in stable Rust.
type Never = <fn() -> ! as ReturnType>::Type;

trait ReturnType {
    type Type;
}

impl<T> ReturnType for fn() -> T {
    type Type = T;
}
