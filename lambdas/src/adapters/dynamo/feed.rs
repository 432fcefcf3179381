//! The places of commits in their project's feed.
//!
//! A place is the time at which it was given. The item `fed#{stream}` says up to which version a stream's commits have their
//! places and when the last was given, and is written in one transaction with the place and the usage, on the condition
//! that it is at the version before: so each commit gets one place, is counted once, and stands behind those of its stream
//! before it, whatever clock gave them theirs.
//!
//! A project's feed is one partition, which takes 1,000 writes a second, and a write in a transaction is two: a project may
//! have some 500 commits a second. Its playback grants, of which there are most, come many to a commit.
//!
//! # When a place is settled
//!
//! Who reads on from a place must miss nothing, so a page ends [`SETTLE`] before now. A place is the clock's reading right
//! before the write that gives it, or later where the stream's last place is later; the write is given up after
//! [`WRITE_TIMEOUT`], and given another place when it is tried again. So a place that readers may see is either written or
//! will never be, as long as two clocks differ by no more than the rest, three seconds. Lambda's are held to milliseconds by
//! the Amazon Time Sync Service; that a request still takes effect after its connection was closed takes about as long.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::item::{ALONE, Item, UnfitItem, key, number, number_of, text, text_of};
use super::rows::pauses;
use super::usage::counting;
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedWriteError, FeedWriter};

/// How long a place is not shown after it was given.
pub(super) const SETTLE: Duration = Duration::from_secs(5);

/// How long a write that gives a place may take, tries of the SDK included.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many commits before the one at hand are read at a time.
const PAGE: usize = 64;

/// What stands for the next place of a stream, when it is not the clock's.
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn feed_pk(project_id: &ProjectId) -> String {
    format!("feed#{project_id}")
}

pub(super) fn feed_sk(stamp: Timestamp, stream: &StreamId) -> String {
    format!("{stamp}#{stream}")
}

/// The time, from one reading on.
struct Clock {
    at: Timestamp,
    since: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.at.plus(self.since.elapsed())
    }
}

/// What came of giving a commit its place.
#[derive(Debug, PartialEq, Eq)]
enum Entered {
    /// It has it by this call.
    Now,
    /// It had it.
    Before,
    /// The stream's commits from this version on come first.
    Missing { from: u64 },
}

/// Up to where a stream is in the feed.
struct Fed {
    version: u64,
    stamp: Option<Timestamp>,
}

impl Fed {
    fn of(item: Option<&Item>) -> Result<Self, UnfitItem> {
        let Some(item) = item else { return Ok(Self { version: 0, stamp: None }) };
        let stamp = text_of(item, "stamp")?.parse().map_err(|_| UnfitItem("stamp"))?;
        Ok(Self { version: number_of(item, "version")?, stamp: Some(stamp) })
    }
}

/// Why a transaction did nothing.
enum Cancelled {
    /// The stream is elsewhere.
    At(Fed),
    /// Others were in its way.
    Hindered(AdapterError),
    /// It may have done something.
    Failed(AdapterError),
}

impl DynamoViews {
    /// See [`FeedWriter::project`].
    pub async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError> {
        let clock = Clock { at: now, since: Instant::now() };
        let mut next = match self.enter(commit, &clock).await? {
            Entered::Now => return Ok(true),
            Entered::Before => return Ok(false),
            Entered::Missing { from } => Some(from),
        };
        while let Some(version) = next {
            let page = self.log.read(&commit.stream, version, PAGE).await?;
            for missing in page.commits {
                let last = missing.first >= commit.first;
                match self.enter(&missing, &clock).await? {
                    Entered::Now if last => return Ok(true),
                    Entered::Before if last => return Ok(false),
                    Entered::Now | Entered::Before => {}
                    Entered::Missing { from } => {
                        let lacking = format!("the log has no commit of {} from {from} on", commit.stream);
                        return Err(FeedWriteError::Unavailable(lacking.into()));
                    }
                }
            }
            next = page.next;
        }
        let lacking = format!("the log does not have the commit {} of {} yet", commit.first, commit.stream);
        Err(FeedWriteError::Unavailable(lacking.into()))
    }

    /// Gives `commit` its place if all before it have theirs.
    async fn enter(&self, commit: &Commit, clock: &Clock) -> Result<Entered, FeedWriteError> {
        let mut earliest = Timestamp::default();
        let mut pauses = pauses();
        loop {
            let stamp = clock.now().max(earliest);
            match self.write(commit, stamp).await {
                Ok(()) => return Ok(Entered::Now),
                Err(Cancelled::At(fed)) if fed.version >= commit.last() => return Ok(Entered::Before),
                Err(Cancelled::At(Fed { version, stamp: Some(last) })) if version + 1 == commit.first => {
                    earliest = last.plus(MILLISECOND);
                }
                Err(Cancelled::At(fed)) => return Ok(Entered::Missing { from: fed.version + 1 }),
                Err(Cancelled::Hindered(error)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(FeedWriteError::Unavailable(error)),
                },
                Err(Cancelled::Failed(error)) => return Err(FeedWriteError::Unavailable(error)),
            }
        }
    }

    async fn write(&self, commit: &Commit, stamp: Timestamp) -> Result<(), Cancelled> {
        let items = [
            Some(TransactWriteItem::builder().update(self.advancing(commit, stamp)).build()),
            Some(TransactWriteItem::builder().put(self.placing(commit, stamp)).build()),
            counting(&self.table, commit).map(|update| TransactWriteItem::builder().update(update).build()),
        ];
        let request = self.client.transact_write_items();
        let request = request.set_transact_items(Some(items.into_iter().flatten().collect()));
        let answer = match tokio::time::timeout(WRITE_TIMEOUT, request.send()).await {
            Ok(answer) => answer,
            Err(elapsed) => return Err(Cancelled::Failed(elapsed.into())),
        };
        let Err(error) = answer else { return Ok(()) };
        let error = error.into_service_error();
        if let Some(fed) = conflicting(&error) {
            return Err(fed.map_or_else(|unfit| Cancelled::Failed(unfit.into()), Cancelled::At));
        }
        if error.is_transaction_canceled_exception() || error.is_transaction_in_progress_exception() {
            return Err(Cancelled::Hindered(error.into()));
        }
        Err(Cancelled::Failed(error.into()))
    }

    /// The stream is in the feed up to `commit`, if it was up to the one before.
    fn advancing(&self, commit: &Commit, stamp: Timestamp) -> Update {
        let update = Update::builder()
            .table_name(&*self.table)
            .set_key(Some(key(format!("fed#{}", commit.stream), ALONE)))
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
        update.build().expect("table, key and expression are given")
    }

    fn placing(&self, commit: &Commit, stamp: Timestamp) -> Put {
        let mut item = key(feed_pk(commit.stream.project_id()), feed_sk(stamp, &commit.stream));
        let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
        put("stream", text(commit.stream.to_string()));
        put("first", number(commit.first));
        put("events", number(commit.last() + 1 - commit.first));
        let put = Put::builder().table_name(&*self.table).set_item(Some(item));
        put.build().expect("table and item are given")
    }
}

/// Where the stream is, if that is why the transaction was cancelled.
fn conflicting(error: &TransactWriteItemsError) -> Option<Result<Fed, UnfitItem>> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return None };
    let advancing = cancelled.cancellation_reasons().first()?;
    (advancing.code() == Some("ConditionalCheckFailed")).then(|| Fed::of(advancing.item()))
}

#[async_trait]
impl FeedWriter for DynamoViews {
    async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError> {
        DynamoViews::project(self, commit, now).await
    }
}
