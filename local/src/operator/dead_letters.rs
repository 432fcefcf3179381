//! Dead letters: reading them, and having the running platform handle them again.

use std::time::Duration;

use rusqlite::Connection;
use streamio_core::delivery::redrive::Redriven;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetterSummary};
use tokio::time::{Instant, sleep};

use super::error::OperatorError;
use super::handle::Operator;
use crate::view_store::{dead_letters, open_existing};

/// How long the platform may take to end a redrive. It looks for requests twice a second, and a redrive takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two looks at whether a request has ended.
const PAUSE: Duration = Duration::from_millis(50);

impl Operator {
    /// All dead letters of a function, in the order of their ids.
    #[expect(clippy::unused_async, reason = "like the same method for AWS")]
    pub async fn dead_letters(
        &self,
        function: &'static str,
    ) -> Result<Vec<DeadLetterSummary>, OperatorError> {
        let Some(views) = self.views()? else { return Ok(Vec::new()) };
        dead_letters::list(&views, function, None, usize::MAX).map_err(views_error)
    }

    /// A dead letter; `None` if there is none.
    #[expect(clippy::unused_async, reason = "like the same method for AWS")]
    pub async fn dead_letter(
        &self,
        function: &'static str,
        id: &str,
    ) -> Result<Option<DeadLetter>, OperatorError> {
        let Some(views) = self.views()? else { return Ok(None) };
        dead_letters::get(&views, function, id).map_err(views_error)
    }

    /// Has the running platform handle a dead letter again, and waits for the result.
    ///
    /// # Errors
    /// [`OperatorError::NotRunning`] if no platform takes the request, which is then withdrawn.
    pub async fn redrive(&self, function: &'static str, id: &str) -> Result<Redriven, OperatorError> {
        let Some(views) = self.views()? else { return Ok(Redriven::Absent) };
        if dead_letters::get(&views, function, id).map_err(views_error)?.is_none() {
            return Ok(Redriven::Absent);
        }
        dead_letters::request_redrive(&views, function, id).map_err(views_error)?;
        let began = Instant::now();
        while dead_letters::is_redrive_requested(&views, function, id).map_err(views_error)? {
            if began.elapsed() > TIMEOUT
                && dead_letters::withdraw_redrive(&views, function, id).map_err(views_error)?
            {
                return Err(OperatorError::NotRunning(self.data_dir.path().to_owned()));
            }
            sleep(PAUSE).await;
        }
        let left = dead_letters::get(&views, function, id).map_err(views_error)?;
        Ok(left.map_or(Redriven::Handled, |left| Redriven::Failed { reason: left.reason }))
    }

    /// The file of the views; `None` if no platform has run yet.
    fn views(&self) -> Result<Option<Connection>, OperatorError> {
        open_existing(&self.data_dir.views()).map_err(OperatorError::Views)
    }
}

fn views_error(error: rusqlite::Error) -> OperatorError {
    OperatorError::Views(error.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use streamio_core::delivery::batch::{Batch, Handler, Progress, Record, Report};
    use streamio_core::ports::dead_letters::{DeadLetters as _, contract};
    use streamio_events::commit::Commit;
    use streamio_events::log::{AppendError, EventLogExt as _};
    use streamio_events::stream::StreamId;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock;
    use crate::feed::{Consumer, DeliverBatch};
    use crate::operator::IfMissing;
    use crate::view_store::SqliteViewStore;

    /// Fails for good until it is mended.
    #[derive(Default)]
    struct Defective {
        is_mended: AtomicBool,
    }

    #[async_trait]
    impl Handler for Defective {
        type Item = Commit;
        type Error = AppendError;

        fn stream(&self, commit: &Commit) -> StreamId {
            commit.stream.clone()
        }

        async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<AppendError> {
            if self.is_mended.load(Ordering::Relaxed) {
                return Progress::all(commits.len());
            }
            let reason = "the defect".to_owned();
            Progress::until(0, AppendError::Invalid { stream: stream.clone(), reason })
        }

        async fn quarantine(&self, _: &StreamId, _: &Commit, _: &AppendError) {}
    }

    #[async_trait]
    impl DeliverBatch for Defective {
        async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report {
            batch.run(records, self, clock::now()).await
        }
    }

    /// A data directory with the project `acme`, and its views.
    async fn directory() -> (tempfile::TempDir, Operator, SqliteViewStore) {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        operator.create_project(&"acme".parse().unwrap(), None).await.unwrap();
        let store = SqliteViewStore::open(&operator.data_dir.views()).unwrap();
        (scratch, operator, store)
    }

    #[tokio::test]
    async fn the_running_platform_handles_a_dead_letter_again_when_its_cause_is_gone() {
        let (_scratch, operator, store) = directory().await;
        let handler = Arc::new(Defective::default());
        let consumer = Consumer::new("react", |_| true, operator.log.clone(), store);
        while consumer.deliver_next(&*handler).await {}
        let listed = operator.dead_letters("react").await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].reason.contains("the defect"), "{listed:?}");
        let stop = CancellationToken::new();
        let platform = tokio::spawn({
            let (stop, handler) = (stop.clone(), Arc::clone(&handler));
            async move { consumer.run(stop, &*handler).await }
        });
        let id = &listed[0].id;
        let Redriven::Failed { reason } = operator.redrive("react", id).await.unwrap() else {
            panic!("the defect is not mended")
        };
        assert!(reason.contains("the defect"), "{reason}");
        let left = operator.dead_letter("react", id).await.unwrap().unwrap();
        assert!(left.at >= listed[0].at && left.reason == reason, "{left:?}");
        let commits = operator.log.scan_to_end().await.unwrap();
        assert_eq!(serde_json::from_str::<Commit>(&left.payload).unwrap(), commits[0]);
        handler.is_mended.store(true, Ordering::Relaxed);
        assert_eq!(operator.redrive("react", id).await.unwrap(), Redriven::Handled);
        assert_eq!(operator.redrive("react", id).await.unwrap(), Redriven::Absent);
        assert_eq!(operator.dead_letters("react").await.unwrap(), []);
        stop.cancel();
        platform.await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_commit_and_a_second_request_are_answered() {
        let (_scratch, operator, store) = directory().await;
        store
            .store(contract::dead_letter("views", "7", "the commit at position 7 is damaged"))
            .await
            .unwrap();
        let handler = Defective { is_mended: AtomicBool::new(true) };
        let consumer = Consumer::new("views", |_| true, operator.log.clone(), store);
        let stop = CancellationToken::new();
        let redriving = async {
            let both = tokio::join!(operator.redrive("views", "7"), operator.redrive("views", "7"));
            stop.cancel();
            both
        };
        let (both, ()) = tokio::join!(redriving, consumer.run(stop.clone(), &handler));
        for redriven in [both.0.unwrap(), both.1.unwrap()] {
            let Redriven::Failed { reason } = redriven else { panic!("{redriven:?}") };
            assert!(reason.contains("damaged in the log"), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_directory_without_views_has_no_dead_letters() {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        assert_eq!(operator.dead_letters("react").await.unwrap(), []);
        assert_eq!(operator.dead_letter("react", "1").await.unwrap(), None);
        assert_eq!(operator.redrive("react", "1").await.unwrap(), Redriven::Absent);
        assert!(!operator.data_dir.views().exists(), "reading creates nothing");
    }
}
