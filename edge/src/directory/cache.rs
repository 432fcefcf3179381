//! The tenants that one isolate caches. No lock is held across an `await`.

mod entry;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use self::entry::{Ages, Entry, age};
use super::config::DirectoryConfig;
use crate::bounded;
use crate::ports::directory::{FoundTenant, Tolerance};

pub(super) use entry::{CacheLookup, Outdated};

pub(super) struct TenantCache {
    ages: Ages,
    entries: Mutex<Entries>,
}

/// A key is never in both caches.
struct Entries {
    tenants: LruCache<KeyHash, Entry>,
    /// Keys that the home region did not know, by the start of that lookup.
    unknown: LruCache<KeyHash, Timestamp>,
}

impl TenantCache {
    pub(super) fn new(config: &DirectoryConfig) -> Self {
        let capacity = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let entries = Entries {
            tenants: bounded::cache(capacity(config.max_tenants)),
            unknown: bounded::cache(capacity(config.max_unknown_keys)),
        };
        Self { ages: Ages::new(config), entries: Mutex::new(entries) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic while the lock was held cannot have left an inconsistent entry.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached state of `key`. For [`CacheLookup::RefreshDue`] and [`CacheLookup::Expired`], records that the caller
    /// starts a refresh now.
    pub(super) fn lookup(&self, key: &KeyHash, now: Timestamp) -> CacheLookup {
        let entries = &mut *self.entries();
        if let Some(entry) = entries.tenants.get_mut(key) {
            return entry.lookup(now, &self.ages);
        }
        let is_unknown = entries.unknown.get(key).is_some_and(|at| age(now, *at) <= self.ages.unknown);
        if is_unknown { CacheLookup::Unknown } else { CacheLookup::Missing }
    }

    /// Whether a tenant is cached for `key`.
    pub(super) fn contains(&self, key: &KeyHash) -> bool {
        self.entries().tenants.contains(key)
    }

    /// Caches `tenant`, which a source returned to a lookup that started at `started_at`. Returns the tenant that is cached
    /// afterwards; fails if `tenant` is older than the cached one.
    pub(super) fn update(
        &self,
        key: &KeyHash,
        tenant: Tenant,
        started_at: Timestamp,
    ) -> Result<Arc<Tenant>, Outdated> {
        let entries = &mut *self.entries();
        if let Some(entry) = entries.tenants.get_mut(key) {
            return entry.update(tenant, started_at, &self.ages);
        }
        entries.unknown.pop(key);
        let tenant = Arc::new(tenant);
        entries.tenants.put(*key, Entry::new(tenant.clone(), started_at));
        Ok(tenant)
    }

    /// Caches that the home region did not know `key` in a lookup that started at `started_at`. Fails if a tenant is cached
    /// for `key`.
    pub(super) fn update_unknown(&self, key: &KeyHash, started_at: Timestamp) -> Result<(), Outdated> {
        let entries = &mut *self.entries();
        if let Some(entry) = entries.tenants.peek(key) {
            return Err(entry.forgotten());
        }
        entries.unknown.put(*key, started_at);
        Ok(())
    }

    /// Records that a refresh of `key` that started at `started_at` failed.
    pub(super) fn record_failure(&self, key: &KeyHash, started_at: Timestamp) {
        if let Some(entry) = self.entries().tenants.peek_mut(key) {
            entry.record_failure(started_at);
        }
    }

    /// The cached tenant, if no source confirmed the key: one that a concurrent lookup found in the meantime, or an older
    /// one if `tolerance` allows its age.
    pub(super) fn unconfirmed(
        &self,
        key: &KeyHash,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> Option<FoundTenant> {
        self.entries().tenants.peek(key)?.unconfirmed(now, tolerance, &self.ages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use streamio_events::api_key::ApiKey;

    fn key(number: u16) -> KeyHash {
        let mut random = [0; 32];
        random[..2].copy_from_slice(&number.to_be_bytes());
        ApiKey::generate("live", random).unwrap().hash()
    }

    fn tenant(version: u64, revoked: bool, suspended: bool) -> Tenant {
        Tenant {
            project_id: "acme".parse().unwrap(),
            key_id: key(1).key_id(),
            scopes: vec![],
            expires_at: None,
            revoked,
            suspended,
            measured: None,
            version,
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + millis)
    }

    fn cache() -> TenantCache {
        TenantCache::new(&DirectoryConfig {
            max_tenants: 3,
            max_unknown_keys: 3,
            ..DirectoryConfig::default()
        })
    }

    fn kind(lookup: &CacheLookup) -> &'static str {
        match lookup {
            CacheLookup::Fresh(_) => "fresh",
            CacheLookup::RefreshDue(_) => "refresh due",
            CacheLookup::Expired => "expired",
            CacheLookup::RecentlyFailed => "recently failed",
            CacheLookup::Unknown => "unknown",
            CacheLookup::Missing => "missing",
        }
    }

    #[test]
    fn each_age_has_its_state() {
        for (age, expected) in [
            (0, "fresh"),
            (10_000, "fresh"),
            (10_001, "refresh due"),
            (60_000, "refresh due"),
            (60_001, "expired"),
            (-10_000, "fresh"),
            (-10_001, "refresh due"),
            (-60_001, "expired"),
        ] {
            let cache = cache();
            cache.update(&key(1), tenant(1, false, false), at(100_000)).unwrap();
            assert_eq!(kind(&cache.lookup(&key(1), at(100_000 + age))), expected, "{age} ms");
        }
    }

    #[test]
    fn one_refresh_starts_per_lease_even_if_the_last_one_was_lost() {
        let cache = cache();
        cache.update(&key(1), tenant(1, false, false), at(0)).unwrap();
        let started: Vec<i64> = (10_001..60_000)
            .step_by(250)
            .filter(|now| kind(&cache.lookup(&key(1), at(*now))) == "refresh due")
            .collect();
        assert_eq!(started, (10_001..60_000).step_by(5_000).collect::<Vec<_>>());
    }

    #[test]
    fn past_the_hard_age_all_lookups_refresh_until_one_fails_and_then_one_per_second() {
        let cache = cache();
        cache.update(&key(1), tenant(1, false, false), at(0)).unwrap();
        assert_eq!(cache.lookup(&key(1), at(61_000)), CacheLookup::Expired);
        assert_eq!(cache.lookup(&key(1), at(61_000)), CacheLookup::Expired);
        cache.record_failure(&key(1), at(61_000));
        assert_eq!(cache.lookup(&key(1), at(61_999)), CacheLookup::RecentlyFailed);
        assert_eq!(cache.lookup(&key(1), at(62_000)), CacheLookup::Expired);
        assert_eq!(cache.lookup(&key(1), at(62_001)), CacheLookup::RecentlyFailed);
        cache.update(&key(1), tenant(1, false, false), at(62_000)).unwrap();
        assert_eq!(kind(&cache.lookup(&key(1), at(62_001))), "fresh");
        cache.record_failure(&key(1), at(62_000));
        assert_eq!(cache.lookup(&key(1), at(130_000)), CacheLookup::Expired);
        assert_eq!(cache.lookup(&key(1), at(130_001)), CacheLookup::Expired);
        cache.record_failure(&key(1), at(130_000));
        assert_eq!(cache.lookup(&key(1), at(130_002)), CacheLookup::RecentlyFailed);
        assert_eq!(cache.lookup(&key(1), at(136_000)), CacheLookup::Expired);
        assert_eq!(cache.lookup(&key(1), at(136_001)), CacheLookup::Expired, "an old failure does not count");
    }

    #[test]
    fn an_unconfirmed_tenant_is_returned_within_its_bounds_with_its_age() {
        let cache = cache();
        let unconfirmed = |age, tolerance| {
            cache
                .unconfirmed(&key(1), at(age), tolerance)
                .map(|known| known.stale_for.map(|by| by.as_millis()))
        };
        assert_eq!(unconfirmed(0, Tolerance::Stale), None);
        cache.update(&key(1), tenant(1, false, false), at(0)).unwrap();
        assert_eq!(unconfirmed(60_000, Tolerance::Strict), Some(None));
        assert_eq!(unconfirmed(60_001, Tolerance::Strict), None);
        assert_eq!(unconfirmed(60_000, Tolerance::Stale), Some(None));
        assert_eq!(unconfirmed(60_001, Tolerance::Stale), Some(Some(1)));
        assert_eq!(unconfirmed(960_000, Tolerance::Stale), Some(Some(900_000)));
        assert_eq!(unconfirmed(960_001, Tolerance::Stale), None);
    }

    #[test]
    fn an_unknown_key_is_cached_for_its_age_or_until_it_is_found() {
        let cache = cache();
        cache.update_unknown(&key(1), at(0)).unwrap();
        assert_eq!(cache.lookup(&key(1), at(10_000)), CacheLookup::Unknown);
        assert_eq!(cache.lookup(&key(1), at(10_001)), CacheLookup::Missing);
        cache.update(&key(1), tenant(4, false, false), at(0)).unwrap();
        assert_eq!(kind(&cache.lookup(&key(1), at(0))), "fresh");
        assert_eq!(cache.update_unknown(&key(1), at(0)), Err(Outdated::Forgotten { cached: 4 }));
        assert_eq!(kind(&cache.lookup(&key(1), at(0))), "fresh");
    }

    #[test]
    fn of_equal_versions_the_one_that_refuses_access_is_kept() {
        for refusing in [tenant(5, true, false), tenant(5, false, true)] {
            for order in [[&tenant(5, false, false), &refusing], [&refusing, &tenant(5, false, false)]] {
                let cache = cache();
                cache.update(&key(1), order[0].clone(), at(0)).unwrap();
                assert_eq!(*cache.update(&key(1), order[1].clone(), at(1)).unwrap(), refusing);
            }
        }
    }

    #[test]
    fn a_late_result_does_not_age_a_later_confirmation_unless_the_clock_was_set_back() {
        let cache = cache();
        cache.update(&key(1), tenant(1, false, false), at(50_000)).unwrap();
        cache.update(&key(1), tenant(1, false, false), at(10_000)).unwrap();
        assert_eq!(kind(&cache.lookup(&key(1), at(60_000))), "fresh");
        cache.update(&key(1), tenant(1, false, false), at(-20_000)).unwrap();
        assert_eq!(kind(&cache.lookup(&key(1), at(-20_000))), "fresh");
        assert_eq!(kind(&cache.lookup(&key(1), at(50_000))), "expired");
    }

    proptest! {
        #[test]
        fn versions_never_go_back_and_an_older_one_confirms_nothing(
            results in prop::collection::vec((0u64..6, any::<bool>(), any::<bool>(), 1i64..40_000), 1..40),
        ) {
            let cache = cache();
            let (mut now, mut confirmed, mut newest) = (0, 0, None::<Tenant>);
            for (version, revoked, suspended, wait) in results {
                now += wait;
                let updated = cache.update(&key(1), tenant(version, revoked, suspended), at(now));
                match &newest {
                    Some(cached) if version < cached.version => {
                        prop_assert_eq!(updated, Err(Outdated::Version { found: version, cached: cached.version }));
                    }
                    _ => {
                        let updated = updated.unwrap();
                        prop_assert_eq!(updated.version, version);
                        if let Some(cached) = newest.filter(|cached| cached.version == version) {
                            prop_assert!((updated.revoked, updated.suspended) >= (cached.revoked, cached.suspended));
                        }
                        (confirmed, newest) = (now, Some((*updated).clone()));
                    }
                }
                let fresh = now - confirmed <= 10_000;
                prop_assert!(kind(&cache.lookup(&key(1), at(now))) == "fresh" || !fresh);
                let known = cache.unconfirmed(&key(1), at(now), Tolerance::Strict);
                prop_assert_eq!(known.is_some(), now - confirmed <= 60_000);
            }
        }

        #[test]
        fn the_cache_never_exceeds_its_capacity(
            steps in prop::collection::vec((any::<bool>(), 0u16..20), 1..100),
        ) {
            let cache = cache();
            for (exists, number) in steps {
                if exists {
                    cache.update(&key(number), tenant(1, false, false), at(0)).unwrap();
                    prop_assert_eq!(kind(&cache.lookup(&key(number), at(0))), "fresh");
                } else if cache.update_unknown(&key(number), at(0)).is_ok() {
                    prop_assert_eq!(cache.lookup(&key(number), at(0)), CacheLookup::Unknown);
                }
                let entries = cache.entries();
                prop_assert!(entries.tenants.len() <= 3 && entries.unknown.len() <= 3);
                prop_assert!(entries.tenants.iter().all(|(key, _)| !entries.unknown.contains(key)));
            }
        }
    }
}
