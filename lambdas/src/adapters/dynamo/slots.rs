//! The slots of projects.
//!
//! The items of a project are one partition, which takes 1,000 writes a second. A slot that is taken or released is a transaction of two
//! items, which costs four writes, so that a project with a limit may begin some 100 attempts a second.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use streamio_core::ports::AdapterError;
use streamio_core::ports::encode_slots::{EncodeSlots, EncodeSlotsError, SlotHolder, Waiting};
use streamio_events::id::{ProjectId, VideoId};

use super::DynamoViews;
use super::item::{InvalidItem, Item, key, number, number_of, text, text_of};
use crate::adapters::pauses::pauses;

/// The sort key of the item that counts the slots that are held.
const COUNT: &str = "count";
/// The prefix of the sort keys of slots.
const HELD: &str = "held#";
/// The prefix of the sort keys of the queue.
const WAITING: &str = "waiting#";

fn pk(project_id: &ProjectId) -> String {
    format!("slots#{project_id}")
}

fn slot_key(project_id: &ProjectId, video_id: &VideoId) -> Item {
    key(pk(project_id), format!("{HELD}{video_id}"))
}

/// Times have a fixed length, so that the order of the text is the order of the queue.
fn waiting_key(project_id: &ProjectId, waiting: &Waiting) -> Item {
    key(pk(project_id), format!("{WAITING}{}#{}", waiting.since, waiting.video_id))
}

/// The attempt as one number, in the order of the attempts of a video.
fn attempt_number(holder: &SlotHolder) -> u64 {
    u64::from(holder.generation) << 32 | u64::from(holder.attempt)
}

fn holder_of(item: &Item) -> Result<SlotHolder, InvalidItem> {
    let video_id = text_of(item, "sk")?.strip_prefix(HELD).and_then(|id| id.parse().ok());
    let attempt: u64 = number_of(item, "attempt")?;
    let half = |number: u64| u32::try_from(number).map_err(|_| InvalidItem("attempt"));
    let (generation, attempt) = (half(attempt >> 32)?, half(attempt & u64::from(u32::MAX))?);
    Ok(SlotHolder { video_id: video_id.ok_or(InvalidItem("sk"))?, generation, attempt })
}

fn waiting_of(item: &Item) -> Result<Waiting, InvalidItem> {
    let parse = |sk: &str| {
        let (since, video_id) = sk.strip_prefix(WAITING)?.split_once('#')?;
        Some(Waiting { since: since.parse().ok()?, video_id: video_id.parse().ok()? })
    };
    parse(text_of(item, "sk")?).ok_or(InvalidItem("sk"))
}

/// The outcome of a transaction about a slot.
enum Outcome {
    Done,
    /// The slot is not what it was when it was read.
    Changed,
    /// All slots are held.
    Full,
}

/// Other processes change the slots of the project all the time.
#[derive(Debug, thiserror::Error)]
#[error("other processes change the slots of the project all the time")]
struct Conflicts;

impl DynamoViews {
    /// The number of the attempt of the video that has a slot.
    async fn slot(&self, project_id: &ProjectId, video_id: &VideoId) -> Result<Option<u64>, AdapterError> {
        let request = self.client.get_item().table_name(&*self.table).consistent_read(true);
        let item = request.set_key(Some(slot_key(project_id, video_id))).send().await?.item;
        Ok(item.map(|item| number_of(&item, "attempt")).transpose()?)
    }

    async fn take_slot(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<bool, AdapterError> {
        let attempt = attempt_number(holder);
        let mut pauses = pauses();
        loop {
            let outcome = match self.slot(project_id, &holder.video_id).await? {
                Some(held) if held >= attempt => return Ok(true),
                Some(held) => self.pass_slot(project_id, holder, held).await?,
                None if most == 0 => return Ok(false),
                None => self.add_slot(project_id, holder, most).await?,
            };
            match outcome {
                Outcome::Done => return Ok(true),
                Outcome::Full => return Ok(false),
                Outcome::Changed => tokio::time::sleep(pauses.next().ok_or(Conflicts)?).await,
            }
        }
    }

    /// Passes the slot from the attempt `held` to `holder`.
    async fn pass_slot(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        held: u64,
    ) -> Result<Outcome, AdapterError> {
        let update = self.client.update_item().table_name(&*self.table);
        let update = update
            .set_key(Some(slot_key(project_id, &holder.video_id)))
            .update_expression("SET #attempt = :attempt")
            .condition_expression("#attempt = :held")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_values(":attempt", number(attempt_number(holder)))
            .expression_attribute_values(":held", number(held));
        match update.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Outcome::Done),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Outcome::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a slot for a video without one, if fewer than `most` are held. `most` is not zero.
    async fn add_slot(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<Outcome, AdapterError> {
        let mut item = slot_key(project_id, &holder.video_id);
        item.insert("attempt".to_owned(), number(attempt_number(holder)));
        let put = Put::builder().table_name(&*self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)").build()?;
        let count = Update::builder().table_name(&*self.table).set_key(Some(key(pk(project_id), COUNT)));
        let count = count
            .update_expression("ADD #held :one")
            .condition_expression("attribute_not_exists(#held) OR #held < :most")
            .expression_attribute_names("#held", "held")
            .expression_attribute_values(":one", number(1_u32))
            .expression_attribute_values(":most", number(most))
            .build()?;
        let items = [
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(count).build(),
        ];
        self.change_slots(items).await
    }

    async fn release_slot(&self, project_id: &ProjectId, holder: &SlotHolder) -> Result<bool, AdapterError> {
        let attempt = attempt_number(holder);
        let mut pauses = pauses();
        let mut is_tried = false;
        loop {
            if self.slot(project_id, &holder.video_id).await?.is_none_or(|held| held > attempt) {
                // A slot that is gone after a transaction may have been released by it: its response may be lost.
                return Ok(is_tried);
            }
            is_tried = true;
            let delete = Delete::builder()
                .table_name(&*self.table)
                .set_key(Some(slot_key(project_id, &holder.video_id)))
                .condition_expression("#attempt <= :attempt")
                .expression_attribute_names("#attempt", "attempt")
                .expression_attribute_values(":attempt", number(attempt))
                .build()?;
            let count = Update::builder()
                .table_name(&*self.table)
                .set_key(Some(key(pk(project_id), COUNT)))
                .update_expression("SET #held = #held - :one")
                .expression_attribute_names("#held", "held")
                .expression_attribute_values(":one", number(1_u32))
                .build()?;
            let items = [
                TransactWriteItem::builder().delete(delete).build(),
                TransactWriteItem::builder().update(count).build(),
            ];
            match self.change_slots(items).await? {
                Outcome::Done => return Ok(true),
                Outcome::Changed | Outcome::Full => {
                    tokio::time::sleep(pauses.next().ok_or(Conflicts)?).await;
                }
            }
        }
    }

    /// Writes a slot and the number of slots that are held.
    async fn change_slots(&self, items: [TransactWriteItem; 2]) -> Result<Outcome, AdapterError> {
        let request = self.client.transact_write_items().set_transact_items(Some(items.to_vec()));
        let Err(error) = request.send().await.map_err(SdkError::into_service_error) else {
            return Ok(Outcome::Done);
        };
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = &error else {
            let is_repeatable = error.is_transaction_in_progress_exception();
            return if is_repeatable { Ok(Outcome::Changed) } else { Err(error.into()) };
        };
        let is_refused = |index: usize| {
            let reason = cancelled.cancellation_reasons().get(index);
            reason.and_then(|reason| reason.code()) == Some("ConditionalCheckFailed")
        };
        let is_conflict = cancelled
            .cancellation_reasons()
            .iter()
            .any(|reason| reason.code() == Some("TransactionConflict"));
        if is_refused(0) || is_conflict {
            Ok(Outcome::Changed)
        } else if is_refused(1) {
            Ok(Outcome::Full)
        } else {
            Err(error.into())
        }
    }

    /// The first `limit` items of the project whose sort keys begin with `prefix`, with a consistent read.
    async fn slot_items(
        &self,
        project_id: &ProjectId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Item>, AdapterError> {
        let mut found = Vec::new();
        let mut from = None;
        while found.len() < limit {
            let page = self
                .client
                .query()
                .table_name(&*self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", text(pk(project_id)))
                .expression_attribute_values(":prefix", text(prefix))
                .limit(i32::try_from(limit - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from)
                .consistent_read(true)
                .send()
                .await?;
            found.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

fn unavailable(error: impl Into<AdapterError>) -> EncodeSlotsError {
    EncodeSlotsError(error.into())
}

#[async_trait]
impl EncodeSlots for DynamoViews {
    async fn take(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<bool, EncodeSlotsError> {
        self.take_slot(project_id, holder, most).await.map_err(unavailable)
    }

    async fn release(&self, project_id: &ProjectId, holder: &SlotHolder) -> Result<bool, EncodeSlotsError> {
        self.release_slot(project_id, holder).await.map_err(unavailable)
    }

    async fn holders(&self, project_id: &ProjectId) -> Result<Vec<SlotHolder>, EncodeSlotsError> {
        let items = self.slot_items(project_id, HELD, usize::MAX).await.map_err(unavailable)?;
        items.iter().map(holder_of).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn enqueue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        let put = self.client.put_item().table_name(&*self.table);
        let put = put.set_item(Some(waiting_key(project_id, waiting)));
        put.send().await.map(|_| ()).map_err(unavailable)
    }

    async fn queue(&self, project_id: &ProjectId, limit: usize) -> Result<Vec<Waiting>, EncodeSlotsError> {
        let items = self.slot_items(project_id, WAITING, limit).await.map_err(unavailable)?;
        items.iter().map(waiting_of).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn dequeue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        let delete = self.client.delete_item().table_name(&*self.table);
        let delete = delete.set_key(Some(waiting_key(project_id, waiting)));
        delete.send().await.map(|_| ()).map_err(unavailable)
    }
}
