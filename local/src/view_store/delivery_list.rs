//! The list of a project's deliveries.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params_from_iter};
use streamio_core::ports::delivery_store::{DeliveryPage, DeliveryStoreError};
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::webhook::Delivery;

use super::SqliteViewStore;
use super::deliveries::{read, scheduled_at};

/// How many deliveries are examined for a page at most, which is one for a request. Other queries wait meanwhile, because there is one connection.
const MAX_EXAMINED: usize = 2000;

/// The order of a list.
const ORDER: &str = "ORDER BY scheduled_at DESC, webhook_id DESC, message_id DESC";

/// A position in a project's list, `{project}.{scheduled_at}.{webhook_id}.{message_id}`.
#[derive(Clone)]
struct Cursor {
    scheduled_at: i64,
    webhook_id: String,
    message_id: String,
}

impl Cursor {
    const NEWEST: Self =
        Self { scheduled_at: i64::MAX, webhook_id: String::new(), message_id: String::new() };

    fn of(delivery: &Delivery) -> Self {
        Self {
            scheduled_at: scheduled_at(delivery),
            webhook_id: delivery.webhook_id.to_string(),
            message_id: delivery.message_id.to_string(),
        }
    }

    fn parse(project_id: &ProjectId, text: &str) -> Result<Self, DeliveryStoreError> {
        let parse = || {
            let mut parts = text.strip_prefix(project_id.as_str())?.strip_prefix('.')?.split('.');
            let scheduled_at = parts.next()?.parse().ok()?;
            let webhook_id: WebhookId = parts.next()?.parse().ok()?;
            let message_id: MessageId = parts.next()?.parse().ok()?;
            let (webhook_id, message_id) = (webhook_id.to_string(), message_id.to_string());
            Some(Self { scheduled_at, webhook_id, message_id })
        };
        // A number has several texts; a cursor has one.
        parse().filter(|it| it.text(project_id) == text).ok_or(DeliveryStoreError::InvalidCursor)
    }

    fn text(&self, project_id: &ProjectId) -> String {
        format!("{project_id}.{}.{}.{}", self.scheduled_at, self.webhook_id, self.message_id)
    }
}

/// Conditions of a query, with their parameters.
#[derive(Clone)]
struct Conditions {
    texts: Vec<String>,
    parameters: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.parameters.push(value.into());
        self.texts.push(format!("{condition} ?{}", self.parameters.len()));
    }

    fn text(&self) -> String {
        self.texts.join(" AND ")
    }
}

/// How a page is found.
struct Scan {
    /// The index that has the examined deliveries in their order, without others between them.
    index: &'static str,
    /// What the examined deliveries fulfil.
    examined: Conditions,
    /// What those of the page fulfil in addition.
    wanted: Vec<(&'static str, Value)>,
}

impl Scan {
    fn new(project_id: &ProjectId, filter: &DeliveryFilter, after: Cursor) -> Self {
        let mut examined = Conditions {
            texts: vec![
                "project_id = ?1 AND (scheduled_at, webhook_id, message_id) < (?2, ?3, ?4)".to_owned(),
            ],
            parameters: vec![
                project_id.to_string().into(),
                after.scheduled_at.into(),
                after.webhook_id.into(),
                after.message_id.into(),
            ],
        };
        let text = |text: &str| Value::from(text.to_owned());
        let by_index = [
            ("deliveries_of_video", "video_id =", filter.video_id.as_ref().map(|id| text(id.as_str()))),
            (
                "deliveries_of_endpoint",
                "webhook_id =",
                filter.webhook_id.as_ref().map(|id| text(id.as_str())),
            ),
            ("deliveries_by_state", "state =", filter.state.map(|state| text(state.as_str()))),
        ];
        let mut index = None;
        let mut wanted = Vec::new();
        for (name, condition, value) in by_index {
            match value {
                Some(value) if index.is_none() => {
                    index = Some(name);
                    examined.add(condition, value);
                }
                Some(value) => wanted.push((condition, value)),
                None => {}
            }
        }
        if let Some(message_type) = filter.message_type {
            wanted.push(("message_type =", text(message_type.as_str())));
        }
        if let Some(from) = filter.from {
            examined.add("scheduled_at >=", from.unix_millis());
        }
        if let Some(to) = filter.to {
            examined.add("scheduled_at <", to.unix_millis());
        }
        Self { index: index.unwrap_or("deliveries_by_time"), examined, wanted }
    }

    /// The query of the position of the last delivery that is examined, if there are as many.
    fn last_examined(&self) -> String {
        format!(
            "SELECT scheduled_at, webhook_id, message_id FROM deliveries INDEXED BY {} WHERE {} {ORDER} LIMIT 1 OFFSET {}",
            self.index,
            self.examined.text(),
            MAX_EXAMINED - 1
        )
    }

    /// The query of at most `limit` rows up to `last`, with its parameters.
    fn rows(&self, last: Option<&Cursor>, limit: usize) -> (String, Vec<Value>) {
        let mut conditions = self.examined.clone();
        for (condition, value) in &self.wanted {
            conditions.add(condition, value.clone());
        }
        if let Some(last) = last {
            let first = conditions.parameters.len() + 1;
            conditions.texts.push(format!(
                "(scheduled_at, webhook_id, message_id) >= (?{first}, ?{}, ?{})",
                first + 1,
                first + 2
            ));
            conditions.parameters.push(last.scheduled_at.into());
            conditions.parameters.push(last.webhook_id.clone().into());
            conditions.parameters.push(last.message_id.clone().into());
        }
        conditions.parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let query = format!(
            "SELECT row FROM deliveries INDEXED BY {} WHERE {} {ORDER} LIMIT ?{}",
            self.index,
            conditions.text(),
            conditions.parameters.len()
        );
        (query, conditions.parameters)
    }
}

/// A page of the list. See [`list_deliveries`](streamio_core::ports::delivery_store::DeliveryStore::list_deliveries).
pub(super) async fn page(
    store: &SqliteViewStore,
    project_id: &ProjectId,
    filter: &DeliveryFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<DeliveryPage, DeliveryStoreError> {
    let after = after.map(|text| Cursor::parse(project_id, text)).transpose()?.unwrap_or(Cursor::NEWEST);
    let scan = Scan::new(project_id, filter, after);
    let (rows, last_examined) = store
        .query(move |connection| {
            // Without a further condition each examined delivery is one of the page.
            let last = if scan.wanted.is_empty() {
                None
            } else {
                connection
                    .prepare_cached(&scan.last_examined())?
                    .query_row(params_from_iter(&scan.examined.parameters), |row| {
                        Ok(Cursor {
                            scheduled_at: row.get(0)?,
                            webhook_id: row.get(1)?,
                            message_id: row.get(2)?,
                        })
                    })
                    .optional()?
            };
            let (query, parameters) = scan.rows(last.as_ref(), limit.saturating_add(1));
            let mut statement = connection.prepare_cached(&query)?;
            let rows = statement.query_map(params_from_iter(parameters), |row| row.get::<_, String>(0))?;
            Ok((rows.collect::<rusqlite::Result<Vec<_>>>()?, last))
        })
        .await?;
    let more = rows.len() > limit;
    let deliveries: Vec<Delivery> = rows.iter().take(limit).filter_map(|text| read(text)).collect();
    let next = if more { deliveries.last().map(Cursor::of) } else { last_examined };
    Ok(DeliveryPage { deliveries, next: next.map(|cursor| cursor.text(project_id)) })
}

#[cfg(test)]
mod tests {
    use streamio_core::ports::delivery_store::DeliveryStore as _;
    use streamio_events::timestamp::Timestamp;
    use streamio_events::webhook::delivery::Scheduled;
    use streamio_events::webhook::{DeliveryState, MessageType, ScheduleCause};

    use super::*;

    /// A delivered message of the project `acme`; the first one, which is the last in the list, is `video.errored` and has failed.
    fn delivery(number: usize) -> Delivery {
        let webhook_id = WebhookId::derived_from(&[b"endpoint"]);
        let message_id = MessageId::derived_from(&[&number.to_string()]);
        let mut delivery = Delivery::new("acme".parse().unwrap(), webhook_id, message_id);
        delivery.version = 1;
        delivery.state = if number == 0 { DeliveryState::Failed } else { DeliveryState::Delivered };
        delivery.scheduled = Some(Scheduled {
            message_type: if number == 0 { MessageType::VideoErrored } else { MessageType::VideoReady },
            video_id: None,
            video_version: None,
            cause: ScheduleCause::Event,
            at: Timestamp::from_unix_seconds(i64::try_from(number).unwrap()),
            body: String::new(),
        });
        delivery
    }

    #[tokio::test]
    async fn a_page_examines_a_bounded_number_of_deliveries() {
        let scratch = tempfile::tempdir().unwrap();
        let store = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
        for number in 0..=2 * MAX_EXAMINED {
            store.put_delivery(&delivery(number)).await.unwrap();
        }
        let acme = "acme".parse().unwrap();
        let errored =
            DeliveryFilter { message_type: Some(MessageType::VideoErrored), ..DeliveryFilter::default() };
        let (mut after, mut counts) = (None::<String>, Vec::new());
        loop {
            let page = page(&store, &acme, &errored, after.as_deref(), 10).await.unwrap();
            counts.push(page.deliveries.len());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(counts, [0, 0, 1], "how many of each part of the list pass the filter");

        let failed = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
        let page = page(&store, &acme, &failed, None, 10).await.unwrap();
        assert_eq!((page.deliveries.len(), page.next), (1, None), "an index has those of one state");
    }
}
