//! Appends: one conditional write, and what it takes to know its place.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};

use super::capacity::Capacity;
use super::item::{Item, Link, commit_from_item, item_of};
use super::table::{FIRST, STREAM};
use super::{Inner, in_time, unavailable};
use crate::commit::{Commit, Head, NewCommit};
use crate::log::{AppendError, Appended, Expected, ReadError};
use crate::stream::StreamId;

/// How often an append that expects nothing may lose its place to another. Each loss is somebody else's success; whoever
/// loses this often is better tried again later.
const MOST_RACES: u32 = 64;

/// What became of a conditional write.
enum Put {
    Done,
    /// The place is taken: by this item, if DynamoDB said so.
    Taken(Option<Item>),
}

/// Others were quicker every time.
#[derive(Debug, thiserror::Error)]
#[error("others appended to the stream {MOST_RACES} times in between")]
struct Outrun;

impl Inner {
    /// Appends what has been admitted.
    ///
    /// A place is written to only when all ids before it are known and the commit's is not among them; so no id is ever used
    /// twice in a stream, whoever appends at the same time.
    pub(super) async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        new: NewCommit,
    ) -> Result<Appended, AppendError> {
        let of_stream = |error| append_error(stream, error);
        let (mut head, mut found) = self.memory().look_up(stream, &new.id);
        let mut is_current = match expected {
            Expected::Exactly(version) => version == head.version,
            // Of a stream that was never read, most is missing.
            Expected::Any => head != Head::EMPTY,
        };
        for _ in 0..MOST_RACES {
            if found.is_none() && !is_current {
                let caught_up = self.catch_up(stream, head, &new.id).await.map_err(of_stream)?;
                (head, found) = (caught_up.head, caught_up.found);
            }
            if let Some(first) = found {
                let commit = self.commit_at(stream, first).await.map_err(of_stream)?;
                return Ok(Appended { commit, repeated: true });
            }
            if let Expected::Exactly(expected) = expected
                && expected != head.version
            {
                return Err(AppendError::Conflict { stream: stream.clone(), expected, actual: head.version });
            }
            let commit = Commit::following(stream.clone(), head, new.clone());
            match self.put(&commit).await.map_err(of_stream)? {
                Put::Done => {
                    self.memory().learn(stream, commit.first, [&Link::from(&commit)]);
                    return Ok(Appended { commit, repeated: false });
                }
                Put::Taken(item) => {
                    // What cannot be read here is met again when the stream is caught up with.
                    if let Some(Ok(there)) = item.as_ref().map(commit_from_item) {
                        self.memory().learn(stream, there.first, [&Link::from(&there)]);
                        if there.id == new.id {
                            return Ok(Appended { commit: there, repeated: true });
                        }
                        head = there.head();
                    }
                    is_current = false;
                }
            }
        }
        Err(AppendError::Unavailable(Outrun.into()))
    }

    async fn put(&self, commit: &Commit) -> Result<Put, ReadError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(commit)))
            .condition_expression("attribute_not_exists(#first)")
            .expression_attribute_names("#first", FIRST)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match in_time(put.send()).await? {
            Ok(output) => {
                self.spend(Capacity::of_write(output.consumed_capacity()));
                Ok(Put::Done)
            }
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(taken) => Ok(Put::Taken(taken.item)),
                error => Err(ReadError::Unavailable(error.into())),
            },
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The commit that begins at `first`, which was there.
    async fn commit_at(&self, stream: &StreamId, first: u64) -> Result<Commit, ReadError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(STREAM, AttributeValue::S(stream.to_string()))
            .key(FIRST, AttributeValue::N(first.to_string()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = in_time(get.send()).await?.map_err(unavailable)?;
        self.spend(Capacity::of_read(output.consumed_capacity()));
        match output.item {
            Some(item) => Ok(commit_from_item(&item)?),
            None => Err(ReadError::Damaged {
                stream: stream.to_string(),
                reason: format!("its commit at {first} is there no more"),
            }),
        }
    }
}

fn append_error(stream: &StreamId, error: ReadError) -> AppendError {
    match error {
        ReadError::Unavailable(source) => AppendError::Unavailable(source),
        ReadError::Damaged { reason, .. } | ReadError::InvalidCursor(reason) => {
            AppendError::Damaged { stream: stream.clone(), reason }
        }
    }
}
