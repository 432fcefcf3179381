//! The port to what is known of API keys, and the directory that an isolate at the edge has.
//!
//! # The replicated directory
//!
//! [`ReplicatedDirectory`] asks the isolate's memory, then the key-value store, then the home region.
//!
//! | what is held of the key | what happens |
//! |---|---|
//! | confirmed within `fresh` (10 s) | answered; nothing is asked |
//! | confirmed within `hard` (60 s) | answered; one refresh begins in the background, and after its `lease` (5 s) another, should it not have confirmed anything |
//! | older | the caller waits for a refresh; where nobody confirms it: an error, or for [`Tolerance::Stale`] for another `stale` (15 min) an answer that says how old it is. While refreshes fail, one look-up each `retry` (1 s) asks again, and the others are answered at once |
//! | the home region did not know it within `unknown` (10 s) | unknown; nothing is asked |
//! | nothing | the caller waits for a first look-up; where nobody can tell: an error |
//!
//! A refresh or first look-up asks the key-value store. Its answer stands, unless it is older than what is held. When
//! it has none, or an older one, or fails, the home region is asked. Only the home region can say that a key is
//! unknown, and only of a key of which nothing is held: a key that was ever made has a record for ever. A record with
//! an older version than what is held is passed over, from either source; of two records of one version the one that
//! is revoked or suspended stands. Ages count from the beginning of the look-up that found the record, by the
//! requests' clock. A clock that is set back by more than an age makes what is held old, not fresh.
//!
//! ## When a revoked key is refused
//!
//! A request that begins later than
//!
//! > *t* + *D* + `hard`
//!
//! is refused in every isolate, where *t* is when the tombstone (the record with [`Tenant::revoked`]) was written to
//! the key-value store and to what the home region answers from, and *D* is the key-value store's delay, after which
//! no read and no cached miss is older than the write: 60 seconds "or more" with Cloudflare, and not less than the
//! `cacheTtl` of the reads. Only for playback, and only while neither source confirms anything, it is
//!
//! > *t* + *D* + `hard` + `stale`.
//!
//! The same holds for a suspended project. An isolate that has seen the tombstone refuses from then on, whatever the
//! key-value store answers later, for as long as it holds the record.
//!
//! ## Requests do not wait for each other
//!
//! On Workers a request's future may be dropped at any time, together with whatever it was about to do for others. So
//! look-ups of one key share what was found, never what is still being asked: several that begin at the same time each
//! ask the key-value store, which is made for that. What protects the home region is counted when a call begins and
//! needs no end ([`HomeLimits`]): per isolate a few calls about one key at a time, and bounds on all calls together.
//!
//! ## What junk can do
//!
//! Anyone can make up a key with a right checksum. Each costs a read of the key-value store and, once in `unknown`, a
//! call to the home region, which are bounded for all keys together that are not held. This locks out no key that is
//! held, nor one that the key-value store knows: neither needs that budget, and junk is never held. A key that only
//! the home region knows (younger than *D*, or any key that is not held while the key-value store is down) may have to
//! come back after a second, as often as the junk is faster; it is told that it could not be checked, never that it is
//! unknown. A live key is called unknown only until `unknown` after its creation, and only if it was tried before it.

mod budget;
mod cache;
mod config;
mod replicated;
mod silence;
mod store;

pub use config::{Allowance, DirectoryConfig, HomeLimits};
pub use replicated::{DirectoryPorts, ReplicatedDirectory};
pub use store::StoredTenants;
pub use streamio_events::tenant::Tenant;

pub use crate::ports::directory::{Directory, DirectoryError, Known, Tolerance};
pub use crate::ports::key_value_store::KeyValueStore;
pub use crate::ports::tenant_source::{SourceFailures, SourceName, TenantSource};
