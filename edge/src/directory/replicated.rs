//! The directory at the edge.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use super::budget::HomeBudget;
use super::cache::{Cache, Finding};
use super::config::DirectoryConfig;
use super::silence::{FailedBefore, Reason, Silence, Unconfirmed};
use crate::config::InvalidConfig;
use crate::ports::directory::{Directory, DirectoryError, Known, Tolerance};
use crate::ports::tenant_source::{SourceFailures, SourceName, TenantSource};
use crate::ports::{Background, Cause};

/// What a [`ReplicatedDirectory`] uses of the outside.
#[derive(Clone)]
pub struct DirectoryPorts {
    /// The tenants in the key-value store near the edge.
    pub store: Arc<dyn TenantSource>,
    /// The tenants in the home region.
    pub home: Arc<dyn TenantSource>,
    /// Where refreshes go on after the answer has left.
    pub background: Arc<dyn Background>,
    /// Who is told that a source failed.
    pub failures: Arc<dyn SourceFailures>,
}

/// The directory of an isolate far from the home region, as [the module](super) describes it. There is one for all
/// requests of the isolate.
///
/// It holds at most [`DirectoryConfig::held_tenants`] tenants at about half a KiB each, as many unknown keys as
/// [`DirectoryConfig::unknown_keys`] at about 150 bytes, and counts of calls for as many keys as the larger of the two
/// at about 150 bytes: with the defaults less than 10 MB.
pub struct ReplicatedDirectory {
    shared: Arc<Shared>,
}

/// What background refreshes share with the directory.
struct Shared {
    ports: DirectoryPorts,
    cache: Cache,
    budget: HomeBudget,
}

impl ReplicatedDirectory {
    /// A directory that remembers nothing yet.
    pub fn new(config: &DirectoryConfig, ports: DirectoryPorts) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let (cache, budget) = (Cache::new(config), HomeBudget::new(config));
        Ok(Self { shared: Arc::new(Shared { ports, cache, budget }) })
    }

    fn refresh_in_background(&self, key: KeyHash, began: Timestamp) {
        let shared = Arc::clone(&self.shared);
        self.shared.ports.background.spawn(Box::pin(async move {
            // The sources' failures were told where they happened, and a later look-up tries again.
            let _ = shared.confirm(&key, began).await;
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
    ) -> Result<Option<Known>, DirectoryError> {
        let cache = &self.shared.cache;
        let error: Cause = match cache.find(key, now) {
            Finding::Fresh(tenant) => return Ok(Some(Known { tenant, stale_for: None })),
            Finding::Aging(tenant) => {
                self.refresh_in_background(*key, now);
                return Ok(Some(Known { tenant, stale_for: None }));
            }
            Finding::Unknown => return Ok(None),
            Finding::Failing => FailedBefore.into(),
            Finding::Overdue | Finding::Nothing => match self.shared.confirm(key, now).await {
                Ok(found) => return Ok(found.map(|tenant| Known { tenant, stale_for: None })),
                Err(error) => error.into(),
            },
        };
        cache.unconfirmed(key, now, tolerance).map(Some).ok_or(DirectoryError(error))
    }
}

impl Shared {
    /// Asks the sources for a look-up that began at `began`. `None` is a key that the home region does not know.
    async fn confirm(&self, key: &KeyHash, began: Timestamp) -> Result<Option<Arc<Tenant>>, Unconfirmed> {
        let store = match self.ask_store(key, began).await {
            Ok(tenant) => return Ok(Some(tenant)),
            Err(silence) => silence,
        };
        self.ask_home(key, began).await.map_err(|home| {
            self.cache.failed(key, began);
            Unconfirmed { store, home }
        })
    }

    async fn ask_store(&self, key: &KeyHash, began: Timestamp) -> Result<Arc<Tenant>, Silence> {
        let silence = |reason| Silence { source: SourceName::KeyValueStore, reason };
        match self.ports.store.tenant(key).await {
            // An older record, or none, is what a store with a delay may well answer.
            Ok(Some(tenant)) => {
                self.cache.admit(key, tenant, began).map_err(|older| silence(Reason::Outdated(older)))
            }
            Ok(None) => Err(silence(Reason::Missing)),
            Err(cause) => Err(self.told(silence(Reason::Failed(cause)))),
        }
    }

    async fn ask_home(&self, key: &KeyHash, began: Timestamp) -> Result<Option<Arc<Tenant>>, Silence> {
        let silence = |reason| Silence { source: SourceName::HomeRegion, reason };
        if !self.budget.allows(key, self.cache.holds(key), began) {
            return Err(silence(Reason::Limited));
        }
        let admitted = match self.ports.home.tenant(key).await {
            // What the store holds under a key's name is checked where it is read.
            Ok(Some(tenant)) if tenant.key_id != key.key_id() => Err(Reason::OtherKey),
            Ok(Some(tenant)) => self.cache.admit(key, tenant, began).map(Some).map_err(Reason::Outdated),
            Ok(None) => self.cache.admit_unknown(key, began).map(|()| None).map_err(Reason::Outdated),
            Err(cause) => Err(Reason::Failed(cause)),
        };
        admitted.map_err(|reason| self.told(silence(reason)))
    }

    fn told(&self, silence: Silence) -> Silence {
        self.ports.failures.source_failed(silence.source, &silence);
        silence
    }
}
