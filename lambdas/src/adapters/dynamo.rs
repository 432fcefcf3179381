//! Views in DynamoDB: one table with everything that is computed from the log. A rebuild restores all of it, except for what is not in the
//! log: the pending replications, to which a rebuild adds all projects, the slots of projects, and the order of the feeds. If the slots are
//! lost, running attempts are not counted until they end, and attempts that wait are found by the sweep. If the places are lost, commits
//! get other ones: the positions that readers have, and the `seq` of webhooks that were sent, are no longer those of the feed. Restore the
//! table to a point in time before the loss instead.
//!
//! | `pk` | `sk` | item | attributes besides the keys |
//! |---|---|---|---|
//! | `video#{project}#{video}` | `-` | a video's row | `row` JSON, `version`, `form`, the keys of the indexes |
//! | `key#{hash}` | `-` | the tenant of an API key | `tenant` JSON, `version` |
//! | `commits#{project}` | `{place}`, 20 digits | the commit at a place of its project's feed | `stream`, `first`, `events`, `recorded_at`, `latest` |
//! | `place#{stream}` | `{last version}`, 20 digits | the place of a commit in its project's feed | `last`, `feed_place`, `counted` |
//! | `fed#{stream}`, `feed#{project}` | | up to which version an earlier release counted a stream, and its feed, which is not read | `version` |
//! | `places#{project}` | `-` | the next place | `next`, `latest` |
//! | `usage#{project}` | `{yyyy-mm-dd}#{shard}` | the usage of a day | one attribute for each counter |
//! | `usage#{project}` | `total#{shard}` | the bytes of all days | `bytes_uploaded`, `bytes_removed` |
//! | `replays` | `{project}#{endpoint}` | whether an endpoint has an active job that sends messages again | `version`, `active` |
//! | `slots#{project}` | `count` | how many attempts have a slot | `held` |
//! | `slots#{project}` | `held#{video}` | an attempt that has a slot | `attempt` |
//! | `slots#{project}` | `waiting#{since}#{video}` | a place in the queue for slots | |
//! | `delivery#{project}#{webhook}#{message}` | `-` | a delivery of a webhook | `row` JSON, `version`, `form`, the keys of the indexes |
//! | `endpoint#{project}#{webhook}` | `-` | how a webhook endpoint has answered, and whether messages are sent to it | `succeeded_at`, `failures` JSON; `receiving`, `receiving_version` |
//! | `replication-due` | `{due}#{random}` | an entry of the pending replications | `project` |
//! | `pending-replication` | `{project}` | such an entry of an earlier release | `version` |
//! | `dead#{function}` | `{id}` | a dead letter | its fields, `ttl` |
//! | `dead-part#{function}` | `{id}#{part}` | a further part of a long payload | `payload`, `ttl` |
//!
//! Three indexes list videos and deliveries: [`BY_PROJECT`], [`BY_STATE`] and [`BY_DUE`]. They hold keys only. A row that changes without
//! changing its place in a list (above all by a worker's progress) is written once instead of four times, and rows found
//! through an index are read from the table with a consistent read. Indexes are eventually consistent
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.Writes>): a row that is still in an index
//! but no longer belongs there is left out, and one that is not yet in it is listed a moment later (by the sweep: at its next
//! run).

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use streamio_events::log::EventLog;

mod cursor;
mod dead_letters;
mod deliveries;
mod deliveries_due;
mod due;
mod endpoint_health;
mod endpoint_receiving;
mod feed;
mod feed_commits;
mod item;
mod pending;
mod place_queue;
mod places;
mod replays;
mod rows;
mod slots;
mod table;
mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod usage;
mod videos;

use self::place_queue::PlaceQueues;
pub use table::{BY_DUE, BY_PROJECT, BY_STATE, TTL_ATTRIBUTE, create_views_table, views_table, views_ttl};

/// The views in DynamoDB. Cloning is cheap.
#[derive(Clone)]
pub struct DynamoViews {
    client: Client,
    table: Arc<str>,
    log: Arc<dyn EventLog>,
    places: Arc<PlaceQueues>,
}

impl DynamoViews {
    /// The views in `table`, computed from `log`.
    pub fn new(client: Client, table: impl Into<String>, log: Arc<dyn EventLog>) -> Self {
        Self { client, table: table.into().into(), log, places: Arc::default() }
    }
}

impl std::fmt::Debug for DynamoViews {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DynamoViews").field("table", &self.table).finish_non_exhaustive()
    }
}
