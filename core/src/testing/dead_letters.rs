//! Dead letters in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::ports::AdapterError;
use crate::ports::dead_letters::{
    DeadLetter, DeadLetterPage, DeadLetterStore, DeadLetterSummary, DeadLetters,
};

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
        self.kept.lock().unwrap().len() <= self.read.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.kept.lock().unwrap().push(dead_letter);
        Ok(())
    }
}

#[async_trait]
impl DeadLetterStore for MemoryDeadLetters {
    async fn list(
        &self,
        function: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage, AdapterError> {
        let kept = self.kept.lock().unwrap();
        let mut of_function: Vec<&DeadLetter> = kept.iter().filter(|it| it.function == function).collect();
        of_function.sort_by(|a, b| a.id.cmp(&b.id));
        of_function.dedup_by(|a, b| a.id == b.id);
        of_function.retain(|it| after.is_none_or(|after| it.id.as_str() > after));
        let more = of_function.len() > limit;
        of_function.truncate(limit);
        let next = of_function.last().filter(|_| more).map(|last| last.id.clone());
        let dead_letters = of_function.into_iter().map(|it| DeadLetterSummary {
            function: it.function,
            id: it.id.clone(),
            at: it.at,
            reason: it.reason.clone(),
        });
        Ok(DeadLetterPage { dead_letters: dead_letters.collect(), next })
    }

    async fn get(&self, function: &'static str, id: &str) -> Result<Option<DeadLetter>, AdapterError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept.iter().find(|it| it.function == function && it.id == id).cloned())
    }

    async fn remove(&self, function: &'static str, id: &str) -> Result<(), AdapterError> {
        self.kept.lock().unwrap().retain(|it| it.function != function || it.id != id);
        Ok(())
    }
}
