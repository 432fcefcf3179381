//! Wakes tasks that wait for a change.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Counts changes.
#[derive(Default)]
pub(crate) struct Signal(Mutex<(u64, Vec<Waker>)>);

impl Signal {
    /// The number of changes.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Counts a change, and wakes all tasks that wait for one.
    pub(crate) fn notify(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        inner.1.drain(..).for_each(Waker::wake);
    }

    /// Waits until there have been more than `seen` changes.
    pub(crate) async fn beyond(&self, seen: u64) {
        poll_fn(|context| {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.0 > seen {
                return Poll::Ready(());
            }
            inner.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
