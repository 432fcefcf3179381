//! Appends: one conditional write, and the reads that find its key.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};

use super::capacity::Capacity;
use super::item::{CommitSummary, Item, commit_from_item, item_of};
use super::table::{FIRST, STREAM};
use super::{Inner, unavailable, with_timeout};
use crate::commit::{Commit, Head, NewCommit};
use crate::log::{AppendError, Appended, Expected, ReadError};
use crate::stream::StreamId;

/// How often an append that expects any version may lose a race. Each loss is another client's success; after this
/// many the caller should retry later.
const MAX_RACES: u32 = 64;

/// The result of a conditional write.
enum Put {
    Done,
    /// The key exists; with the existing item if DynamoDB returned it.
    Exists(Option<Item>),
}

/// Another client was faster in every race.
#[derive(Debug, thiserror::Error)]
#[error("other clients appended to the stream {MAX_RACES} times in between")]
struct LostRaces;

impl Inner {
    /// Appends an admitted commit.
    ///
    /// A key is written only when all ids before it are known and the commit's id is not among them. So no id is ever
    /// used twice in a stream, even with concurrent appends.
    pub(super) async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        new: NewCommit,
    ) -> Result<Appended, AppendError> {
        let of_stream = |error| append_error(stream, error);
        let (mut head, mut found) = self.cache().get(stream, &new.id);
        let mut is_current = match expected {
            Expected::Exactly(version) => version == head.version,
            // Most of a stream that was never read is unknown.
            Expected::Any => head != Head::EMPTY,
        };
        for _ in 0..MAX_RACES {
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
                    self.cache().extend(stream, commit.first, [&CommitSummary::from(&commit)]);
                    return Ok(Appended { commit, repeated: false });
                }
                Put::Exists(item) => {
                    // An unreadable item is reported when the stream is read again.
                    if let Some(Ok(there)) = item.as_ref().map(commit_from_item) {
                        self.cache().extend(stream, there.first, [&CommitSummary::from(&there)]);
                        if there.id == new.id {
                            return Ok(Appended { commit: there, repeated: true });
                        }
                        head = there.head();
                    }
                    is_current = false;
                }
            }
        }
        Err(AppendError::Unavailable(LostRaces.into()))
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
        match with_timeout(put.send()).await? {
            Ok(output) => {
                self.spend(Capacity::of_write(output.consumed_capacity()));
                Ok(Put::Done)
            }
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(failed) => Ok(Put::Exists(failed.item)),
                error => Err(ReadError::Unavailable(error.into())),
            },
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads the commit that begins at `first`, which was stored.
    async fn commit_at(&self, stream: &StreamId, first: u64) -> Result<Commit, ReadError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(STREAM, AttributeValue::S(stream.to_string()))
            .key(FIRST, AttributeValue::N(first.to_string()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = with_timeout(get.send()).await?.map_err(unavailable)?;
        self.spend(Capacity::of_read(output.consumed_capacity()));
        match output.item {
            Some(item) => Ok(commit_from_item(&item)?),
            None => Err(ReadError::Damaged {
                stream: stream.to_string(),
                reason: format!("its commit at {first} no longer exists"),
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
