//! Which webhook deliveries are due.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;

use super::columns::ReceivingColumns;

/// The endpoints that have pending deliveries: each step of the recursion finds the next one in the index.
const WAITING_ENDPOINTS: &str = "
    WITH RECURSIVE waiting (id) AS (
        SELECT min(webhook_id) FROM deliveries WHERE due_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(webhook_id) FROM deliveries WHERE due_at IS NOT NULL AND webhook_id > waiting.id)
        FROM waiting WHERE waiting.id IS NOT NULL
    )
    SELECT id FROM waiting WHERE id IS NOT NULL";

/// What is due to an endpoint. What is pending to one to which no messages are sent is due at any time.
const DUE_OF_ENDPOINT: &str = "SELECT project_id, webhook_id, message_id FROM deliveries
    WHERE webhook_id = ?1 AND due_at <= CASE
        WHEN EXISTS (SELECT 1 FROM receiving_endpoints WHERE webhook_id = ?1 AND is_receiving = 0)
        THEN 9223372036854775807 ELSE ?2 END
    ORDER BY due_at LIMIT ?3";

/// Stores whether messages are sent to an endpoint, unless it is known of this version or a later one.
pub(super) fn put_receiving(
    connection: &Connection,
    (project_id, webhook_id): &(ProjectId, WebhookId),
    is_receiving: bool,
    version: i64,
) -> rusqlite::Result<()> {
    let (project_id, webhook_id) = (project_id.to_string(), webhook_id.to_string());
    ReceivingColumns { project_id, webhook_id, version, is_receiving }.write(connection)
}

/// Makes a delivery due at no time.
pub(super) fn remove(connection: &Connection, key: &DeliveryKey) -> rusqlite::Result<()> {
    let update =
        "UPDATE deliveries SET due_at = NULL WHERE project_id = ?1 AND webhook_id = ?2 AND message_id = ?3";
    let parameters = [key.project_id.as_str(), key.webhook_id.as_str(), key.message_id.as_str()];
    connection.prepare_cached(update)?.execute(parameters).map(drop)
}

/// The deliveries that are due at `now`: of each endpoint at most `per_endpoint`, at most `limit` in total, and of each endpoint one before
/// any has two.
pub(super) fn deliveries(
    connection: &Connection,
    now: Timestamp,
    per_endpoint: usize,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryKey>> {
    let per_endpoint = i64::try_from(per_endpoint).unwrap_or(i64::MAX);
    let mut endpoints = connection.prepare_cached(WAITING_ENDPOINTS)?;
    let mut due = connection.prepare_cached(DUE_OF_ENDPOINT)?;
    let mut by_rank: BTreeMap<usize, Vec<DeliveryKey>> = BTreeMap::new();
    for endpoint in endpoints.query_map([], |row| row.get::<_, String>(0))? {
        let rows = due.query_map(params![endpoint?, now.unix_millis(), per_endpoint], key_columns)?;
        for (rank, row) in rows.enumerate() {
            by_rank.entry(rank).or_default().extend(key_of(row?));
        }
    }
    Ok(by_rank.into_values().flatten().take(limit).collect())
}

/// The deliveries to an endpoint that are due at `now`, longest overdue first, at most `limit`.
pub(super) fn to_endpoint(
    connection: &Connection,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryKey>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters = params![webhook_id.as_str(), now.unix_millis(), limit];
    let mut due = connection.prepare_cached(DUE_OF_ENDPOINT)?;
    let rows = due.query_map(parameters, key_columns)?;
    let keys = rows.map(|row| row.map(key_of)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(keys.into_iter().flatten().filter(|key| key.project_id == *project_id).collect())
}

/// When the next delivery is due that is due after `now`.
pub(super) fn next(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let of_endpoint = "SELECT min(due_at) FROM deliveries WHERE webhook_id = ?1 AND due_at > ?2";
    let mut endpoints = connection.prepare_cached(WAITING_ENDPOINTS)?;
    let mut next = connection.prepare_cached(of_endpoint)?;
    let mut first: Option<i64> = None;
    for endpoint in endpoints.query_map([], |row| row.get::<_, String>(0))? {
        let due: Option<i64> = next.query_row(params![endpoint?, now.unix_millis()], |row| row.get(0))?;
        first = first.into_iter().chain(due).min();
    }
    Ok(first.map(Timestamp::from_unix_millis))
}

/// How many deliveries to an endpoint are due at `now`, counted up to `limit`.
pub(super) fn count(
    connection: &Connection,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<usize> {
    let query = "SELECT count(*) FROM (
        SELECT 1 FROM deliveries WHERE webhook_id = ?1 AND due_at <= ?2 AND project_id = ?3 LIMIT ?4)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters = params![webhook_id.as_str(), now.unix_millis(), project_id.as_str(), limit];
    let count: i64 = connection.prepare_cached(query)?.query_row(parameters, |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn key_columns(row: &Row<'_>) -> rusqlite::Result<(String, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// The key of a row; `None` if the row is damaged.
fn key_of((project_id, webhook_id, message_id): (String, String, String)) -> Option<DeliveryKey> {
    Some(DeliveryKey {
        project_id: project_id.parse().ok()?,
        webhook_id: webhook_id.parse().ok()?,
        message_id: message_id.parse().ok()?,
    })
}
