//! The positions of commits in their project's feed.
//!
//! A position is the time at which it was assigned. The item `fed#{stream}` holds the version up to which the commits of a stream
//! have positions, and the last position. It is written in one transaction with the position and the usage, on the condition that it
//! holds the version before: so each commit gets one position, is counted once, and follows the earlier commits of its
//! stream, even if clocks differ.
//!
//! A project's feed is one partition, which takes 1,000 writes a second, and a write in a transaction counts twice: a project
//! may have some 500 commits a second. Playback grants, the most frequent events, share commits.
//!
//! # When a position is settled
//!
//! A reader that continues from a position must miss nothing, so a page ends [`SETTLE`] before now. A position is the time right
//! before the write that assigns it, or later if the stream's last position is later; the write is cancelled after
//! [`WRITE_TIMEOUT`], and a retry assigns another position. So a position that readers may see is either written already or never
//! will be, as long as clocks differ by at most the remaining three seconds. The Amazon Time Sync Service keeps Lambda's
//! clocks within milliseconds; a request may take effect for about as long after its connection was closed.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedWriteError, FeedWriter};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::item::{InvalidItem, Item, ONLY_ITEM, key, number, number_of, text, text_of};
use super::rows::pauses;
use super::usage::usage_updates;

/// How long a position is hidden after it was assigned.
pub(super) const SETTLE: Duration = Duration::from_secs(5);

/// The time limit of a write that assigns a position, retries of the SDK included.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many earlier commits are read at a time.
const PAGE: usize = 64;

/// The distance to the last position of a stream whose last position is later than the clock.
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn feed_pk(project_id: &ProjectId) -> String {
    format!("feed#{project_id}")
}

pub(super) fn feed_sk(stamp: Timestamp, stream: &StreamId) -> String {
    format!("{stamp}#{stream}")
}

/// The time since one reading of the clock.
struct Clock {
    at: Timestamp,
    since: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.at.plus(self.since.elapsed())
    }
}

/// The result of assigning a position to a commit.
#[derive(Debug, PartialEq, Eq)]
enum Assignment {
    /// This call assigned it.
    New,
    /// It was assigned before.
    Existing,
    /// The stream's commits from this version on have no position yet.
    Missing { from: u64 },
}

/// The version up to which a stream is in the feed, and its last position.
struct StreamProgress {
    version: u64,
    stamp: Option<Timestamp>,
}

impl StreamProgress {
    fn of(item: Option<&Item>) -> Result<Self, InvalidItem> {
        let Some(item) = item else { return Ok(Self { version: 0, stamp: None }) };
        let stamp = text_of(item, "stamp")?.parse().map_err(|_| InvalidItem("stamp"))?;
        Ok(Self { version: number_of(item, "version")?, stamp: Some(stamp) })
    }
}

/// Why a transaction was not committed.
enum Cancelled {
    /// The stream has another version in the feed.
    At(StreamProgress),
    /// It conflicted with another transaction.
    Conflict(AdapterError),
    /// It may have been committed.
    Failed(AdapterError),
}

impl DynamoViews {
    /// See [`FeedWriter::project`].
    pub async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError> {
        let clock = Clock { at: now, since: Instant::now() };
        let mut next = match self.assign_position(commit, &clock).await? {
            Assignment::New => return Ok(true),
            Assignment::Existing => return Ok(false),
            Assignment::Missing { from } => Some(from),
        };
        while let Some(version) = next {
            let page = self.log.read(&commit.stream, version, PAGE).await?;
            for missing in page.commits {
                let last = missing.first >= commit.first;
                match self.assign_position(&missing, &clock).await? {
                    Assignment::New if last => return Ok(true),
                    Assignment::Existing if last => return Ok(false),
                    Assignment::New | Assignment::Existing => {}
                    Assignment::Missing { from } => {
                        let missing = format!("the log has no commit of {} from {from} on", commit.stream);
                        return Err(FeedWriteError::Unavailable(missing.into()));
                    }
                }
            }
            next = page.next;
        }
        let missing = format!("the log does not have the commit {} of {} yet", commit.first, commit.stream);
        Err(FeedWriteError::Unavailable(missing.into()))
    }

    /// Assigns a position to `commit` if all earlier commits of its stream have theirs.
    async fn assign_position(&self, commit: &Commit, clock: &Clock) -> Result<Assignment, FeedWriteError> {
        let mut earliest = Timestamp::default();
        let mut pauses = pauses();
        loop {
            let stamp = clock.now().max(earliest);
            match self.write(commit, stamp).await {
                Ok(()) => return Ok(Assignment::New),
                Err(Cancelled::At(fed)) if fed.version >= commit.last() => return Ok(Assignment::Existing),
                Err(Cancelled::At(StreamProgress { version, stamp: Some(last) }))
                    if version + 1 == commit.first =>
                {
                    earliest = last.plus(MILLISECOND);
                }
                Err(Cancelled::At(fed)) => return Ok(Assignment::Missing { from: fed.version + 1 }),
                Err(Cancelled::Conflict(error)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(FeedWriteError::Unavailable(error)),
                },
                Err(Cancelled::Failed(error)) => return Err(FeedWriteError::Unavailable(error)),
            }
        }
    }

    async fn write(&self, commit: &Commit, stamp: Timestamp) -> Result<(), Cancelled> {
        let mut items = vec![
            TransactWriteItem::builder().update(self.progress_update(commit, stamp)).build(),
            TransactWriteItem::builder().put(self.position_put(commit, stamp)).build(),
        ];
        let usage = usage_updates(&self.table, commit);
        items.extend(usage.map(|update| TransactWriteItem::builder().update(update).build()));
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let response = match tokio::time::timeout(WRITE_TIMEOUT, request.send()).await {
            Ok(response) => response,
            Err(elapsed) => return Err(Cancelled::Failed(elapsed.into())),
        };
        let Err(error) = response else { return Ok(()) };
        let error = error.into_service_error();
        if let Some(fed) = stored_progress(&error) {
            return Err(fed.map_or_else(|unfit| Cancelled::Failed(unfit.into()), Cancelled::At));
        }
        if error.is_transaction_canceled_exception() || error.is_transaction_in_progress_exception() {
            return Err(Cancelled::Conflict(error.into()));
        }
        Err(Cancelled::Failed(error.into()))
    }

    /// Advances the stream in the feed to `commit`, on the condition that it is at the commit before.
    fn progress_update(&self, commit: &Commit, stamp: Timestamp) -> Update {
        let update = Update::builder()
            .table_name(&*self.table)
            .set_key(Some(key(format!("fed#{}", commit.stream), ONLY_ITEM)))
            .update_expression("SET #version = :version, #stamp = :stamp")
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#stamp", "stamp")
            .expression_attribute_values(":version", number(commit.last()))
            .expression_attribute_values(":stamp", text(stamp.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = if commit.first == 1 {
            update.condition_expression("attribute_not_exists(pk)")
        } else {
            update
                .condition_expression("#version = :before AND #stamp < :stamp")
                .expression_attribute_values(":before", number(commit.first - 1))
        };
        update.build().expect("table, key and expression are set")
    }

    fn position_put(&self, commit: &Commit, stamp: Timestamp) -> Put {
        let mut item = key(feed_pk(commit.stream.project_id()), feed_sk(stamp, &commit.stream));
        let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
        put("stream", text(commit.stream.to_string()));
        put("first", number(commit.first));
        put("events", number(commit.last() + 1 - commit.first));
        let put = Put::builder().table_name(&*self.table).set_item(Some(item));
        put.build().expect("table and item are set")
    }
}

/// Returns the stored progress of the stream if it caused the cancellation of the transaction.
fn stored_progress(error: &TransactWriteItemsError) -> Option<Result<StreamProgress, InvalidItem>> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return None };
    let advancing = cancelled.cancellation_reasons().first()?;
    (advancing.code() == Some("ConditionalCheckFailed")).then(|| StreamProgress::of(advancing.item()))
}

#[async_trait]
impl FeedWriter for DynamoViews {
    async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError> {
        DynamoViews::project(self, commit, now).await
    }
}
