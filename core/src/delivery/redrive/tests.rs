use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use proptest::prelude::*;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::*;
use crate::delivery::batch::{Handler, Progress, Record};
use crate::ports::dead_letters::{DeadLetterPage, contract};
use crate::testing::MemoryDeadLetters;

/// What becomes of the record in one redrive.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Handled,
    /// Handled, and the dead letter cannot be removed afterwards.
    HandledAndKept,
    Retryable,
    Permanent,
    /// The payload is not one of the source.
    Foreign,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Failed(Fate);

impl Retryable for Failed {
    fn is_retryable(&self) -> bool {
        self.0 == Fate::Retryable
    }
}

/// A function with one dead letter, and the fates of its redrives.
struct Planned {
    store: MemoryDeadLetters,
    fates: Mutex<VecDeque<Fate>>,
    removal_fails: Mutex<bool>,
    handled: AtomicUsize,
}

#[async_trait]
impl Redeliver for Planned {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        assert_eq!(payload, "the payload");
        let fate = self.fates.lock().unwrap().pop_front().expect("a record is handled once in a redrive");
        *self.removal_fails.lock().unwrap() = fate == Fate::HandledAndKept;
        if fate == Fate::Foreign {
            return Err("it is of another source".into());
        }
        let record = Record {
            sequence: "1".to_owned(),
            id: "1".to_owned(),
            arrived_at: Timestamp::default(),
            payload: payload.to_owned(),
            content: Ok(fate),
        };
        Ok(batch.run(&[record], self, Timestamp::default()).await)
    }
}

#[async_trait]
impl Handler for Planned {
    type Item = Fate;
    type Error = Failed;

    fn stream(&self, _: &Fate) -> StreamId {
        "project/acme".parse().unwrap()
    }

    async fn handle(&self, _: &StreamId, fates: &[&Fate]) -> Progress<Failed> {
        match *fates[0] {
            Fate::Handled | Fate::HandledAndKept => {
                self.handled.fetch_add(1, Ordering::Relaxed);
                Progress::all(1)
            }
            fate => Progress::until(0, Failed(fate)),
        }
    }

    async fn quarantine(&self, stream: &StreamId, _: &Fate, _: &Failed) {
        panic!("a redrive quarantines {stream} again");
    }
}

#[async_trait]
impl DeadLetters for Planned {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        panic!("a redrive stores a dead letter again: {dead_letter:?}");
    }
}

#[async_trait]
impl DeadLetterStore for Planned {
    async fn list(
        &self,
        function: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage, AdapterError> {
        self.store.list(function, after, limit).await
    }

    async fn get(&self, function: &'static str, id: &str) -> Result<Option<DeadLetter>, AdapterError> {
        self.store.get(function, id).await
    }

    async fn remove(&self, function: &'static str, id: &str) -> Result<(), AdapterError> {
        if *self.removal_fails.lock().unwrap() {
            return Err("the process ends".into());
        }
        self.store.remove(function, id).await
    }
}

proptest! {
    /// Whatever fails how often: the dead letter stays as it is until its record was handled, and is removed then. Further redrives do
    /// nothing.
    #[test]
    fn a_dead_letter_is_removed_when_its_record_was_handled_and_not_before(
        fates in prop::collection::vec(
            prop_oneof![
                Just(Fate::Handled), Just(Fate::HandledAndKept), Just(Fate::Retryable), Just(Fate::Permanent), Just(Fate::Foreign),
            ],
            0..8,
        )
    ) {
        let planned = Planned {
            store: MemoryDeadLetters::default(),
            fates: Mutex::new(fates.iter().copied().chain([Fate::Handled]).collect()),
            removal_fails: Mutex::default(),
            handled: AtomicUsize::default(),
        };
        let dead_letter = contract::dead_letter("react", "1", "the payload");
        block_on(planned.store.store(dead_letter.clone())).unwrap();
        let mut expected_handled = 0;
        let mut is_left = true;
        for fate in fates.into_iter().chain([Fate::Handled, Fate::Handled]) {
            let redriven = block_on(redrive(&planned, "react", "1", &planned));
            let left = block_on(planned.get("react", "1")).unwrap();
            if !is_left {
                prop_assert_eq!((redriven.unwrap(), left), (Redriven::Absent, None));
                continue;
            }
            match fate {
                Fate::Handled => {
                    prop_assert_eq!((redriven.unwrap(), left), (Redriven::Handled, None));
                    is_left = false;
                }
                Fate::HandledAndKept => {
                    prop_assert!(redriven.is_err());
                    prop_assert_eq!(left.as_ref(), Some(&dead_letter));
                }
                Fate::Retryable | Fate::Permanent => {
                    prop_assert_eq!(redriven.unwrap(), Redriven::Failed { reason: format!("{fate:?}") });
                    prop_assert_eq!(left.as_ref(), Some(&dead_letter));
                }
                Fate::Foreign => {
                    let reason = "it is of another source".to_owned();
                    prop_assert_eq!(redriven.unwrap(), Redriven::Failed { reason });
                    prop_assert_eq!(left.as_ref(), Some(&dead_letter));
                }
            }
            expected_handled += usize::from(matches!(fate, Fate::Handled | Fate::HandledAndKept));
            prop_assert_eq!(planned.handled.load(Ordering::Relaxed), expected_handled);
        }
        prop_assert!(!is_left, "the last fates are successes");
    }
}

#[test]
fn an_absent_dead_letter_is_not_delivered() {
    struct Never;

    #[async_trait]
    impl Redeliver for Never {
        async fn redeliver(&self, _: &str, _: Batch<'_>) -> Result<Report, AdapterError> {
            panic!("there is nothing to deliver");
        }
    }

    let store = MemoryDeadLetters::default();
    assert_eq!(block_on(redrive(&store, "react", "1", &Never)).unwrap(), Redriven::Absent);
}

#[test]
fn the_memory_store_keeps_the_contract() {
    block_on(contract::check(&MemoryDeadLetters::default()));
}

#[test]
fn results_are_read_as_they_were_written() {
    for (result, json) in [
        (Redriven::Handled, r#"{"outcome":"handled"}"#),
        (Redriven::Absent, r#"{"outcome":"absent"}"#),
        (Redriven::Failed { reason: "r".to_owned() }, r#"{"outcome":"failed","reason":"r"}"#),
    ] {
        assert_eq!(serde_json::to_string(&result).unwrap(), json);
        assert_eq!(serde_json::from_str::<Redriven>(json).unwrap(), result);
    }
}
