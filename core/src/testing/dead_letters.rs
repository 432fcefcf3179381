//! Dead letters in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::ports::AdapterError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

/// Dead letters in memory.
#[derive(Default)]
pub struct MemoryDeadLetters {
    kept: Mutex<Vec<DeadLetter>>,
    read: AtomicUsize,
}

impl MemoryDeadLetters {
    /// Returns all dead letters, and marks them as read.
    pub fn kept(&self) -> Vec<DeadLetter> {
        let kept = self.kept.lock().unwrap().clone();
        self.read.store(kept.len(), Ordering::Relaxed);
        kept
    }

    /// Whether the test has read every dead letter.
    pub(super) fn are_read(&self) -> bool {
        self.kept.lock().unwrap().len() == self.read.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.kept.lock().unwrap().push(dead_letter);
        Ok(())
    }
}
