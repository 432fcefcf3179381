use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_events::id::CommitId;

use super::DynamoViews;
use super::item::{Item, key, number, text};
use super::table::TTL_ATTRIBUTE;

/// How long a dead letter is kept: 30 days for an operator to handle it.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// The longest part of a payload in one item, in bytes. The limit for an item is 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;

/// The longest reason that is stored, in bytes: the rest of the item.
const MAX_REASON_BYTES: usize = 16 * 1024;

/// The longest id that is used as the sort key, in bytes. The limit for a sort key is 1,024.
const MAX_ID_BYTES: usize = 900;

fn pk(function: &str) -> String {
    format!("dead#{function}")
}

/// The partition key of further parts. It differs from that of dead letters, so that no id collides with the sort key of a
/// part.
fn parts_pk(function: &str) -> String {
    format!("dead-part#{function}")
}

/// The sort key of a part, from 2: the first part is in the dead letter's own item.
fn part_sk(dead_letter: &str, part: u32) -> String {
    format!("{dead_letter}#{part:06}")
}

/// The sort key of the dead letter's own item: its id, or a hash of an id that is too long.
fn sk(id: &str) -> String {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        id.to_owned()
    } else {
        CommitId::derived_from(&["dead letter", id]).to_string()
    }
}

/// Splits `whole` after at most `bytes` bytes.
fn split(whole: &str, bytes: usize) -> (&str, &str) {
    whole.split_at(whole.floor_char_boundary(bytes))
}

fn parts(payload: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), payload);
    loop {
        let (part, after) = split(rest, MAX_PART_BYTES);
        parts.push(part);
        rest = after;
        if rest.is_empty() {
            return parts;
        }
    }
}

#[async_trait]
impl DeadLetters for DynamoViews {
    /// The dead letter's own item is written last: if it exists, all parts of its payload do.
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        let (pk, sk) = (pk(dead_letter.function), sk(&dead_letter.id));
        let ttl = number(u64::try_from(dead_letter.at.plus(KEPT_FOR).unix_seconds())?);
        let parts = parts(&dead_letter.payload);
        for (part, payload) in (1u32..).zip(&parts).skip(1) {
            let mut item = key(parts_pk(dead_letter.function), part_sk(&sk, part));
            item.insert("payload".to_owned(), text(*payload));
            item.insert(TTL_ATTRIBUTE.to_owned(), ttl.clone());
            self.put_new(item).await?;
        }
        let mut item = key(pk, sk);
        item.insert("id".to_owned(), text(&dead_letter.id));
        item.insert("at".to_owned(), text(dead_letter.at.to_string()));
        item.insert("reason".to_owned(), text(split(&dead_letter.reason, MAX_REASON_BYTES).0));
        item.insert("payload".to_owned(), text(parts[0]));
        item.insert("parts".to_owned(), number(u32::try_from(parts.len())?));
        item.insert(TTL_ATTRIBUTE.to_owned(), ttl);
        self.put_new(item).await
    }
}

impl DynamoViews {
    /// Puts `item` unless its key exists.
    async fn put_new(&self, item: Item) -> Result<(), AdapterError> {
        let request = self.client.put_item().table_name(&*self.table).set_item(Some(item));
        let written = request.condition_expression("attribute_not_exists(pk)").send().await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_payload_are_the_payload(some in ".{0,9}", times in 0usize..200_000) {
            let payload = some.repeat(times.min(1_000_000 / some.len().max(1)));
            let parts = parts(&payload);
            prop_assert!(parts.iter().all(|part| part.len() <= MAX_PART_BYTES));
            prop_assert_eq!(parts.concat(), payload);
        }
    }
}
