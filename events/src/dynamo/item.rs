//! Commits as items.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::table::{COUNT, EVENTS, FIRST, HASH, ID, PREV_HASH, RECORDED_AT, STREAM};
use crate::commit::{Commit, CommitHash, Head, canonical_json};
use crate::id::CommitId;
use crate::log::ReadError;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// What the table holds by the name of each attribute.
pub(super) type Item = HashMap<String, AttributeValue>;

/// An item that is no commit. Reading it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an item of stream {stream} is no commit: {reason}")]
pub struct DamagedItem {
    /// The stream as the item names it; empty when it names none.
    pub stream: String,
    /// What does not fit.
    pub reason: String,
}

impl From<DamagedItem> for ReadError {
    fn from(item: DamagedItem) -> Self {
        Self::Damaged { stream: item.stream, reason: item.reason }
    }
}

/// The item that holds `commit`.
pub(super) fn item_of(commit: &Commit) -> Item {
    let events = String::from_utf8(canonical_json(&commit.events)).expect("JSON is UTF-8");
    let bytes = |hash: CommitHash| AttributeValue::B(Blob::new(*hash.as_bytes()));
    HashMap::from([
        (STREAM.to_owned(), AttributeValue::S(commit.stream.to_string())),
        (FIRST.to_owned(), AttributeValue::N(commit.first.to_string())),
        (COUNT.to_owned(), AttributeValue::N(commit.events.len().to_string())),
        (ID.to_owned(), AttributeValue::S(commit.id.to_string())),
        (RECORDED_AT.to_owned(), AttributeValue::S(commit.recorded_at.to_string())),
        (EVENTS.to_owned(), AttributeValue::S(events)),
        (PREV_HASH.to_owned(), bytes(commit.prev_hash)),
        (HASH.to_owned(), bytes(commit.hash)),
    ])
}

/// The commit that an item of the ledger holds: as a read answers it, or as the new image of a record of its stream.
/// Attributes beside the commit's own are ignored.
#[expect(clippy::implicit_hasher, reason = "the SDK's items are maps of the standard hasher")]
pub fn commit_from_item(item: &HashMap<String, AttributeValue>) -> Result<Commit, DamagedItem> {
    let name = text(item, STREAM).unwrap_or_default();
    commit(item, name).map_err(|reason| DamagedItem { stream: name.to_owned(), reason })
}

fn commit(item: &Item, name: &str) -> Result<Commit, String> {
    let stream: StreamId = name.parse().map_err(|error| format!("its name is {error}"))?;
    let first = first(item).ok_or("a commit has no version")?;
    let link = |attribute| hash(item, attribute);
    let commit = Commit {
        stream,
        first,
        id: id(item).ok_or_else(|| format!("its commit at {first} has no commit id"))?,
        events: serde_json::from_str(text(item, EVENTS).unwrap_or_default())
            .map_err(|error| format!("the events of its commit at {first} cannot be read: {error}"))?,
        recorded_at: recorded_at(item).ok_or_else(|| format!("its commit at {first} has no time"))?,
        prev_hash: link(PREV_HASH).ok_or_else(|| format!("its commit at {first} has no link"))?,
        hash: link(HASH).ok_or_else(|| format!("its commit at {first} has no hash"))?,
    };
    let events = commit.events.len() as u64;
    match number(item, COUNT) {
        Some(count) if count == events && count > 0 && first.checked_add(count).is_some() => Ok(commit),
        count => {
            let count = count.map_or_else(|| "an unknown number of".to_owned(), |count| count.to_string());
            Err(format!("its commit at {first} is said to have {count} events and has {events}"))
        }
    }
}

/// What an append must know of a commit that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Link {
    pub(super) first: u64,
    /// `None` when the item has none that could ever be appended.
    pub(super) id: Option<CommitId>,
    /// The stream's head when this is its last commit; `None` when the item does not say.
    pub(super) head: Option<Head>,
}

impl Link {
    /// Of an item that has at least [`FIRST`], [`COUNT`], [`ID`] and [`HASH`].
    pub(super) fn of_item(item: &Item) -> Result<Self, String> {
        let first = first(item).ok_or("a commit has no version")?;
        let last =
            number(item, COUNT).filter(|count| *count > 0).and_then(|count| first.checked_add(count - 1));
        let head = last.zip(hash(item, HASH)).map(|(version, hash)| Head { version, hash });
        Ok(Self { first, id: id(item), head })
    }
}

impl From<&Commit> for Link {
    fn from(commit: &Commit) -> Self {
        Self { first: commit.first, id: Some(commit.id.clone()), head: Some(commit.head()) }
    }
}

fn first(item: &Item) -> Option<u64> {
    number(item, FIRST).filter(|first| *first > 0)
}

fn id(item: &Item) -> Option<CommitId> {
    text(item, ID)?.parse().ok()
}

/// Only as it is written: other texts for the same instant were not put there by this program.
fn recorded_at(item: &Item) -> Option<Timestamp> {
    let text = text(item, RECORDED_AT)?;
    text.parse().ok().filter(|at: &Timestamp| at.to_string() == text)
}

fn hash(item: &Item, attribute: &str) -> Option<CommitHash> {
    let bytes = item.get(attribute)?.as_b().ok()?;
    bytes.as_ref().try_into().ok().map(CommitHash::from_bytes)
}

fn text<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

fn number(item: &Item, attribute: &str) -> Option<u64> {
    item.get(attribute)?.as_n().ok()?.parse().ok()
}
