use std::sync::Arc;
use std::time::Duration;

use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use crate::directory::config::DirectoryConfig;
use crate::directory::{FoundTenant, Tolerance};

/// The ages of [`DirectoryConfig`].
pub(super) struct Ages {
    fresh: Duration,
    hard: Duration,
    stale: Duration,
    pub(super) unknown: Duration,
    lease: Duration,
    retry: Duration,
}

/// A cached tenant and the state of its refreshes.
pub(super) struct Entry {
    tenant: Arc<Tenant>,
    /// The start of the lookup that last confirmed the tenant: it was current then, less the key-value store's delay.
    confirmed_at: Timestamp,
    /// The start of the last refresh.
    refreshed_at: Option<Timestamp>,
    /// The start of the last failed refresh, if nothing was confirmed since.
    failed_at: Option<Timestamp>,
}

/// The cached state of a key.
#[derive(Debug, PartialEq)]
pub(in crate::directory) enum CacheLookup {
    /// Return this.
    Fresh(Arc<Tenant>),
    /// Return this and refresh it in the background.
    RefreshDue(Arc<Tenant>),
    /// Past the hard age: refresh first.
    Expired,
    /// Past the hard age, and a refresh failed recently: do not refresh.
    RecentlyFailed,
    /// The home region did not know the key recently.
    Unknown,
    /// Not cached: call the sources first.
    Missing,
}

/// A source's result is older than the cached tenant, and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::directory) enum Outdated {
    #[error("returned version {found} of the tenant, older than the cached version {cached}")]
    Version { found: u64, cached: u64 },
    #[error("no longer has the key, of which version {cached} is cached")]
    Forgotten { cached: u64 },
}

impl Ages {
    pub(super) fn new(config: &DirectoryConfig) -> Self {
        let DirectoryConfig { fresh, hard, stale, unknown, lease, retry, .. } = *config;
        Self { fresh, hard, stale, unknown, lease, retry }
    }
}

impl Entry {
    pub(super) fn new(tenant: Arc<Tenant>, confirmed_at: Timestamp) -> Self {
        Self { tenant, confirmed_at, refreshed_at: None, failed_at: None }
    }

    /// See [`TenantCache::lookup`](super::TenantCache::lookup).
    pub(super) fn lookup(&mut self, now: Timestamp, ages: &Ages) -> CacheLookup {
        let confirmed = age(now, self.confirmed_at);
        if confirmed <= ages.fresh {
            return CacheLookup::Fresh(self.tenant.clone());
        }
        let refreshed = self.refreshed_at.map(|at| age(now, at));
        if confirmed <= ages.hard {
            if refreshed.is_some_and(|since| since < ages.lease) {
                return CacheLookup::Fresh(self.tenant.clone());
            }
            self.refreshed_at = Some(now);
            return CacheLookup::RefreshDue(self.tenant.clone());
        }
        // A failure is known only after its refresh has ended, so it counts for the lease longer than `retry`.
        let failed = self.failed_at.map(|at| age(now, at));
        if failed.is_some_and(|since| since < ages.lease + ages.retry)
            && refreshed.is_some_and(|since| since < ages.retry)
        {
            return CacheLookup::RecentlyFailed;
        }
        self.refreshed_at = Some(now);
        CacheLookup::Expired
    }

    /// See [`TenantCache::update`](super::TenantCache::update).
    pub(super) fn update(
        &mut self,
        tenant: Tenant,
        started_at: Timestamp,
        ages: &Ages,
    ) -> Result<Arc<Tenant>, Outdated> {
        if tenant.version < self.tenant.version {
            return Err(Outdated::Version { found: tenant.version, cached: self.tenant.version });
        }
        if replaces(&tenant, &self.tenant) {
            self.tenant = Arc::new(tenant);
        }
        // A refresh may end after a later one, so the latest start counts. A confirmation far in the future dates from
        // before the clock was set back.
        let clock_was_set_back = self.confirmed_at.since(started_at) > ages.hard;
        self.confirmed_at = if clock_was_set_back { started_at } else { self.confirmed_at.max(started_at) };
        self.failed_at = None;
        Ok(self.tenant.clone())
    }

    /// The error for a source that does not know the key.
    pub(super) fn forgotten(&self) -> Outdated {
        Outdated::Forgotten { cached: self.tenant.version }
    }

    /// Records that a refresh that started at `started_at` failed, unless a lookup since then confirmed the tenant.
    pub(super) fn record_failure(&mut self, started_at: Timestamp) {
        if self.confirmed_at < started_at {
            self.failed_at = Some(started_at);
        }
    }

    /// See [`TenantCache::unconfirmed`](super::TenantCache::unconfirmed).
    pub(super) fn unconfirmed(
        &self,
        now: Timestamp,
        tolerance: Tolerance,
        ages: &Ages,
    ) -> Option<FoundTenant> {
        let overdue = age(now, self.confirmed_at).saturating_sub(ages.hard);
        let stale_for = (!overdue.is_zero()).then_some(overdue);
        let allowed = match tolerance {
            Tolerance::Strict => Duration::ZERO,
            Tolerance::Stale => ages.stale,
        };
        (overdue <= allowed).then(|| FoundTenant { tenant: self.tenant.clone(), stale_for })
    }
}

/// Whether `found` replaces `cached`, given that it is not older. Of two records with the same version, the one that
/// refuses access is the safe one.
fn replaces(found: &Tenant, cached: &Tenant) -> bool {
    let refuses = |tenant: &Tenant| (tenant.revoked, tenant.suspended);
    found.version > cached.version || refuses(found) > refuses(cached)
}

/// The absolute difference of two timestamps, so that records from before the clock was set back count as old, not as
/// fresh.
pub(super) fn age(now: Timestamp, then: Timestamp) -> Duration {
    now.since(then).max(then.since(now))
}
