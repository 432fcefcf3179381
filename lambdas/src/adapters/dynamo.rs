//! Views in DynamoDB: one table for all that is computed from the log, and nothing in it is truth that a rebuild would not
//! bring back. Which projects' keys the edge lacks is not in the log: a rebuild notes all projects.
//!
//! | `pk` | `sk` | what | beside the keys |
//! |---|---|---|---|
//! | `video#{project}#{video}` | `-` | a video's row | `row` JSON, `version`, `form`, the keys of the indexes |
//! | `key#{hash}` | `-` | the tenant of an API key | `tenant` JSON, `version` |
//! | `feed#{project}` | `{stamp}#{stream}` | a commit's place in its project's feed | `stream`, `first`, `events` |
//! | `fed#{stream}` | `-` | how far a stream is in the feed and the usage | `version`, `stamp` |
//! | `usage#{project}` | `{yyyy-mm-dd}#{shard}` | what was used that day | a counter each |
//! | `pending-replication` | `{project}` | a project whose keys the edge lacks | `version` |
//! | `dead#{function}` | `{id}` | what could not be handled | the letter, `ttl` |
//! | `dead-part#{function}` | `{id}#{part}` | what is too long for that item | `payload`, `ttl` |
//!
//! Three indexes list videos: [`BY_PROJECT`], [`BY_STATE`] and [`BY_DUE`]. They hold keys only: a row that changes without
//! changing its place in any list (a worker's progress, most of all) is written once and not four times, and what is read
//! through an index is read from the table, by its key and as it is now. DynamoDB brings indexes up to date a moment after
//! the table
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.Writes>), which is relied on nowhere: a
//! row that an index still names is left out when it no longer belongs there, and one that it does not name yet is in the
//! list a moment later (for the sweep: at its next turn).

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use streamio_events::log::EventLog;

mod cursor;
mod feed;
mod feed_page;
mod item;
mod letters;
mod pending;
mod rows;
mod table;
mod tenants;
mod usage;
mod videos;

pub use table::{BY_DUE, BY_PROJECT, BY_STATE, TTL_ATTRIBUTE, create_views_table, views_table, views_ttl};

/// The views in DynamoDB. Cloning is cheap.
#[derive(Clone)]
pub struct DynamoViews {
    client: Client,
    table: Arc<str>,
    log: Arc<dyn EventLog>,
}

impl DynamoViews {
    /// The views in `table`, computed from `log`.
    pub fn new(client: Client, table: impl Into<String>, log: Arc<dyn EventLog>) -> Self {
        Self { client, table: table.into().into(), log }
    }
}

impl std::fmt::Debug for DynamoViews {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DynamoViews").field("table", &self.table).finish_non_exhaustive()
    }
}
