use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use streamio_events::id::CommitId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::item::{Item, key, number, number_of, text, text_of};
use super::table::TTL_ATTRIBUTE;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};

/// How long a letter is kept. What nobody has looked at by then, nobody will.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// The longest piece of a payload in one item, in bytes. An item may have 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;

/// The longest reason that is kept, in bytes: what remains of the item.
const MAX_REASON_BYTES: usize = 16 * 1024;

/// The longest id that is a sort key as it is, in bytes; a sort key may have 1,024.
const MAX_ID_BYTES: usize = 900;

fn pk(function: &str) -> String {
    format!("dead#{function}")
}

/// What is too long for its letter lies under another key, so that no letter's id is the name of another's part.
fn parts_pk(function: &str) -> String {
    format!("dead-part#{function}")
}

/// The sort key of a part, from 2: the first is in the letter itself.
fn part_sk(letter: &str, part: u32) -> String {
    format!("{letter}#{part:06}")
}

/// The sort key of the letter itself.
fn sk(id: &str) -> String {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        id.to_owned()
    } else {
        CommitId::derived_from(&["dead letter", id]).to_string()
    }
}

/// The beginning of `whole` with at most `bytes` bytes, and the rest.
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
    /// The letter's own item is written last: where it is, all parts of its payload are.
    async fn keep(&self, letter: DeadLetter) -> Result<(), AdapterError> {
        let (pk, sk) = (pk(letter.function), sk(&letter.id));
        let ttl = number(u64::try_from(letter.at.plus(KEPT_FOR).unix_seconds())?);
        let parts = parts(&letter.payload);
        for (part, payload) in (1u32..).zip(&parts).skip(1) {
            let mut item = key(parts_pk(letter.function), part_sk(&sk, part));
            item.insert("payload".to_owned(), text(*payload));
            item.insert(TTL_ATTRIBUTE.to_owned(), ttl.clone());
            self.put_new(item).await?;
        }
        let mut item = key(pk, sk);
        item.insert("id".to_owned(), text(&letter.id));
        item.insert("at".to_owned(), text(letter.at.to_string()));
        item.insert("reason".to_owned(), text(split(&letter.reason, MAX_REASON_BYTES).0));
        item.insert("payload".to_owned(), text(parts[0]));
        item.insert("parts".to_owned(), number(u32::try_from(parts.len())?));
        item.insert(TTL_ATTRIBUTE.to_owned(), ttl);
        self.put_new(item).await
    }
}

impl DynamoViews {
    /// Puts an item unless there is one under its key.
    async fn put_new(&self, item: Item) -> Result<(), AdapterError> {
        let request = self.client.put_item().table_name(&*self.table).set_item(Some(item));
        let written = request.condition_expression("attribute_not_exists(pk)").send().await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// All letters of a function, by their ids.
    pub async fn letters(&self, function: &'static str) -> Result<Vec<DeadLetter>, AdapterError> {
        let mut letters = Vec::new();
        for item in self.items_between(pk(function), "!", "~").await? {
            let mut payload = text_of(&item, "payload")?.to_owned();
            let (sk, parts) = (text_of(&item, "sk")?, number_of::<u32>(&item, "parts")?);
            if parts > 1 {
                let (second, last) = (part_sk(sk, 2), part_sk(sk, parts));
                for part in self.items_between(parts_pk(function), &second, &last).await? {
                    payload.push_str(text_of(&part, "payload")?);
                }
            }
            letters.push(DeadLetter {
                function,
                id: text_of(&item, "id")?.to_owned(),
                at: text_of(&item, "at")?.parse::<Timestamp>()?,
                reason: text_of(&item, "reason")?.to_owned(),
                payload,
            });
        }
        Ok(letters)
    }

    async fn items_between(&self, pk: String, first: &str, last: &str) -> Result<Vec<Item>, AdapterError> {
        let pages = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        Ok(pages.try_collect().await?)
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
