//! The replicated directory.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use super::budget::HomeBudget;
use super::cache::{CacheLookup, TenantCache};
use super::config::DirectoryConfig;
use super::source_error::{Reason, RecentlyFailed, SourceError, Unconfirmed};
use crate::config::InvalidConfig;
use crate::ports::directory::{Directory, DirectoryError, FoundTenant, Tolerance};
use crate::ports::tenant_source::{SourceFailures, SourceName, TenantSource};
use crate::ports::{Background, Cause};

/// The ports of a [`ReplicatedDirectory`].
#[derive(Clone)]
pub struct DirectoryPorts {
    /// The tenants in the key-value store near the edge.
    pub store: Arc<dyn TenantSource>,
    /// The tenants in the home region.
    pub home: Arc<dyn TenantSource>,
    /// Runs refreshes after the response has been sent.
    pub background: Arc<dyn Background>,
    /// Reports failures of the sources.
    pub failures: Arc<dyn SourceFailures>,
}

/// The directory of an isolate far from the home region; see [the module](super). All requests of the isolate share it.
///
/// Memory: at most [`DirectoryConfig::max_tenants`] tenants of about 512 bytes, [`DirectoryConfig::max_unknown_keys`]
/// unknown keys of about 150 bytes, and call counts for the larger number of keys of about 150 bytes: less than 10 MB with
/// the defaults.
pub struct ReplicatedDirectory {
    shared: Arc<Shared>,
}

/// State shared with background refreshes.
struct Shared {
    ports: DirectoryPorts,
    cache: TenantCache,
    budget: HomeBudget,
}

impl ReplicatedDirectory {
    /// A directory with an empty cache.
    pub fn new(config: &DirectoryConfig, ports: DirectoryPorts) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let (cache, budget) = (TenantCache::new(config), HomeBudget::new(config));
        Ok(Self { shared: Arc::new(Shared { ports, cache, budget }) })
    }

    fn refresh_in_background(&self, key: KeyHash, started_at: Timestamp) {
        let shared = Arc::clone(&self.shared);
        self.shared.ports.background.spawn(Box::pin(async move {
            // Failures were reported already, and a later lookup retries.
            let _ = shared.confirm(&key, started_at).await;
        }));
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Directory for ReplicatedDirectory {
    async fn lookup(
        &self,
        key: &KeyHash,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> Result<Option<FoundTenant>, DirectoryError> {
        let cache = &self.shared.cache;
        let error: Cause = match cache.lookup(key, now) {
            CacheLookup::Fresh(tenant) => return Ok(Some(FoundTenant { tenant, stale_for: None })),
            CacheLookup::RefreshDue(tenant) => {
                self.refresh_in_background(*key, now);
                return Ok(Some(FoundTenant { tenant, stale_for: None }));
            }
            CacheLookup::Unknown => return Ok(None),
            CacheLookup::RecentlyFailed => RecentlyFailed.into(),
            CacheLookup::Expired | CacheLookup::Missing => match self.shared.confirm(key, now).await {
                Ok(found) => return Ok(found.map(|tenant| FoundTenant { tenant, stale_for: None })),
                Err(error) => error.into(),
            },
        };
        cache.unconfirmed(key, now, tolerance).map(Some).ok_or(DirectoryError(error))
    }
}

impl Shared {
    /// Calls the sources for a lookup that started at `started_at`. Returns `None` if the home region does not know the key.
    async fn confirm(
        &self,
        key: &KeyHash,
        started_at: Timestamp,
    ) -> Result<Option<Arc<Tenant>>, Unconfirmed> {
        let store = match self.fetch_from_store(key, started_at).await {
            Ok(tenant) => return Ok(Some(tenant)),
            Err(error) => error,
        };
        self.fetch_from_home(key, started_at).await.map_err(|home| {
            self.cache.record_failure(key, started_at);
            Unconfirmed { store, home }
        })
    }

    async fn fetch_from_store(
        &self,
        key: &KeyHash,
        started_at: Timestamp,
    ) -> Result<Arc<Tenant>, SourceError> {
        let error = |reason| SourceError { source: SourceName::KeyValueStore, reason };
        match self.ports.store.tenant(key).await {
            // Not reported as failures: the store's delay explains an older record or none.
            Ok(Some(tenant)) => {
                self.cache.update(key, tenant, started_at).map_err(|older| error(Reason::Outdated(older)))
            }
            Ok(None) => Err(error(Reason::Missing)),
            Err(cause) => Err(self.report(error(Reason::Failed(cause)))),
        }
    }

    async fn fetch_from_home(
        &self,
        key: &KeyHash,
        started_at: Timestamp,
    ) -> Result<Option<Arc<Tenant>>, SourceError> {
        let error = |reason| SourceError { source: SourceName::HomeRegion, reason };
        if !self.budget.try_acquire(key, self.cache.contains(key), started_at) {
            return Err(error(Reason::Limited));
        }
        let result = match self.ports.home.tenant(key).await {
            // Checked here for the home region only: `Tenant::from_stored` checks the store's records.
            Ok(Some(tenant)) if tenant.key_id != key.key_id() => Err(Reason::OtherKey),
            Ok(Some(tenant)) => {
                self.cache.update(key, tenant, started_at).map(Some).map_err(Reason::Outdated)
            }
            Ok(None) => self.cache.update_unknown(key, started_at).map(|()| None).map_err(Reason::Outdated),
            Err(cause) => Err(Reason::Failed(cause)),
        };
        result.map_err(|reason| self.report(error(reason)))
    }

    fn report(&self, error: SourceError) -> SourceError {
        self.ports.failures.source_failed(error.source, &error);
        error
    }
}
