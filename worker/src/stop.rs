//! Stopping a worker before its work is done.

use tokio::sync::watch;

/// Why a worker stops early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A signal, or the end of the parent process. The text is recorded in the event.
    Interrupted(&'static str),
    /// The attempt is no longer the current one.
    Superseded,
}

/// Signals the worker's tasks to stop. The first reason is kept. Clones share the signal.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Sender<Option<StopReason>>);

impl Default for StopSignal {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl StopSignal {
    /// Wakes all tasks in [`stopped`](Self::stopped). Later calls have no effect.
    pub fn trigger(&self, reason: StopReason) {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert(reason);
            first
        });
    }

    /// Waits until the worker has to stop, and returns why. Cancel safe.
    pub async fn stopped(&self) -> StopReason {
        let mut receiver = self.0.subscribe();
        let reason = receiver.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        // The sender is in `self`, so `wait_for` cannot fail.
        reason.unwrap_or(StopReason::Interrupted("the worker ended"))
    }
}
