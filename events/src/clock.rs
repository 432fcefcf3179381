//! The clock of components that live longer than one request.

use crate::thread_safe::ThreadSafe;
use crate::timestamp::Timestamp;

/// Returns the present time. Functions `fn() -> Timestamp` are clocks. Code that handles one request or event takes its
/// time as a parameter instead.
pub trait Clock: ThreadSafe {
    /// The present time.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + ThreadSafe> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}
