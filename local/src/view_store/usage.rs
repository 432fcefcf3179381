//! What projects used, counted from the log: each change of the log once, because its position is stored with the counters.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use streamio_core::ports::AdapterError;
use streamio_core::ports::usage_store::{UsageStore, UsageStoreError};
use streamio_core::ports::view_store::ViewStoreError;
use streamio_events::day::Day;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;
use streamio_events::usage::{DayUsage, Usage, UsageCounters, day_of};

use super::{SqliteViewStore, integer};
use crate::changes::{self, Change, Scope};

/// The consumer whose position is that of the counters.
const CONSUMER: &str = "usage";

/// How many changes are counted in one transaction.
const BATCH: usize = 1000;

/// The usage that is stored in the views, brought up to date with the log by each call.
pub(crate) struct CountedUsage {
    pub(crate) log: SqliteLog,
    pub(crate) views: SqliteViewStore,
}

/// The key of a counter: project, day and name.
type Amounts = BTreeMap<(String, String, &'static str), u64>;

impl CountedUsage {
    /// Counts the changes of the log that are not counted.
    async fn catch_up(&self) -> Result<(), AdapterError> {
        loop {
            let from = self.views.cursor(CONSUMER).await?;
            let changes = changes::read(&self.log, Scope::All, from, BATCH).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            let (position, is_end) = (last.position, changes.len() < BATCH);
            // If another call counted some of them, the rest is read again.
            if self.views.count(from, position, amounts(&changes)).await? && is_end {
                return Ok(());
            }
        }
    }

    async fn read(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, AdapterError> {
        self.catch_up().await?;
        let mut days = BTreeMap::<Day, UsageCounters>::new();
        for (day, name, amount) in self.views.usage_rows(project_id, first, last).await? {
            let day: Day = day.parse()?;
            if let Some(counter) = days.entry(day).or_default().counter(&name) {
                *counter = amount;
            }
        }
        let mut total = UsageCounters::default();
        for (name, amount) in self.views.usage_totals(project_id).await? {
            if let Some(counter) = total.counter(&name) {
                *counter = amount;
            }
        }
        let days = days.into_iter().map(|(day, counters)| DayUsage { day, counters }).collect();
        Ok(Usage { days, stored_bytes: total.stored_bytes() })
    }
}

/// What the changes add. A damaged commit adds nothing.
fn amounts(changes: &[Change]) -> Amounts {
    let mut amounts = Amounts::new();
    for commit in changes.iter().filter_map(|change| change.commit.as_ref().ok()) {
        let (project_id, day) = (commit.stream.project_id().to_string(), day_of(commit).to_string());
        for (name, amount) in UsageCounters::of(commit).counters().filter(|(_, amount)| *amount > 0) {
            *amounts.entry((project_id.clone(), day.clone(), name)).or_default() += amount;
        }
    }
    amounts
}

#[async_trait]
impl UsageStore for CountedUsage {
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError> {
        self.read(project_id, first, last).await.map_err(UsageStoreError)
    }
}

impl SqliteViewStore {
    /// Adds what the changes after the position `from` up to `position` add. Returns `false`, and adds nothing, if another call has
    /// added some of them.
    async fn count(&self, from: u64, position: u64, amounts: Amounts) -> Result<bool, ViewStoreError> {
        self.run(move |connection| {
            // Immediate: one that reads first would fail if another process wrote in between.
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let query = "SELECT position FROM cursors WHERE consumer = ?1";
            let counted = transaction.query_row(query, [CONSUMER], |row| row.get::<_, i64>(0)).optional()?;
            if counted.unwrap_or(0) != integer(from) {
                return Ok(false);
            }
            let upsert = "INSERT INTO usage VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET amount = amount + excluded.amount";
            for ((project_id, day, name), amount) in amounts {
                let row = params![project_id, day, name, integer(amount)];
                transaction.prepare_cached(upsert)?.execute(row)?;
            }
            let upsert =
                "INSERT INTO cursors VALUES (?1, ?2) ON CONFLICT DO UPDATE SET position = excluded.position";
            transaction.prepare_cached(upsert)?.execute(params![CONSUMER, integer(position)])?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// The amounts of a project's days, each with its day and name.
    async fn usage_rows(
        &self,
        project_id: &ProjectId,
        first: Day,
        last: Day,
    ) -> Result<Vec<(String, String, u64)>, ViewStoreError> {
        let (project_id, first, last) = (project_id.to_string(), first.to_string(), last.to_string());
        self.run(move |connection| {
            let query = "SELECT day, name, amount FROM usage WHERE project_id = ?1 AND day BETWEEN ?2 AND ?3";
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map([project_id, first, last], |row| {
                Ok((row.get(0)?, row.get(1)?, amount(row.get(2)?)))
            })?;
            rows.collect()
        })
        .await
    }

    /// The sums of a project's amounts over all days, each with its name.
    async fn usage_totals(&self, project_id: &ProjectId) -> Result<Vec<(String, u64)>, ViewStoreError> {
        let project_id = project_id.to_string();
        self.run(move |connection| {
            let query = "SELECT name, sum(amount) FROM usage WHERE project_id = ?1 GROUP BY name";
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map([project_id], |row| Ok((row.get(0)?, amount(row.get(1)?))))?;
            rows.collect()
        })
        .await
    }
}

fn amount(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use streamio_events::commit::NewCommit;
    use streamio_events::event::{EventBody, UploadCompleted, VideoDeleted};
    use streamio_events::id::CommitId;
    use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
    use streamio_events::object_key::SourceKey;
    use streamio_events::timestamp::Timestamp;

    use super::*;

    /// Appends an upload or a deletion of a video of `project`, on a day.
    async fn append(log: &SqliteLog, number: usize, (project, day, bytes): (u8, i64, u64)) {
        let key: SourceKey = format!("projects/project-{project}/a.mp4").parse().unwrap();
        let body: EventBody = if bytes % 3 == 0 {
            VideoDeleted { generation: 1, bytes }.into()
        } else {
            UploadCompleted {
                generation: 1,
                s3_key: key.clone(),
                bytes,
                etag: "e".to_owned(),
                sequencer: "01".to_owned(),
                found: false,
                version_id: None,
                created_at: None,
                grant_id: None,
            }
            .into()
        };
        let at = Timestamp::from_unix_seconds(1_767_323_045 + day * 86_400);
        let stream = streamio_events::stream::StreamId::Project(key.project_id().clone());
        let commit = NewCommit::new(CommitId::derived_from(&[&number.to_string()]), at, [body]);
        log.append(&stream, Expected::Any, commit).await.unwrap();
    }

    #[tokio::test]
    async fn changes_that_another_call_has_counted_in_part_are_not_counted_again() {
        let scratch = tempfile::tempdir().unwrap();
        let views = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
        let acme: ProjectId = "acme".parse().unwrap();
        let one = || Amounts::from([(("acme".to_owned(), "2026-01-02".to_owned(), "videos_ready"), 1)]);
        assert!(views.count(0, 3, one()).await.unwrap());
        assert!(!views.count(0, 5, one()).await.unwrap(), "the changes up to 3 are counted");
        assert!(views.count(3, 5, one()).await.unwrap());
        let totals = views.usage_totals(&acme).await.unwrap();
        assert_eq!(totals, [("videos_ready".to_owned(), 2)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Also with two readers at once, and after the views were lost.
        #[test]
        fn each_commit_is_counted_once(
            steps in prop::collection::vec((0u8..2, 0i64..3, 1u64..1000, any::<bool>()), 1..40),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let scratch = tempfile::tempdir().unwrap();
                let log = SqliteLog::open(scratch.path().join("log.db")).unwrap();
                let open = |name: &str| CountedUsage {
                    log: log.clone(),
                    views: SqliteViewStore::open(&scratch.path().join(name)).unwrap(),
                };
                let usage = Arc::new(open("views.db"));
                let (first, last): (Day, Day) = ("2026-01-02".parse().unwrap(), "2026-01-03".parse().unwrap());
                for (number, (project, day, bytes, reads)) in steps.into_iter().enumerate() {
                    append(&log, number, (project, day, bytes)).await;
                    if !reads {
                        continue;
                    }
                    let project_id: ProjectId = format!("project-{project}").parse().unwrap();
                    let (one, other) = tokio::join!(
                        usage.usage(&project_id, first, last), usage.usage(&project_id, first, last)
                    );
                    let commits = log.scan_to_end().await.unwrap();
                    let of_project = commits.iter().filter(|commit| *commit.stream.project_id() == project_id);
                    let expected = Usage::of(of_project, first, last);
                    prop_assert_eq!(&one.unwrap(), &expected);
                    prop_assert_eq!(&other.unwrap(), &expected);
                    let rebuilt = open(&format!("views-{number}.db"));
                    prop_assert_eq!(&rebuilt.usage(&project_id, first, last).await.unwrap(), &expected);
                }
                Ok(())
            })?;
        }
    }
}
