//! Conversion between commits and items.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::table::{COUNT, EVENTS, FIRST, HASH, ID, PREV_HASH, RECORDED_AT, STREAM};
use crate::canonical::canonical_events;
use crate::commit::{Commit, CommitHash, Head};
use crate::id::CommitId;
use crate::log::ReadError;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// An item: attribute values by attribute name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// An item that is not a valid commit. Reading it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an item of stream {stream} is not a valid commit: {reason}")]
pub struct DamagedItem {
    /// The stream's name in the item; empty if it has none.
    pub stream: String,
    /// What is invalid.
    pub reason: String,
}

impl From<DamagedItem> for ReadError {
    fn from(item: DamagedItem) -> Self {
        Self::Damaged { stream: item.stream, reason: item.reason }
    }
}

/// The item that holds `commit`.
pub(super) fn item_of(commit: &Commit) -> Item {
    let events = String::from_utf8(canonical_events(&commit.events)).expect("JSON is UTF-8");
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

/// Parses the commit in an item of the ledger, from a read or from the new image of a stream record. Other attributes
/// are ignored.
#[expect(clippy::implicit_hasher, reason = "the SDK's items are maps of the standard hasher")]
pub fn commit_from_item(item: &HashMap<String, AttributeValue>) -> Result<Commit, DamagedItem> {
    let name = text(item, STREAM).unwrap_or_default();
    commit(item, name).map_err(|reason| DamagedItem { stream: name.to_owned(), reason })
}

fn commit(item: &Item, name: &str) -> Result<Commit, String> {
    let stream: StreamId = name.parse().map_err(|error| format!("its name is {error}"))?;
    let first = first(item).ok_or("a commit has no version")?;
    let hash_of = |attribute| hash(item, attribute);
    let commit = Commit {
        stream,
        first,
        id: id(item).ok_or_else(|| format!("its commit at {first} has no valid id"))?,
        events: serde_json::from_str(text(item, EVENTS).unwrap_or_default())
            .map_err(|error| format!("the events of its commit at {first} cannot be read: {error}"))?,
        recorded_at: recorded_at(item).ok_or_else(|| format!("its commit at {first} has no valid time"))?,
        prev_hash: hash_of(PREV_HASH)
            .ok_or_else(|| format!("its commit at {first} has no valid previous hash"))?,
        hash: hash_of(HASH).ok_or_else(|| format!("its commit at {first} has no valid hash"))?,
    };
    let events = commit.events.len() as u64;
    match number(item, COUNT) {
        Some(count) if count == events && count > 0 && first.checked_add(count).is_some() => Ok(commit),
        count => {
            let count = count.map_or_else(|| "an unknown number of".to_owned(), |count| count.to_string());
            Err(format!("its commit at {first} states {count} events and has {events}"))
        }
    }
}

/// What an append must know of a stored commit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CommitSummary {
    pub(super) first: u64,
    /// `None` if the item's id is invalid; no append can have such an id.
    pub(super) id: Option<CommitId>,
    /// The stream's head if this is its last commit; `None` if the item is damaged.
    pub(super) head: Option<Head>,
}

impl CommitSummary {
    /// Parses an item that has at least [`FIRST`], [`COUNT`], [`ID`] and [`HASH`].
    pub(super) fn of_item(item: &Item) -> Result<Self, String> {
        let first = first(item).ok_or("a commit has no version")?;
        let last =
            number(item, COUNT).filter(|count| *count > 0).and_then(|count| first.checked_add(count - 1));
        let head = last.zip(hash(item, HASH)).map(|(version, hash)| Head { version, hash });
        Ok(Self { first, id: id(item), head })
    }
}

impl From<&Commit> for CommitSummary {
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

/// Accepts only the form that this program writes.
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
