//! Catching the panics of the application's code, also those of dropping its values.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`. Returns the message of a panic in it, if it has one, as the error.
///
/// This is unwind safe: `f` runs the application's code, which can leave only the application's own
/// state half changed.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Option<String>> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let message = message(&*payload);
        drop_isolated(payload);
        message
    })
}

/// Drops a value of the application. A panic in that is dropped too.
pub(crate) fn drop_isolated<T>(value: T) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) else { return };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It might panic again, and so on without end.
        mem::forget(payload);
    }
}

fn message(payload: &(dyn Any + Send)) -> Option<String> {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
}

/// A value of the application that [`drop_isolated`] drops, wherever that happens. Two values that
/// panic while a list of them is dropped would end the process.
pub(crate) struct Isolated<T>(Option<T>);

impl<T> Isolated<T> {
    pub(crate) fn new(value: T) -> Self {
        Isolated(Some(value))
    }

    /// Returns the value, whose panics the caller catches.
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Isolated<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_isolated(value);
        }
    }
}

impl<T> fmt::Debug for Isolated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Isolated")
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::sync::Arc;

    use super::*;

    /// Panics when it is dropped, with a payload that does the same, without end.
    struct Endless(Arc<()>);

    impl Drop for Endless {
        fn drop(&mut self) {
            panic_any(Endless(self.0.clone()));
        }
    }

    #[test]
    fn t48_a_payload_that_panics_in_its_drop_without_end_is_caught() {
        let count = Arc::new(());
        assert_eq!(catch(|| panic_any(Endless(count.clone()))), Err::<(), _>(None));
        drop_isolated(Endless(count.clone()));
        drop(vec![Isolated::new(Endless(count.clone())), Isolated::new(Endless(count))]);
    }

    #[test]
    fn e10_the_message_of_a_panic_is_returned() {
        assert_eq!(catch(|| panic!("fixed")), Err::<(), _>(Some("fixed".to_owned())));
        assert_eq!(catch(|| panic!("{}", 7)), Err::<(), _>(Some("7".to_owned())));
        assert_eq!(catch(|| 7), Ok(7));
    }
}
