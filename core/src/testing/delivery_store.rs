//! The views of webhook deliveries in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::delivery::DeliveryError;
use streamio_events::webhook::replay::Replays;
use streamio_events::webhook::status::EndpointHealth;

use crate::ports::delivery_store::{DeliveryKey, DeliveryPage, DeliveryStore, DeliveryStoreError, passes};

/// The views of deliveries in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryDeliveries(std::sync::Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: BTreeMap<DeliveryKey, Delivery>,
    health: BTreeMap<(ProjectId, WebhookId), EndpointHealth>,
    /// Whether messages are sent to an endpoint, and the version of the project's endpoints that states it.
    receiving: BTreeMap<(ProjectId, WebhookId), (u64, bool)>,
    /// The version of an endpoint's replays, and whether one is active.
    replays: BTreeMap<(ProjectId, WebhookId), (u64, bool)>,
}

/// The position of a delivery in a list.
fn position(delivery: &Delivery) -> String {
    let at = delivery.scheduled.as_ref().map(|scheduled| scheduled.at).unwrap_or_default();
    format!("{}.{at}.{}.{}", delivery.project_id, delivery.webhook_id, delivery.message_id)
}

#[async_trait]
impl DeliveryStore for MemoryDeliveries {
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Delivery>, DeliveryStoreError> {
        Ok(self.0.lock().unwrap().rows.get(key).cloned())
    }

    async fn put_delivery(&self, delivery: &Delivery) -> Result<bool, DeliveryStoreError> {
        let mut state = self.0.lock().unwrap();
        let key = DeliveryKey::of(delivery);
        let newer = state.rows.get(&key).is_none_or(|known| known.version < delivery.version);
        if newer {
            let mut row = delivery.clone();
            if let Some(scheduled) = &mut row.scheduled {
                scheduled.body.clear();
            }
            state.rows.insert(key, row);
        }
        Ok(newer)
    }

    async fn list_deliveries(
        &self,
        project_id: &ProjectId,
        filter: &DeliveryFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeliveryPage, DeliveryStoreError> {
        let state = self.0.lock().unwrap();
        let mut rows: Vec<&Delivery> =
            state.rows.values().filter(|row| row.project_id == *project_id).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(position(row)));
        if let Some(after) = after {
            let known = rows.iter().position(|row| position(row) == after);
            let end = known.ok_or(DeliveryStoreError::InvalidCursor)?;
            rows.drain(..=end);
        }
        rows.retain(|row| passes(filter, row));
        let next = rows.get(limit.wrapping_sub(1)).filter(|_| rows.len() > limit).map(|row| position(row));
        Ok(DeliveryPage { deliveries: rows.into_iter().take(limit).cloned().collect(), next })
    }

    async fn remove_due(&self, key: &DeliveryKey) -> Result<(), DeliveryStoreError> {
        if let Some(row) = self.0.lock().unwrap().rows.get_mut(key) {
            row.due_at = None;
        }
        Ok(())
    }

    async fn put_receiving(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        is_receiving: bool,
        version: u64,
    ) -> Result<(), DeliveryStoreError> {
        let key = (project_id.clone(), webhook_id.clone());
        let mut state = self.0.lock().unwrap();
        let stored = state.receiving.entry(key).or_default();
        if stored.0 < version {
            *stored = (version, is_receiving);
        }
        Ok(())
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        let state = self.0.lock().unwrap();
        let is_idle = |row: &Delivery| {
            let endpoint = (row.project_id.clone(), row.webhook_id.clone());
            state.receiving.get(&endpoint).is_some_and(|(_, is_receiving)| !is_receiving)
        };
        let is_due = |row: &&Delivery| row.due_at.is_some_and(|at| at <= now || is_idle(row));
        let mut due: Vec<&Delivery> = state.rows.values().filter(is_due).collect();
        due.sort_by_key(|row| row.due_at);
        let mut ranks: BTreeMap<&WebhookId, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, DeliveryKey)> = due
            .into_iter()
            .map(|row| {
                let rank = ranks.entry(&row.webhook_id).or_default();
                *rank += 1;
                (*rank, DeliveryKey::of(row))
            })
            .filter(|(rank, _)| *rank <= per_endpoint)
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        Ok(ranked.into_iter().take(limit).map(|(_, key)| key).collect())
    }

    async fn due_to_endpoint(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        let mut due = self.due_deliveries(now, usize::MAX, usize::MAX).await?;
        due.retain(|key| key.project_id == *project_id && key.webhook_id == *webhook_id);
        due.truncate(limit);
        Ok(due)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, DeliveryStoreError> {
        let state = self.0.lock().unwrap();
        Ok(state.rows.values().filter_map(|row| row.due_at).filter(|at| *at > now).min())
    }

    async fn due_count(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, DeliveryStoreError> {
        let state = self.0.lock().unwrap();
        let of_endpoint = state
            .rows
            .iter()
            .filter(|(key, _)| key.project_id == *project_id && key.webhook_id == *webhook_id);
        Ok(of_endpoint.filter(|(_, row)| row.due_at.is_some_and(|at| at <= now)).take(limit).count())
    }

    async fn put_replays(&self, replays: &Replays) -> Result<(), DeliveryStoreError> {
        let key = (replays.project_id.clone(), replays.webhook_id.clone());
        let row = (replays.version, replays.active().is_some());
        let mut state = self.0.lock().unwrap();
        let stored = state.replays.entry(key).or_insert(row);
        if stored.0 < row.0 {
            *stored = row;
        }
        Ok(())
    }

    async fn active_replays(&self) -> Result<Vec<(ProjectId, WebhookId)>, DeliveryStoreError> {
        let state = self.0.lock().unwrap();
        Ok(state.replays.iter().filter(|(_, (_, active))| *active).map(|(key, _)| key.clone()).collect())
    }

    async fn health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        let key = (project_id.clone(), webhook_id.clone());
        Ok(self.0.lock().unwrap().health.get(&key).cloned().unwrap_or_default())
    }

    async fn add_attempt(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
        error: Option<&DeliveryError>,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        let mut state = self.0.lock().unwrap();
        let health = state.health.entry((project_id.clone(), webhook_id.clone())).or_default();
        health.add(at, error);
        Ok(health.clone())
    }
}
