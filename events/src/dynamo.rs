//! The event log in one DynamoDB table, the ledger, for the cloud.
//!
//! # The table
//!
//! One item is one commit; [`ledger_table`] makes the table.
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `pk` | S, partition key | the stream's name |
//! | `sk` | N, sort key | the version of the commit's first event |
//! | `n` | N | how many events it has |
//! | `id` | S | the commit's id |
//! | `at` | S | the appender's clock |
//! | `events` | S | the events as canonical JSON |
//! | `prev`, `hash` | B | the link before and its own |
//!
//! # Appending
//!
//! An append is one `PutItem` under `attribute_not_exists(sk)`: atomic for a commit of any number of events, for one write
//! unit per started KB, and without a transaction. A stream's next commit has exactly one place, right behind the last one,
//! so the condition is the compare-and-set, and a refused one answers who has the place (`ALL_OLD`).
//!
//! The place, the link and whether an id was used before follow from what lies in the stream. A handle remembers that, for
//! as many streams as a bounded memory holds, of its reads and its appends. The log only grows, so what is remembered is
//! never wrong, only behind, and behind is what the condition finds. **A decision that has just read its stream costs one
//! request.** An append to a stream that the handle has not read costs a `Query` of the whole stream before it, except one
//! that expects it to be empty.
//!
//! The SDK tries again by itself when an answer was lost, and may then meet its own commit: [`Appended::repeated`] says that
//! the commit was there, not who had put it there.
//!
//! # Reading
//!
//! All reads are strongly consistent. A page of DynamoDB ends at 1 MB, whatever it was asked for; every read goes on until it
//! has what the contract promises.
//!
//! [`Part`]s of a scan are DynamoDB's own segments. Two properties of `Scan` are relied on: all items of one partition key
//! are in one segment, because a segment is a range of hashes of partition keys, and they come in the order of their sort
//! keys, because that is how they are stored
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItemCollections.html>). Whoever verifies the
//! chain of what was scanned ([`crate::audit::Verifier`]) would find it if either failed.
//!
//! # Failure
//!
//! Throttling, time-outs, answers of the 5xx kind, and refusals of the whole request (credentials, a table that is not there)
//! are `Unavailable`. The client's own retries stay as they are configured, see [`patient`].

mod append;
mod capacity;
mod item;
mod known;
mod query;
mod scan;
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
use self::known::Memory;
pub use self::table::ledger_table;
use crate::commit::{Head, NewCommit};
use crate::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage, admit};
use crate::retry_policy;
use crate::stream::StreamId;

/// How long one request may take with all the retries of the client. A Lambda that waits longer for an answer has less left
/// to do something about it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The log in a table. Clones share what is remembered and what was spent.
#[derive(Clone)]
pub struct DynamoLog {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    table: String,
    memory: Mutex<Memory>,
    spent: Mutex<Capacity>,
}

impl DynamoLog {
    /// The log in `table`, which [`ledger_table`] describes. Asks nothing of DynamoDB yet.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let inner = Inner {
            client,
            table: table.into(),
            memory: Mutex::new(Memory::default()),
            spent: Mutex::new(Capacity::default()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What DynamoDB said that the requests of this handle and its clones consumed, since it was made. It says nothing with
    /// an error, although a refused condition consumes as much as the write would have.
    pub fn spent(&self) -> Capacity {
        *self.inner.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What is remembered is only ever extended, by one commit at a time: a panic leaves it behind, not wrong.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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

/// `config` with the retries and time-outs that suit the ledger: an attempt that is not answered within 3 seconds is given
/// up, four attempts are made with growing, spread pauses between them, at first of 100 ms at most, and all of it takes 12
/// seconds at most. DynamoDB answers within milliseconds; the SDK alone would wait for an answer without end.
#[must_use]
pub fn patient(config: Builder) -> Builder {
    config.retry_config(retry_policy::retries()).timeout_config(retry_policy::timeouts())
}

/// Nothing was answered in time.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB has not answered within {} seconds", PATIENCE.as_secs())]
struct NoAnswer;

/// What `request` answers, in time or not at all: a client without time-outs must not make its caller wait for ever.
async fn in_time<T, E>(
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<Result<T, SdkError<E>>, ReadError> {
    // The futures of the SDK are large.
    let request = Box::pin(request);
    tokio::time::timeout(PATIENCE, request).await.map_err(|_| ReadError::Unavailable(NoAnswer.into()))
}

fn unavailable<E>(error: SdkError<E>) -> ReadError
where
    SdkError<E>: std::error::Error + Send + Sync + 'static,
{
    ReadError::Unavailable(error.into())
}
