//! What one isolate remembers of API keys. Nothing in here waits for anything: no lock is held across an `await`.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use super::config::DirectoryConfig;
use crate::bounded;
use crate::ports::directory::{Known, Tolerance};

pub(super) struct Cache {
    ages: Ages,
    memory: Mutex<Memory>,
}

struct Ages {
    fresh: Duration,
    hard: Duration,
    stale: Duration,
    unknown: Duration,
    lease: Duration,
    retry: Duration,
}

struct Memory {
    held: LruCache<KeyHash, Held>,
    /// Keys that the home region did not know at this time.
    unknown: LruCache<KeyHash, Timestamp>,
}

struct Held {
    tenant: Arc<Tenant>,
    /// When the look-up began that last found this or the same: it is at least as new as that, less the key-value
    /// store's delay.
    confirmed_at: Timestamp,
    /// When the last refresh began.
    tried_at: Option<Timestamp>,
    /// When the last refresh began that failed, if nothing was confirmed since.
    failed_try: Option<Timestamp>,
}

/// What is remembered of a key, and what follows.
#[derive(Debug, PartialEq)]
pub(super) enum Finding {
    /// The answer.
    Fresh(Arc<Tenant>),
    /// The answer, to be refreshed in the background by whoever got this.
    Aging(Arc<Tenant>),
    /// Too old: ask first.
    Overdue,
    /// Too old, and asking was in vain a moment ago.
    Failing,
    /// The home region did not know the key a moment ago.
    Unknown,
    /// Ask first.
    Nothing,
}

/// A source's answer is older than what is held, and takes no part in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Outdated {
    #[error("answered version {found} of the tenant, older than version {held}, which was seen before")]
    Version { found: u64, held: u64 },
    #[error("does not know the key any more, of which version {held} was seen before")]
    Forgotten { held: u64 },
}

impl Cache {
    pub(super) fn new(config: &DirectoryConfig) -> Self {
        let DirectoryConfig { fresh, hard, stale, unknown, lease, retry, .. } = *config;
        let capacity = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let memory = Memory {
            held: bounded::cache(capacity(config.held_tenants)),
            unknown: bounded::cache(capacity(config.unknown_keys)),
        };
        Self { ages: Ages { fresh, hard, stale, unknown, lease, retry }, memory: Mutex::new(memory) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic elsewhere cannot leave an entry half-written.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `key`. [`Finding::Aging`] and [`Finding::Overdue`] note that a refresh begins now.
    pub(super) fn find(&self, key: &KeyHash, now: Timestamp) -> Finding {
        let memory = &mut *self.memory();
        let Some(held) = memory.held.get_mut(key) else {
            let known_unknown =
                memory.unknown.get(key).is_some_and(|seen| apart(now, *seen) <= self.ages.unknown);
            return if known_unknown { Finding::Unknown } else { Finding::Nothing };
        };
        let age = apart(now, held.confirmed_at);
        if age <= self.ages.fresh {
            return Finding::Fresh(held.tenant.clone());
        }
        let tried = held.tried_at.map(|tried_at| apart(now, tried_at));
        if age <= self.ages.hard {
            if tried.is_some_and(|since| since < self.ages.lease) {
                return Finding::Fresh(held.tenant.clone());
            }
            held.tried_at = Some(now);
            return Finding::Aging(held.tenant.clone());
        }
        // Nobody waits for what is known to fail, but what is known is what began a while ago: it took its time.
        let failure = held.failed_try.map(|failed_try| apart(now, failed_try));
        if failure.is_some_and(|since| since < self.ages.lease + self.ages.retry)
            && tried.is_some_and(|since| since < self.ages.retry)
        {
            return Finding::Failing;
        }
        held.tried_at = Some(now);
        Finding::Overdue
    }

    /// Whether anything is held for `key`.
    pub(super) fn holds(&self, key: &KeyHash) -> bool {
        self.memory().held.contains(key)
    }

    /// Takes up what a source answered to a look-up that began at `began`, and gives what is held from then on.
    pub(super) fn admit(
        &self,
        key: &KeyHash,
        tenant: Tenant,
        began: Timestamp,
    ) -> Result<Arc<Tenant>, Outdated> {
        let memory = &mut *self.memory();
        let Some(held) = memory.held.get_mut(key) else {
            memory.unknown.pop(key);
            let tenant = Arc::new(tenant);
            let held = Held { tenant: tenant.clone(), confirmed_at: began, tried_at: None, failed_try: None };
            memory.held.put(*key, held);
            return Ok(tenant);
        };
        if tenant.version < held.tenant.version {
            return Err(Outdated::Version { found: tenant.version, held: held.tenant.version });
        }
        if replaces(&tenant, &held.tenant) {
            held.tenant = Arc::new(tenant);
        }
        // A refresh that began before another one may end after it. A confirmation from far in the future is from
        // before the clock was set back.
        let set_back = held.confirmed_at.since(began) > self.ages.hard;
        held.confirmed_at = if set_back { began } else { held.confirmed_at.max(began) };
        held.failed_try = None;
        Ok(held.tenant.clone())
    }

    /// Takes up that the home region did not know `key` in a look-up that began at `began`.
    pub(super) fn admit_unknown(&self, key: &KeyHash, began: Timestamp) -> Result<(), Outdated> {
        let memory = &mut *self.memory();
        if let Some(held) = memory.held.peek(key) {
            return Err(Outdated::Forgotten { held: held.tenant.version });
        }
        memory.unknown.put(*key, began);
        Ok(())
    }

    /// Takes up that a refresh of `key` that began at `began` failed, unless another one did better since.
    pub(super) fn failed(&self, key: &KeyHash, began: Timestamp) {
        if let Some(held) = self.memory().held.peek_mut(key)
            && held.confirmed_at < began
        {
            held.failed_try = Some(began);
        }
    }

    /// What may be answered when no source confirmed anything: what another look-up has found in the meantime, or what
    /// is held, where `tolerance` allows its age.
    pub(super) fn unconfirmed(&self, key: &KeyHash, now: Timestamp, tolerance: Tolerance) -> Option<Known> {
        let memory = &mut *self.memory();
        let held = memory.held.peek(key)?;
        let overdue = apart(now, held.confirmed_at).saturating_sub(self.ages.hard);
        let stale_for = (!overdue.is_zero()).then_some(overdue);
        let allowed = match tolerance {
            Tolerance::Strict => Duration::ZERO,
            Tolerance::Stale => self.ages.stale,
        };
        (overdue <= allowed).then(|| Known { tenant: held.tenant.clone(), stale_for })
    }
}

/// Whether what was `found` takes the place of what is `held`, which is not newer. Of two that say to be the same
/// version the one that lets nobody in is the safe one.
fn replaces(found: &Tenant, held: &Tenant) -> bool {
    let refuses = |tenant: &Tenant| (tenant.revoked, tenant.suspended);
    found.version > held.version || refuses(found) > refuses(held)
}

/// How far apart two instants are. A clock that was set back makes what is remembered old, not fresh for ever.
fn apart(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
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
            version,
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + millis)
    }

    fn cache() -> Cache {
        Cache::new(&DirectoryConfig { held_tenants: 3, unknown_keys: 3, ..DirectoryConfig::default() })
    }

    fn kind(finding: &Finding) -> &'static str {
        match finding {
            Finding::Fresh(_) => "fresh",
            Finding::Aging(_) => "aging",
            Finding::Overdue => "overdue",
            Finding::Failing => "failing",
            Finding::Unknown => "unknown",
            Finding::Nothing => "nothing",
        }
    }

    #[test]
    fn each_age_has_its_finding() {
        for (age, found) in [
            (0, "fresh"),
            (10_000, "fresh"),
            (10_001, "aging"),
            (60_000, "aging"),
            (60_001, "overdue"),
            (-10_000, "fresh"),
            (-10_001, "aging"),
            (-60_001, "overdue"),
        ] {
            let cache = cache();
            cache.admit(&key(1), tenant(1, false, false), at(100_000)).unwrap();
            assert_eq!(kind(&cache.find(&key(1), at(100_000 + age))), found, "{age} ms");
        }
    }

    #[test]
    fn one_refresh_begins_a_lease_and_a_lost_one_is_begun_again() {
        let cache = cache();
        cache.admit(&key(1), tenant(1, false, false), at(0)).unwrap();
        let begun: Vec<i64> = (10_001..60_000)
            .step_by(250)
            .filter(|now| kind(&cache.find(&key(1), at(*now))) == "aging")
            .collect();
        assert_eq!(begun, (10_001..60_000).step_by(5_000).collect::<Vec<_>>());
    }

    #[test]
    fn past_the_hard_age_everyone_asks_until_asking_fails_and_then_one_a_second() {
        let cache = cache();
        cache.admit(&key(1), tenant(1, false, false), at(0)).unwrap();
        assert_eq!(cache.find(&key(1), at(61_000)), Finding::Overdue);
        assert_eq!(cache.find(&key(1), at(61_000)), Finding::Overdue);
        cache.failed(&key(1), at(61_000));
        assert_eq!(cache.find(&key(1), at(61_999)), Finding::Failing);
        assert_eq!(cache.find(&key(1), at(62_000)), Finding::Overdue);
        assert_eq!(cache.find(&key(1), at(62_001)), Finding::Failing);
        cache.admit(&key(1), tenant(1, false, false), at(62_000)).unwrap();
        assert_eq!(kind(&cache.find(&key(1), at(62_001))), "fresh");
        cache.failed(&key(1), at(62_000));
        assert_eq!(cache.find(&key(1), at(130_000)), Finding::Overdue);
        assert_eq!(cache.find(&key(1), at(130_001)), Finding::Overdue);
        cache.failed(&key(1), at(130_000));
        assert_eq!(cache.find(&key(1), at(130_002)), Finding::Failing);
        assert_eq!(cache.find(&key(1), at(136_000)), Finding::Overdue);
        assert_eq!(cache.find(&key(1), at(136_001)), Finding::Overdue, "an old failure says nothing");
    }

    #[test]
    fn what_is_unconfirmed_is_answered_within_its_bounds_and_says_how_old_it_is() {
        let cache = cache();
        let answer = |age, tolerance| {
            cache
                .unconfirmed(&key(1), at(age), tolerance)
                .map(|known| known.stale_for.map(|by| by.as_millis()))
        };
        assert_eq!(answer(0, Tolerance::Stale), None);
        cache.admit(&key(1), tenant(1, false, false), at(0)).unwrap();
        assert_eq!(answer(60_000, Tolerance::Strict), Some(None));
        assert_eq!(answer(60_001, Tolerance::Strict), None);
        assert_eq!(answer(60_000, Tolerance::Stale), Some(None));
        assert_eq!(answer(60_001, Tolerance::Stale), Some(Some(1)));
        assert_eq!(answer(960_000, Tolerance::Stale), Some(Some(900_000)));
        assert_eq!(answer(960_001, Tolerance::Stale), None);
    }

    #[test]
    fn an_unknown_key_is_remembered_for_a_while_and_forgotten_when_it_is_found() {
        let cache = cache();
        cache.admit_unknown(&key(1), at(0)).unwrap();
        assert_eq!(cache.find(&key(1), at(10_000)), Finding::Unknown);
        assert_eq!(cache.find(&key(1), at(10_001)), Finding::Nothing);
        cache.admit(&key(1), tenant(4, false, false), at(0)).unwrap();
        assert_eq!(kind(&cache.find(&key(1), at(0))), "fresh");
        assert_eq!(cache.admit_unknown(&key(1), at(0)), Err(Outdated::Forgotten { held: 4 }));
        assert_eq!(kind(&cache.find(&key(1), at(0))), "fresh");
    }

    #[test]
    fn of_equal_versions_the_one_that_lets_nobody_in_stays() {
        for refusing in [tenant(5, true, false), tenant(5, false, true)] {
            for order in [[&tenant(5, false, false), &refusing], [&refusing, &tenant(5, false, false)]] {
                let cache = cache();
                cache.admit(&key(1), order[0].clone(), at(0)).unwrap();
                assert_eq!(*cache.admit(&key(1), order[1].clone(), at(1)).unwrap(), refusing);
            }
        }
    }

    #[test]
    fn a_late_answer_does_not_age_what_was_confirmed_since_but_a_clock_set_back_does() {
        let cache = cache();
        cache.admit(&key(1), tenant(1, false, false), at(50_000)).unwrap();
        cache.admit(&key(1), tenant(1, false, false), at(10_000)).unwrap();
        assert_eq!(kind(&cache.find(&key(1), at(60_000))), "fresh");
        cache.admit(&key(1), tenant(1, false, false), at(-20_000)).unwrap();
        assert_eq!(kind(&cache.find(&key(1), at(-20_000))), "fresh");
        assert_eq!(kind(&cache.find(&key(1), at(50_000))), "overdue");
    }

    proptest! {
        #[test]
        fn versions_never_go_back_and_an_older_one_confirms_nothing(
            answers in prop::collection::vec((0u64..6, any::<bool>(), any::<bool>(), 1i64..40_000), 1..40),
        ) {
            let cache = cache();
            let (mut now, mut confirmed, mut newest) = (0, 0, None::<Tenant>);
            for (version, revoked, suspended, wait) in answers {
                now += wait;
                let admitted = cache.admit(&key(1), tenant(version, revoked, suspended), at(now));
                match &newest {
                    Some(held) if version < held.version => {
                        prop_assert_eq!(admitted, Err(Outdated::Version { found: version, held: held.version }));
                    }
                    _ => {
                        let admitted = admitted.unwrap();
                        prop_assert_eq!(admitted.version, version);
                        if let Some(held) = newest.filter(|held| held.version == version) {
                            prop_assert!((admitted.revoked, admitted.suspended) >= (held.revoked, held.suspended));
                        }
                        (confirmed, newest) = (now, Some((*admitted).clone()));
                    }
                }
                let fresh = now - confirmed <= 10_000;
                prop_assert!(kind(&cache.find(&key(1), at(now))) == "fresh" || !fresh);
                let known = cache.unconfirmed(&key(1), at(now), Tolerance::Strict);
                prop_assert_eq!(known.is_some(), now - confirmed <= 60_000);
            }
        }

        #[test]
        fn no_more_is_remembered_than_was_allowed(
            steps in prop::collection::vec((any::<bool>(), 0u16..20), 1..100),
        ) {
            let cache = cache();
            for (exists, number) in steps {
                if exists {
                    cache.admit(&key(number), tenant(1, false, false), at(0)).unwrap();
                    prop_assert_eq!(kind(&cache.find(&key(number), at(0))), "fresh");
                } else if cache.admit_unknown(&key(number), at(0)).is_ok() {
                    prop_assert_eq!(cache.find(&key(number), at(0)), Finding::Unknown);
                }
                let memory = cache.memory();
                prop_assert!(memory.held.len() <= 3 && memory.unknown.len() <= 3);
                prop_assert!(memory.held.iter().all(|(key, _)| !memory.unknown.contains(key)));
            }
        }
    }
}
