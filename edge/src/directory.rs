//! The port for looking up API keys, and its implementation at the edge.
//!
//! # The replicated directory
//!
//! [`ReplicatedDirectory`] looks a key up in the isolate's memory, then in the key-value store, then in the home region.
//!
//! | cached state of the key | result |
//! |---|---|
//! | confirmed within `fresh` (10 s) | returned; no source is called |
//! | confirmed within `hard` (60 s) | returned; a refresh starts in the background, and another after `lease` (5 s) if it has not confirmed the key |
//! | older | the caller waits for a refresh. If no source confirms the key: an error, or with [`Tolerance::Stale`] for another `stale` (15 min) the cached tenant with its age. While refreshes fail, one lookup per `retry` (1 s) calls the sources; the others get that result at once |
//! | the home region did not know it within `unknown` (10 s) | unknown; no source is called |
//! | not cached | the caller waits for a first lookup; an error if no source responds |
//!
//! A refresh or first lookup calls the key-value store. Its record is used unless it is older than the cached one. If the
//! store has no record, has an older one, or fails, the home region is called. Only the home region can report that a key
//! is unknown, and only of a key that is not cached: a key's record is never deleted. A record with an older version than
//! the cached one is ignored, from either source; of two records with the same version, the revoked or suspended one is
//! used. Ages count from the start of the lookup that found the record, by the requests' clock. If the clock is set back
//! by more than an age, cached records count as old, not as fresh.
//!
//! ## When a revoked key is refused
//!
//! A request that starts later than
//!
//! > *t* + *D* + `hard`
//!
//! is refused in every isolate, where *t* is when the tombstone (the record with [`Tenant::revoked`]) was written to both
//! the key-value store and the home region's records, and *D* is the key-value store's delay, after which no read and no
//! cached miss is older than the write: 60 seconds "or more" at Cloudflare, and at least the `cacheTtl` of the reads. For
//! playback only, and only while neither source confirms anything, the bound is
//!
//! > *t* + *D* + `hard` + `stale`.
//!
//! The same bounds apply to a suspended project. An isolate that has read the tombstone refuses the key from then on, for
//! as long as it caches the record, whatever the key-value store returns later.
//!
//! ## Requests do not wait for each other
//!
//! On Workers a request's future may be dropped at any time, including work it had started for others. Lookups of one key
//! therefore share results, but never pending calls: concurrent lookups each call the key-value store, which is built for
//! that load. Calls to the home region are limited by counting them when they start, so a dropped call leaves nothing to
//! clean up ([`HomeLimits`]): a few calls per key, and limits on all calls together.
//!
//! ## Invented keys
//!
//! Anyone can invent a key with a valid checksum. Each costs a read of the key-value store and, once per `unknown`, a call
//! to the home region. These calls share one limit for all keys that are not cached. This locks out neither cached keys
//! nor keys in the key-value store: they do not use that limit, and invented keys are never cached as tenants. A key that
//! only the home region knows (younger than *D*, or not cached while the key-value store is down) may have to retry after
//! a second while invented keys use up the limit. Its caller gets an error, never "unknown". A valid key is reported as
//! unknown only until `unknown` after its creation, and only if it was used before it was created.

mod budget;
mod cache;
mod config;
mod replicated;
mod source_error;
mod store;

pub use config::{Allowance, DirectoryConfig, HomeLimits};
pub use replicated::{DirectoryPorts, ReplicatedDirectory};
pub use store::StoredTenants;
pub use streamio_events::tenant::Tenant;

pub use crate::ports::directory::{Directory, DirectoryError, FoundTenant, Tolerance};
pub use crate::ports::key_value_store::KeyValueStore;
pub use crate::ports::tenant_source::{SourceFailures, SourceName, TenantSource};
