//! The event log in one DynamoDB table, the ledger.
//!
//! # The table
//!
//! One item is one commit. [`ledger_table`] describes the table.
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `pk` | S, partition key | the stream's name |
//! | `sk` | N, sort key | the version of the commit's first event |
//! | `n` | N | how many events it has |
//! | `id` | S | the commit's id |
//! | `at` | S | when it was recorded, by the appender's clock |
//! | `events` | S | the events as canonical JSON |
//! | `prev`, `hash` | B | the previous commit's hash and its own |
//!
//! # Appending
//!
//! An append is one `PutItem` with the condition `attribute_not_exists(sk)`: it is atomic for a commit of any number
//! of events, costs one write unit per started KB, and needs no transaction. The stream's next commit has exactly one
//! possible key, directly after the last commit, so the condition is a compare-and-set. If it fails, DynamoDB returns
//! the item that has the key (`ALL_OLD`).
//!
//! The key, the previous hash, and whether an id was used before follow from the stream's commits. A handle caches
//! them from its reads and appends, for a limited number of streams. The log only grows, so the cache is never wrong,
//! only outdated, and then the condition fails. **A decision that has just read its stream costs one request.** An
//! append to a stream that the handle has not read first queries the whole stream, unless it expects an empty stream.
//!
//! The SDK retries automatically when a response was lost, and may then find its own commit: [`Appended::repeated`]
//! states that the commit was stored, not by whom.
//!
//! # Reading
//!
//! All reads are strongly consistent. A page of DynamoDB ends at 1 MB, below any limit; every read continues until
//! it has what the contract promises.
//!
//! A [`Part`] of a scan is a DynamoDB segment. The adapter relies on two properties of `Scan`: all items of one
//! partition key are in one segment, because a segment is a range of hashes of partition keys, and they are returned
//! in the order of their sort keys, because they are stored in that order
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItemCollections.html>). Verifying the
//! chain of the scanned commits ([`crate::audit::Verifier`]) detects a violation of either.
//!
//! # Failure
//!
//! Throttling, timeouts, 5xx responses, and refusals of the whole request (credentials, a missing table) are
//! `Unavailable`. The client's own retries are used as configured; see [`with_retry_policy`].

mod append;
mod capacity;
mod item;
mod query;
mod scan;
mod stream_cache;
mod table;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::SdkError;

pub use self::capacity::Capacity;
pub use self::item::{DamagedItem, commit_from_item};
pub use self::scan::ScannedPage;
use self::stream_cache::StreamCache;
pub use self::table::ledger_table;
use crate::aws_client_config;
use crate::commit::{Head, NewCommit};
use crate::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage, admit};
use crate::stream::StreamId;

/// Maximum duration of one request, including the client's retries. A Lambda that waited longer would have too little
/// time left to handle the failure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The log in a table. Clones share the cache and the consumed capacity.
#[derive(Clone)]
pub struct DynamoLog {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    table: String,
    cache: Mutex<StreamCache>,
    spent: Mutex<Capacity>,
}

impl DynamoLog {
    /// Returns the log in `table`, which [`ledger_table`] describes. Sends no request.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let inner = Inner {
            client,
            table: table.into(),
            cache: Mutex::new(StreamCache::default()),
            spent: Mutex::new(Capacity::default()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reads commits of `part` like [`EventLog::scan`]: only of streams whose names begin with `prefix`, if there is one, and on after damaged
    /// commits. What is not returned is read and paid all the same.
    pub async fn scan_streams(
        &self,
        part: Part,
        prefix: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScannedPage, ReadError> {
        self.inner.scan_streams(part, prefix, after, limit.max(1)).await
    }

    /// The capacity that DynamoDB reported for the requests of this handle and its clones. It reports none with an
    /// error, although a failed condition consumes as much as the write would have.
    pub fn spent(&self) -> Capacity {
        *self.inner.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, StreamCache> {
        // The cache is only extended, by one commit at a time: a panic leaves it outdated, not wrong.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spend(&self, consumed: Capacity) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        *spent = *spent + consumed;
    }
}

impl fmt::Debug for DynamoLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DynamoLog").field("table", &self.inner.table).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventLog for DynamoLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        let commit = admit(stream, commit)?;
        self.inner.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.inner.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.inner.read(stream, from, limit.max(1)).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.inner.scan(part, after, limit.max(1)).await
    }
}

/// Returns `config` with the retries and timeouts for the ledger: 3 seconds per attempt, four attempts with growing,
/// jittered pauses (the first of at most 100 ms), and 12 seconds in total. DynamoDB responds within milliseconds; the
/// SDK's default has no limit.
#[must_use]
pub fn with_retry_policy(config: Builder) -> Builder {
    config.retry_config(aws_client_config::retries()).timeout_config(aws_client_config::timeouts())
}

/// DynamoDB did not respond in time.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB did not respond within {} seconds", REQUEST_TIMEOUT.as_secs())]
struct NoResponse;

/// Awaits `request` for at most [`REQUEST_TIMEOUT`]: a client without timeouts must not block its caller without limit.
async fn with_timeout<T, E>(
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<Result<T, SdkError<E>>, ReadError> {
    // The futures of the SDK are large.
    let request = Box::pin(request);
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(|_| ReadError::Unavailable(NoResponse.into()))
}

fn unavailable<E>(error: SdkError<E>) -> ReadError
where
    SdkError<E>: std::error::Error + Send + Sync + 'static,
{
    ReadError::Unavailable(error.into())
}
