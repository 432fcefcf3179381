//! Names of the tables, the stream, the queue and the buckets.

/// The table of the log.
pub const LEDGER_TABLE: &str = "streamio-ledger";
/// The table of the views.
pub const VIEWS_TABLE: &str = "streamio-views";
/// The stream of facts.
pub const FACTS_STREAM: &str = "streamio-facts";
/// The queue of webhook deliveries.
pub const WEBHOOKS_QUEUE: &str = "streamio-webhooks";
/// The bucket of sources.
pub const RAW_BUCKET: &str = "streamio-raw";
/// The bucket of results.
pub const PROCESSED_BUCKET: &str = "streamio-processed";
