//! The application behind ports: what happens after an upload or a change of the log, and the service that the edge calls.
//!
//! | module | contents |
//! |---|---|
//! | [`ports`] | the traits that adapters implement: object store, task launcher, view store, tenant store, project feed, dead letters, KV namespace, pending replications, webhook sender, queue of deliveries |
//! | [`uploads`] | turns S3 event notifications into `upload.completed` and `upload.rejected` |
//! | [`fold_cache`] | the projects' settings, keys and webhook endpoints, folded once and kept up to date |
//! | [`intake`] | moves facts (grants, progress) from a queue or stream into the log, each once |
//! | [`reactions`] | acts on the log: dispatch, retry, cleanup, the ends of worker tasks, the periodic sweep |
//! | [`views`] | computes from the log: status view, project feed, usage, tenant directory and its replication |
//! | [`webhooks`] | sends messages about videos to the tenants' endpoints |
//! | [`audit`] | the transparency log: Merkle tree, tiles, checkpoints and proofs over a project's commits |
//! | [`root_secret`] | derives keys from a secret of the deployment |
//! | [`delivery`] | runs a batch of records with per-item failures, retries, dead letters and quarantine |
//! | [`home_region`] | the service behind the edge: views, commands and tenants of one region |
//! | [`operator`] | the operator's actions: projects and API keys, which events to show, verification |
//!
//! A record of the log's change feed is a hint: every handler reads the stream that the record is about, so duplicates and
//! replays change nothing. This crate contains no AWS SDK, no database and no HTTP server; adapters are in `lambdas` (AWS)
//! and `local` (one machine).

pub mod audit;
pub mod delivery;
pub mod fold_cache;
pub mod home_region;
pub mod intake;
pub mod operator;
pub mod ports;
pub mod reactions;
pub mod root_secret;
#[cfg(feature = "testing")]
pub mod testing;
pub mod uploads;
pub mod views;
pub mod webhooks;
