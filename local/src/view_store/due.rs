//! Which webhook deliveries are due.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;

/// The endpoints that have pending deliveries: each step of the recursion finds the next one in the index.
const WAITING_ENDPOINTS: &str = "
    WITH RECURSIVE waiting (id) AS (
        SELECT min(webhook_id) FROM deliveries WHERE due_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(webhook_id) FROM deliveries WHERE due_at IS NOT NULL AND webhook_id > waiting.id)
        FROM waiting WHERE waiting.id IS NOT NULL
    )
    SELECT id FROM waiting WHERE id IS NOT NULL";

/// Stores whether messages are sent to an endpoint.
pub(super) fn put_receiving(
    connection: &Connection,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    is_receiving: bool,
) -> rusqlite::Result<()> {
    let statement = if is_receiving {
        "DELETE FROM idle_endpoints WHERE webhook_id = ?1 AND project_id = ?2"
    } else {
        "INSERT OR IGNORE INTO idle_endpoints VALUES (?1, ?2)"
    };
    connection.prepare_cached(statement)?.execute([webhook_id.as_str(), project_id.as_str()]).map(drop)
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
    // What is pending to an endpoint to which no messages are sent is due at any time.
    let of_endpoint = "SELECT project_id, webhook_id, message_id FROM deliveries
        WHERE webhook_id = ?1 AND due_at <= CASE
            WHEN EXISTS (SELECT 1 FROM idle_endpoints WHERE webhook_id = ?1) THEN 9223372036854775807 ELSE ?2 END
        ORDER BY due_at LIMIT ?3";
    let mut endpoints = connection.prepare_cached(WAITING_ENDPOINTS)?;
    let mut due = connection.prepare_cached(of_endpoint)?;
    let mut by_rank: BTreeMap<usize, Vec<DeliveryKey>> = BTreeMap::new();
    for endpoint in endpoints.query_map([], |row| row.get::<_, String>(0))? {
        let rows = due.query_map(params![endpoint?, now.unix_millis(), per_endpoint], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        for (rank, row) in rows.enumerate() {
            by_rank.entry(rank).or_default().extend(key_of(row?));
        }
    }
    Ok(by_rank.into_values().flatten().take(limit).collect())
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

/// The key of a row; `None` if the row is damaged.
fn key_of((project_id, webhook_id, message_id): (String, String, String)) -> Option<DeliveryKey> {
    Some(DeliveryKey {
        project_id: project_id.parse().ok()?,
        webhook_id: webhook_id.parse().ok()?,
        message_id: message_id.parse().ok()?,
    })
}
