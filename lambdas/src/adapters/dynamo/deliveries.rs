//! The views of webhook deliveries.
//!
//! A delivery is one item. It is in the index [`BY_PROJECT`] in the list of its project and in [`BY_STATE`] in the list of its video, both by
//! the time at which it was first scheduled, which never changes: so both cost one write for each delivery, however many attempts are made.
//! Other filters select from these lists. For [`BY_DUE`] see `deliveries_due`.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_store::{
    DeliveryKey, DeliveryPage, DeliveryStore, DeliveryStoreError, passes,
};
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::delivery::{DeliveryError, load};
use streamio_events::webhook::replay::Replays;
use streamio_events::webhook::status::EndpointHealth;

use super::deliveries_due::due_keys;
use super::item::{InvalidItem, Item, ONLY_ITEM, key, number, number_of, text, text_of};
use super::table::{BY_PROJECT, BY_STATE, DUE, DUE_SHARD, LISTING, PLACE, STATE_LISTING};
use super::{DynamoViews, cursor};

/// The version of the form of [`Delivery`] and of its item; raise it when either changes. A row of another form counts as absent, and
/// replaces one of an older form.
const FORM: u32 = 1;

/// The longest row that is stored in an item, in bytes of JSON. The limit for an item is 400 KB, and its keys take less than one. Forty
/// remembered attempts with answers of 1,024 control characters make a row of 250 KB. A longer one is stored without its JSON; readers fold
/// the stream instead.
const MAX_ROW_BYTES: usize = 380 * 1024;

/// How many deliveries are read at once for a list of which only some are selected: one batch.
const SELECTED_FROM: usize = 100;

/// The most deliveries that are examined for a page of such a list, which is one for a request.
const MAX_EXAMINED: usize = 1_000;

/// From how many bytes of rows on no more are examined for a page of such a list. Rows have one to 250 KB, and are read whole: with the last
/// batch that is at most some 30 MB, and usually 1 MB for the most deliveries.
const MAX_EXAMINED_BYTES: usize = 4 * 1024 * 1024;

/// Sorts after the place of every delivery in a list.
const PAST_ALL_PLACES: &str = "~";

fn delivery_pk(key: &DeliveryKey) -> String {
    let DeliveryKey { project_id, webhook_id, message_id } = key;
    format!("delivery#{project_id}#{webhook_id}#{message_id}")
}

fn key_of(pk: &str) -> Option<DeliveryKey> {
    let mut parts = pk.strip_prefix("delivery#")?.split('#');
    let (project_id, webhook_id, message_id) = (parts.next()?, parts.next()?, parts.next()?);
    let project_id = project_id.parse().ok()?;
    Some(DeliveryKey {
        project_id,
        webhook_id: webhook_id.parse().ok()?,
        message_id: message_id.parse().ok()?,
    })
}

/// A list of a project's deliveries, those that were scheduled last first: all of them, or those about one video.
struct List<'a> {
    project_id: &'a ProjectId,
    filter: &'a DeliveryFilter,
}

impl List<'_> {
    fn index(&self) -> &'static str {
        if self.filter.video_id.is_some() { BY_STATE } else { BY_PROJECT }
    }

    fn partition(&self) -> (&'static str, String) {
        match &self.filter.video_id {
            Some(video_id) => (STATE_LISTING, video_listing(self.project_id, video_id.as_str())),
            None => (LISTING, listing(self.project_id)),
        }
    }

    /// Whether only some deliveries of the list are selected.
    fn is_selective(&self) -> bool {
        let DeliveryFilter { webhook_id, message_type, state, .. } = self.filter;
        webhook_id.is_some() || message_type.is_some() || state.is_some()
    }

    /// Whether the delivery with this key may be selected.
    fn may_select(&self, key: &DeliveryKey) -> bool {
        self.filter.webhook_id.as_ref().is_none_or(|id| *id == key.webhook_id)
    }

    /// The place below which the list is read: that of the cursor, or the end of the filter's time.
    fn below(&self, after: Option<&str>) -> Result<String, DeliveryStoreError> {
        let after = after.map(|cursor| self.place(cursor)).transpose()?;
        let to = self.filter.to.map(|to| to.to_string());
        Ok(after.into_iter().chain(to).min().unwrap_or_else(|| PAST_ALL_PLACES.to_owned()))
    }

    fn cursor(&self, place: &str) -> String {
        cursor::write(&self.partition().1, place)
    }

    fn place(&self, cursor: &str) -> Result<String, DeliveryStoreError> {
        let place = cursor::read(&self.partition().1, cursor).ok_or(DeliveryStoreError::InvalidCursor)?;
        let parse = || {
            let mut parts = place.split('#');
            let at: Timestamp = parts.next()?.parse().ok()?;
            let webhook_id: WebhookId = parts.next()?.parse().ok()?;
            let message_id: MessageId = parts.next()?.parse().ok()?;
            Some(place_of(at, &webhook_id, &message_id))
        };
        parse().filter(|parsed| *parsed == place).ok_or(DeliveryStoreError::InvalidCursor)
    }
}

fn listing(project_id: &ProjectId) -> String {
    format!("deliveries#{project_id}")
}

fn video_listing(project_id: &ProjectId, video_id: &str) -> String {
    format!("deliveries#{project_id}#{video_id}")
}

/// Times have a fixed length, so that the order of the text is that of the time.
fn place_of(at: Timestamp, webhook_id: &WebhookId, message_id: &MessageId) -> String {
    format!("{at}#{webhook_id}#{message_id}")
}

fn row_of(item: &Item) -> Option<Delivery> {
    if number_of(item, "form") != Ok(FORM) {
        return None;
    }
    serde_json::from_str(text_of(item, "row").ok()?).ok()
}

fn item_of(delivery: &Delivery) -> Result<Item, serde_json::Error> {
    let delivery_key = DeliveryKey::of(delivery);
    let mut item = key(delivery_pk(&delivery_key), ONLY_ITEM);
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("form", number(FORM));
    put("version", number(delivery.version));
    let json = serde_json::to_string(delivery)?;
    if json.len() <= MAX_ROW_BYTES {
        put("row", text(json));
    }
    let DeliveryKey { project_id, webhook_id, message_id } = &delivery_key;
    if let Some(scheduled) = &delivery.scheduled {
        put(PLACE, text(place_of(scheduled.at, webhook_id, message_id)));
        put(LISTING, text(listing(project_id)));
        if let Some(video_id) = &scheduled.video_id {
            put(STATE_LISTING, text(video_listing(project_id, video_id.as_str())));
        }
    }
    for (name, value) in delivery.due_at.into_iter().flat_map(|at| due_keys(&delivery_key, at)) {
        put(name, value);
    }
    Ok(item)
}

impl DynamoViews {
    /// The delivery of an item. Folded from the log if the item has no row that this build can read; `None` if the log cannot be understood.
    async fn delivery_or_fold(&self, item: &Item) -> Result<Option<Delivery>, AdapterError> {
        if let Some(row) = row_of(item) {
            return Ok(Some(row));
        }
        let DeliveryKey { project_id, webhook_id, message_id } =
            key_of(text_of(item, "pk")?).ok_or(InvalidItem("pk"))?;
        match load(&*self.log, &project_id, &webhook_id, &message_id).await {
            Ok(mut delivery) => {
                if let Some(scheduled) = &mut delivery.scheduled {
                    scheduled.body.clear();
                }
                Ok(Some(delivery).filter(|delivery| delivery.version > 0))
            }
            Err(error) if error.is_retryable() => Err(error.into()),
            Err(error) => {
                tracing::error!(webhook.id = %webhook_id, message.id = %message_id, error = %error, "the delivery is left out of a list: its events cannot be read");
                Ok(None)
            }
        }
    }

    async fn write_delivery(&self, delivery: &Delivery) -> Result<bool, AdapterError> {
        let put = self
            .put_if(
                delivery,
                "attribute_not_exists(pk) OR #form < :form OR (#form = :form AND #version < :version)",
            )?
            .expression_attribute_names("#form", "form")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":form", number(FORM))
            .expression_attribute_values(":version", number(delivery.version));
        let stored = match put.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => return Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(failed)) => failed.item.unwrap_or_default(),
            Err(error) => return Err(error.into()),
        };
        // A damaged row counts as absent, whatever its version.
        let is_damaged = number_of(&stored, "form") == Ok(FORM) && row_of(&stored).is_none();
        let Some(damaged) = stored.get("row").filter(|_| is_damaged) else { return Ok(false) };
        let put = self.put_if(delivery, "#row = :damaged")?.expression_attribute_names("#row", "row");
        match put
            .expression_attribute_values(":damaged", damaged.clone())
            .send()
            .await
            .map_err(SdkError::into_service_error)
        {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The request that writes a delivery if `condition` holds, and otherwise returns the stored item.
    fn put_if(
        &self,
        delivery: &Delivery,
        condition: &str,
    ) -> Result<PutItemFluentBuilder, serde_json::Error> {
        let put = self.client.put_item().table_name(&*self.table).set_item(Some(item_of(delivery)?));
        let returned = ReturnValuesOnConditionCheckFailure::AllOld;
        Ok(put.condition_expression(condition).return_values_on_condition_check_failure(returned))
    }

    /// Removes a delivery from the index of due ones.
    async fn remove_due_keys(&self, key: &DeliveryKey) -> Result<(), AdapterError> {
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(super::item::key(delivery_pk(key), ONLY_ITEM)))
            .update_expression("REMOVE #shard, #due")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#shard", DUE_SHARD)
            .expression_attribute_names("#due", DUE);
        match update.send().await.map_err(SdkError::into_service_error) {
            Ok(_) | Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// At least `limit` deliveries of a list below a place, each with its place, unless the list ends before. If so many were examined that the
    /// page has to end: fewer, and the place up to which they were examined.
    async fn listed_deliveries(
        &self,
        list: &List<'_>,
        mut below: String,
        limit: usize,
    ) -> Result<(Vec<(String, Delivery)>, Option<String>), AdapterError> {
        let floor = list.filter.from.map(|from| from.to_string()).unwrap_or_default();
        let (mut found, mut examined, mut bytes) = (Vec::new(), 0, 0);
        loop {
            let missing = limit - found.len();
            let amount = if list.is_selective() { missing.max(SELECTED_FROM) } else { missing };
            let (mut entries, mut more) =
                self.entries(list.index(), list.partition(), (PLACE, below.clone()), amount).await?;
            examined += entries.len();
            let places: Vec<String> = entries
                .iter()
                .map(|entry| text_of(entry, PLACE).map(str::to_owned))
                .collect::<Result<_, _>>()?;
            if let Some(end) = places.iter().position(|place| *place < floor) {
                entries.truncate(end);
                more = false;
            }
            let mut pks = Vec::new();
            for entry in &entries {
                let pk = text_of(entry, "pk")?;
                if key_of(pk).is_some_and(|key| list.may_select(&key)) {
                    pks.push(pk.to_owned());
                }
            }
            for item in self.items(&pks).await? {
                bytes += text_of(&item, "row").map_or(0, str::len);
                let delivery = self.delivery_or_fold(&item).await?;
                if let Some(delivery) = delivery.filter(|delivery| passes(list.filter, delivery)) {
                    found.push((text_of(&item, PLACE)?.to_owned(), delivery));
                }
            }
            if !more || found.len() >= limit {
                return Ok((found, None));
            }
            if let Some(last) = places.last() {
                last.clone_into(&mut below);
            }
            if list.is_selective() && (examined >= MAX_EXAMINED || bytes >= MAX_EXAMINED_BYTES) {
                return Ok((found, Some(below)));
            }
        }
    }
}

pub(super) fn unavailable(error: impl Into<AdapterError>) -> DeliveryStoreError {
    DeliveryStoreError::Unavailable(error.into())
}

#[async_trait]
impl DeliveryStore for DynamoViews {
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Delivery>, DeliveryStoreError> {
        match self.item(delivery_pk(key)).await.map_err(unavailable)? {
            // A row that cannot be read counts as absent, so that it is written again.
            Some(item) => Ok(row_of(&item)),
            None => Ok(None),
        }
    }

    async fn put_delivery(&self, delivery: &Delivery) -> Result<bool, DeliveryStoreError> {
        self.write_delivery(delivery).await.map_err(unavailable)
    }

    async fn list_deliveries(
        &self,
        project_id: &ProjectId,
        filter: &DeliveryFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeliveryPage, DeliveryStoreError> {
        let list = List { project_id, filter };
        // One more, to know whether there is a next page.
        let (mut found, examined_to) = self
            .listed_deliveries(&list, list.below(after)?, limit.saturating_add(1))
            .await
            .map_err(unavailable)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let end = if more { found.last().map(|(place, _)| place) } else { examined_to.as_ref() };
        let next = end.map(|place| list.cursor(place));
        Ok(DeliveryPage { deliveries: found.into_iter().map(|(_, delivery)| delivery).collect(), next })
    }

    async fn remove_due(&self, key: &DeliveryKey) -> Result<(), DeliveryStoreError> {
        self.remove_due_keys(key).await.map_err(unavailable)
    }

    async fn put_receiving(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        is_receiving: bool,
        version: u64,
    ) -> Result<(), DeliveryStoreError> {
        self.set_receiving(project_id, webhook_id, is_receiving, version).await.map_err(unavailable)
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        self.due_delivery_keys(now, per_endpoint, limit).await.map_err(unavailable)
    }

    async fn due_to_endpoint(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        self.due_keys_of_endpoint(project_id, webhook_id, now, limit).await.map_err(unavailable)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, DeliveryStoreError> {
        self.next_due_delivery(now).await.map_err(unavailable)
    }

    async fn due_count(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, DeliveryStoreError> {
        self.count_due(project_id, webhook_id, now, limit).await.map_err(unavailable)
    }

    async fn put_replays(&self, replays: &Replays) -> Result<(), DeliveryStoreError> {
        self.write_replays(replays).await.map_err(unavailable)
    }

    async fn active_replays(&self) -> Result<Vec<(ProjectId, WebhookId)>, DeliveryStoreError> {
        self.endpoints_with_replays().await.map_err(unavailable)
    }

    async fn health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        self.endpoint_health(project_id, webhook_id).await.map_err(unavailable)
    }

    async fn add_attempt(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
        error: Option<&DeliveryError>,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        self.add_to_health(project_id, webhook_id, at, error).await.map_err(unavailable)
    }
}
