use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::wake::announce;
use super::{open, read};
use crate::commit::{Commit, Head, NewCommit};
use crate::id::ProjectId;
use crate::log::{AppendError, Appended, Expected, Part};
use crate::stream::StreamId;

/// Maximum number of appends in one transaction. It bounds how long other processes wait for the file.
const MAX_GROUP: usize = 512;

/// The pause between two transactions when appends are already waiting. Without it a busy process would leave the file
/// unlocked for microseconds only, and other processes, which retry each millisecond, would hardly ever get the lock.
const UNLOCKED_PAUSE: Duration = Duration::from_micros(100);

/// An admitted append, and the channel for its result.
pub(super) struct Request {
    pub(super) stream: StreamId,
    pub(super) expected: Expected,
    pub(super) commit: NewCommit,
    /// The events as canonical JSON.
    pub(super) events: Vec<u8>,
    pub(super) result: oneshot::Sender<AppendResult>,
}

type AppendResult = Result<Appended, AppendError>;

/// The only connection of this handle that writes.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

/// Appends requests from the queue until all senders are dropped.
pub(super) fn run(mut writer: Writer, mut queue: mpsc::Receiver<Request>, position: &watch::Sender<u64>) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while queue.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
        let (requests, waiting): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|Request { stream, expected, commit, events, result }| {
                ((stream.clone(), expected, commit, events), (stream, result))
            })
            .unzip();
        match writer.append_all(requests) {
            Ok((results, last)) => {
                if let Some(last) = last {
                    announce(position, last);
                }
                for ((_, waiting), result) in waiting.into_iter().zip(results) {
                    // A caller that stopped waiting finds its commit by its id.
                    let _ = waiting.send(result);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (stream, waiting) in waiting {
                    let _ = waiting.send(Err(append_error(stream, &error)));
                }
                writer.recover();
            }
        }
        if !queue.is_empty() {
            thread::sleep(UNLOCKED_PAUSE);
        }
    }
}

fn append_error(stream: StreamId, error: &Arc<rusqlite::Error>) -> AppendError {
    if read::is_damage(error) {
        AppendError::Damaged { stream, reason: format!("SQLite finds the file damaged: {error}") }
    } else {
        AppendError::Unavailable(Box::new(Arc::clone(error)))
    }
}

impl Writer {
    /// Returns the results of all requests, and the last position if it changed. No result may be sent before the
    /// transaction is committed: even a conflict may be with a commit of the same group.
    fn append_all(
        &mut self,
        requests: Vec<(StreamId, Expected, NewCommit, Vec<u8>)>,
    ) -> rusqlite::Result<(Vec<AppendResult>, Option<u64>)> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(requests.len());
        let mut last = None;
        let mut known = Known::default();
        for (stream, expected, commit, events) in requests {
            // No savepoint is needed: an append has one statement that writes, and a statement is atomic.
            let result = append(&transaction, &mut known, (stream, expected, commit, &events))?;
            if matches!(result, Ok(Appended { repeated: false, .. })) {
                last = u64::try_from(transaction.last_insert_rowid()).ok();
            }
            results.push(result);
        }
        transaction.commit()?;
        Ok((results, last))
    }

    /// Makes the writer usable again after an error.
    fn recover(&mut self) {
        if self.connection.is_autocommit() {
            return;
        }
        // The rollback failed too: only closing the connection ends its transaction.
        if let Ok(fresh) = open::open(&self.path) {
            self.connection = fresh;
        }
    }
}

/// What a transaction has written or looked up, which no other process can change before it ends.
#[derive(Default)]
struct Known {
    heads: HashMap<StreamId, Head>,
    /// The next places of projects.
    places: HashMap<ProjectId, u64>,
}

impl Known {
    /// The place of the next commit among the commits of the project, or why it is not known.
    fn next_place(
        &self,
        transaction: &Connection,
        project_id: &ProjectId,
    ) -> rusqlite::Result<Result<u64, String>> {
        match self.places.get(project_id) {
            Some(place) => Ok(Ok(*place)),
            None => read::next_place(transaction, project_id),
        }
    }

    /// Adds a commit that was written at `place`.
    fn add(&mut self, commit: &Commit, place: u64) {
        self.heads.insert(commit.stream.clone(), commit.head());
        self.places.insert(commit.stream.project_id().clone(), place + 1);
    }
}

fn append(
    transaction: &Connection,
    known: &mut Known,
    (stream, expected, commit, events): (StreamId, Expected, NewCommit, &[u8]),
) -> rusqlite::Result<AppendResult> {
    let head = match known.heads.get(&stream) {
        Some(head) => Ok(*head),
        None => read::head_of(transaction, &stream)?,
    };
    // A stream without commits has none with this id.
    if head != Ok(Head::EMPTY)
        && let Some(there) = read::commit_with_id(transaction, &stream, &commit.id)?
    {
        return Ok(match there {
            Ok(commit) => Ok(Appended { commit, repeated: true }),
            Err(damaged) => Err(AppendError::Damaged { stream, reason: damaged.reason }),
        });
    }
    let head = match head {
        Ok(head) => head,
        Err(reason) => return Ok(Err(AppendError::Damaged { stream, reason })),
    };
    if let Expected::Exactly(version) = expected
        && version != head.version
    {
        return Ok(Err(AppendError::Conflict { stream, expected: version, actual: head.version }));
    }
    let place = match known.next_place(transaction, stream.project_id())? {
        Ok(place) => place,
        Err(reason) => return Ok(Err(AppendError::Damaged { stream, reason })),
    };
    let commit = Commit::of_encoded(stream, head, commit, events);
    insert(transaction, &commit, events, place)?;
    known.add(&commit, place);
    Ok(Ok(Appended { commit, repeated: false }))
}

fn insert(transaction: &Connection, commit: &Commit, events: &[u8], place: u64) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot, place)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let events = std::str::from_utf8(events).expect("JSON is UTF-8");
    statement.execute((
        commit.stream.to_string(),
        read::integer(commit.first),
        read::integer(commit.last()),
        commit.id.as_str(),
        commit.recorded_at.to_string(),
        events,
        commit.prev_hash.as_bytes(),
        commit.hash.as_bytes(),
        Part::slot(&commit.stream),
        read::integer(place),
    ))?;
    Ok(())
}
