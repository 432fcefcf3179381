use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::wake::announce;
use super::{open, read};
use crate::commit::{Commit, NewCommit, canonical_json};
use crate::log::{AppendError, Appended, Expected, Part};
use crate::stream::StreamId;

/// Appends in one transaction. It bounds how long others must wait for the file.
const MOST_IN_GROUP: usize = 512;

/// The pause between two transactions when appends are waiting already. Without it a busy process would leave the file
/// free for microseconds only, which others, who ask each millisecond, would hardly ever hit.
const COURTESY: Duration = Duration::from_micros(100);

/// An append that has been admitted, and where its answer goes.
pub(super) struct Request {
    pub(super) stream: StreamId,
    pub(super) expected: Expected,
    pub(super) commit: NewCommit,
    pub(super) answer: oneshot::Sender<Answer>,
}

type Answer = Result<Appended, AppendError>;

/// The one connection of this handle that writes.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

/// Appends what comes from the queue until nobody can send any more.
pub(super) fn run(mut writer: Writer, mut queue: mpsc::Receiver<Request>, position: &watch::Sender<u64>) {
    let mut group = Vec::with_capacity(MOST_IN_GROUP);
    while queue.blocking_recv_many(&mut group, MOST_IN_GROUP) > 0 {
        let (requests, waiting): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|Request { stream, expected, commit, answer }| {
                ((stream.clone(), expected, commit), (stream, answer))
            })
            .unzip();
        match writer.append_all(requests) {
            Ok((answers, last)) => {
                if let Some(last) = last {
                    announce(position, last);
                }
                for ((_, waiting), answer) in waiting.into_iter().zip(answers) {
                    // Who no longer waits finds its commit by its id.
                    let _ = waiting.send(answer);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (stream, waiting) in waiting {
                    let _ = waiting.send(Err(refusal(stream, &error)));
                }
                writer.recover();
            }
        }
        if !queue.is_empty() {
            thread::sleep(COURTESY);
        }
    }
}

fn refusal(stream: StreamId, error: &Arc<rusqlite::Error>) -> AppendError {
    if read::is_damage(error) {
        AppendError::Damaged { stream, reason: format!("SQLite finds the file damaged: {error}") }
    } else {
        AppendError::Unavailable(Box::new(Arc::clone(error)))
    }
}

impl Writer {
    /// The answers to all requests, and the last position if there is a new one. No answer may be given before the
    /// transaction has ended well: even a conflict may be with a commit of the same group.
    fn append_all(
        &mut self,
        requests: Vec<(StreamId, Expected, NewCommit)>,
    ) -> rusqlite::Result<(Vec<Answer>, Option<u64>)> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut last = None;
        for (stream, expected, commit) in requests {
            // No savepoint is needed: an append has one statement that writes, which does all or nothing.
            let answer = append(&transaction, stream, expected, commit)?;
            if matches!(answer, Ok(Appended { repeated: false, .. })) {
                last = u64::try_from(transaction.last_insert_rowid()).ok();
            }
            answers.push(answer);
        }
        transaction.commit()?;
        Ok((answers, last))
    }

    /// Makes the writer able to go on after an error.
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

fn append(
    transaction: &Connection,
    stream: StreamId,
    expected: Expected,
    commit: NewCommit,
) -> rusqlite::Result<Answer> {
    if let Some(there) = read::commit_with_id(transaction, &stream, &commit.id)? {
        return Ok(match there {
            Ok(commit) => Ok(Appended { commit, repeated: true }),
            Err(damaged) => Err(AppendError::Damaged { stream, reason: damaged.reason }),
        });
    }
    let head = match read::head_of(transaction, &stream)? {
        Ok(head) => head,
        Err(reason) => return Ok(Err(AppendError::Damaged { stream, reason })),
    };
    if let Expected::Exactly(version) = expected
        && version != head.version
    {
        return Ok(Err(AppendError::Conflict { stream, expected: version, actual: head.version }));
    }
    let commit = Commit::following(stream, head, commit);
    insert(transaction, &commit)?;
    Ok(Ok(Appended { commit, repeated: false }))
}

fn insert(transaction: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let events = String::from_utf8(canonical_json(&commit.events)).expect("JSON is UTF-8");
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
    ))?;
    Ok(())
}
