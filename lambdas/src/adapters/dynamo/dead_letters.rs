//! Dead letters, with payloads of any length.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{
    DeadLetter, DeadLetterPage, DeadLetterStore, DeadLetterSummary, DeadLetters,
};
use streamio_events::id::CommitId;

use super::DynamoViews;
use super::item::{InvalidItem, Item, key, number, number_of, text, text_of};
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

#[async_trait]
impl DeadLetterStore for DynamoViews {
    /// The cursor is the sort key of the last one.
    async fn list(
        &self,
        function: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage, AdapterError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk(function)))
            .projection_expression("sk, #id, #at, #reason")
            .expression_attribute_names("#id", "id")
            .expression_attribute_names("#at", "at")
            .expression_attribute_names("#reason", "reason")
            .set_exclusive_start_key(after.map(|sk| key(pk(function), sk)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(true);
        let page = query.send().await?;
        let summaries = page.items.unwrap_or_default();
        let dead_letters = summaries.iter().map(|item| summary(function, item)).collect::<Result<_, _>>()?;
        let last = page.last_evaluated_key.filter(|key| !key.is_empty());
        let next = last.map(|key| text_of(&key, "sk").map(str::to_owned)).transpose()?;
        Ok(DeadLetterPage { dead_letters, next })
    }

    async fn get(&self, function: &'static str, id: &str) -> Result<Option<DeadLetter>, AdapterError> {
        let sk = sk(id);
        let Some(item) = self.item_at(key(pk(function), &sk)).await? else { return Ok(None) };
        let DeadLetterSummary { function, id, at, reason } = summary(function, &item)?;
        let mut payload = text_of(&item, "payload")?.to_owned();
        for part in 2..=number_of(&item, "parts")? {
            // Absent if the dead letter was removed meanwhile, or expires.
            let Some(item) = self.item_at(key(parts_pk(function), part_sk(&sk, part))).await? else {
                return Ok(None);
            };
            payload.push_str(text_of(&item, "payload")?);
        }
        Ok(Some(DeadLetter { function, id, at, reason, payload }))
    }

    /// Its own item is removed first: parts that are left expire, and are the same if the dead letter comes again.
    async fn remove(&self, function: &'static str, id: &str) -> Result<(), AdapterError> {
        let sk = sk(id);
        let delete = self.client.delete_item().table_name(&*self.table).set_key(Some(key(pk(function), &sk)));
        let deleted = delete.return_values(ReturnValue::AllOld).send().await?;
        let parts = deleted.attributes.map_or(Ok(1), |item| number_of(&item, "parts"))?;
        for part in 2..=parts {
            let part = key(parts_pk(function), part_sk(&sk, part));
            self.client.delete_item().table_name(&*self.table).set_key(Some(part)).send().await?;
        }
        Ok(())
    }
}

fn summary(function: &'static str, item: &Item) -> Result<DeadLetterSummary, InvalidItem> {
    Ok(DeadLetterSummary {
        function,
        id: text_of(item, "id")?.to_owned(),
        at: text_of(item, "at")?.parse().map_err(|_| InvalidItem("at"))?,
        reason: text_of(item, "reason")?.to_owned(),
    })
}

impl DynamoViews {
    /// Reads an item consistently.
    async fn item_at(&self, key: Item) -> Result<Option<Item>, AdapterError> {
        let get = self.client.get_item().table_name(&*self.table).set_key(Some(key));
        Ok(get.consistent_read(true).send().await?.item)
    }

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
