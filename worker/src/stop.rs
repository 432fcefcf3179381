//! Why a worker stops before its work is done.

use tokio::sync::watch;

/// What makes a worker stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// From outside: a signal, or the end of the parent. For people.
    Interrupted(&'static str),
    /// The attempt is no longer the current one.
    Superseded,
}

/// Says when to stop. The first word counts.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Option<Stop>>);

impl Default for Stopper {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stopper {
    /// Makes all stop who wait.
    pub fn stop(&self, why: Stop) {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert(why);
            first
        });
    }

    /// Waits until it is time to stop.
    pub async fn stopped(&self) -> Stop {
        let mut receiver = self.0.subscribe();
        let why = receiver.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        // The sender lives in `self`.
        why.unwrap_or(Stop::Interrupted("the worker ended"))
    }
}
