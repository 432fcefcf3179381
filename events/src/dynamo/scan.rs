//! Reads of the whole table, in parts.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::capacity::Capacity;
use super::item::{DamagedItem, Item, commit_from_item};
use super::table::{FIRST, STREAM};
use super::{Inner, unavailable, with_timeout};
use crate::commit::Commit;
use crate::log::{LogPage, Part, ReadError};
use crate::stream::StreamId;

/// Maximum number of segments of a scan
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html>). With more parts each part reads
/// the whole table and skips the streams of other parts.
const MAX_SEGMENTS: u32 = 1_000_000;

/// A page of a scan that goes on after damaged commits.
#[derive(Debug)]
pub struct ScannedPage {
    /// The commits, those of one stream in order, and what is damaged.
    pub commits: Vec<Result<Commit, DamagedItem>>,
    /// The cursor of the next page of the same part; `None` at the end.
    pub next: Option<String>,
}

impl Inner {
    pub(super) async fn scan(
        &self,
        part: Part,
        after: Option<&str>,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        if let Some(cursor) = after {
            check_cursor(cursor)?;
        }
        let ScannedPage { commits, next } = self.scan_streams(part, None, after, limit).await?;
        Ok(LogPage { commits: commits.into_iter().collect::<Result<_, _>>()?, next })
    }

    /// Scans the streams whose names begin with `prefix`. A page may end at a damaged item, so a cursor may name what is no stream.
    pub(super) async fn scan_streams(
        &self,
        part: Part,
        prefix: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScannedPage, ReadError> {
        let mut start = after.map(key_of).transpose()?;
        let has_segment = part.of() <= MAX_SEGMENTS;
        let (segment, of) = if has_segment { (part.index(), part.of()) } else { (0, 1) };
        loop {
            let mut scan = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .segment(segment_number(segment))
                .total_segments(segment_number(of))
                .set_exclusive_start_key(start);
            if let Some(prefix) = prefix {
                scan = scan
                    .filter_expression("begins_with(#stream, :prefix)")
                    .expression_attribute_names("#stream", STREAM)
                    .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
            }
            let output = with_timeout(scan.send()).await?.map_err(|error| match after {
                // The cursor is the only part of the request that can be wrong.
                Some(cursor) if is_invalid(&error) => ReadError::InvalidCursor(cursor.to_owned()),
                _ => unavailable(error),
            })?;
            self.spend(Capacity::of_read(output.consumed_capacity()));
            let mut commits = Vec::new();
            for item in output.items.unwrap_or_default() {
                let commit = commit_from_item(&item);
                let is_of_part = |commit: &Commit| part.holds(Part::slot(&commit.stream));
                if has_segment || commit.as_ref().map_or(true, is_of_part) {
                    commits.push(commit);
                }
            }
            let last = output.last_evaluated_key.filter(|key| !key.is_empty());
            if last.is_none() || !commits.is_empty() {
                return Ok(ScannedPage { commits, next: last.as_ref().map(cursor_of).transpose()? });
            }
            start = last;
        }
    }
}

/// Converts a number of segments, which is at most [`MAX_SEGMENTS`].
fn segment_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn is_invalid<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ValidationException")
}

/// Formats the key of the last read item as a cursor: `{first}@{stream}`.
fn cursor_of(key: &Item) -> Result<String, ReadError> {
    let stream = key.get(STREAM).and_then(|stream| stream.as_s().ok());
    let first = key.get(FIRST).and_then(|first| first.as_n().ok());
    match (stream, first) {
        (Some(stream), Some(first)) => Ok(format!("{first}@{stream}")),
        _ => Err(ReadError::Unavailable("DynamoDB returned a page without the key at which it ends".into())),
    }
}

fn key_of(cursor: &str) -> Result<HashMap<String, AttributeValue>, ReadError> {
    let (first, stream) =
        cursor.split_once('@').ok_or_else(|| ReadError::InvalidCursor(cursor.to_owned()))?;
    Ok(HashMap::from([
        (STREAM.to_owned(), AttributeValue::S(stream.to_owned())),
        (FIRST.to_owned(), AttributeValue::N(first.to_owned())),
    ]))
}

/// Whether a page of valid commits can have this cursor.
fn check_cursor(cursor: &str) -> Result<(), ReadError> {
    let is_valid = cursor.split_once('@').is_some_and(|(first, stream)| {
        let version: Option<u64> = first.parse().ok();
        version.is_some_and(|version| version > 0 && version.to_string() == first)
            && stream.parse::<StreamId>().is_ok()
    });
    if is_valid { Ok(()) } else { Err(ReadError::InvalidCursor(cursor.to_owned())) }
}
