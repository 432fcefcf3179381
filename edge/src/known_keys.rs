//! The Idempotency-Keys of recent grants, each with its grant, in the memory of this process.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use streamio_events::id::{CommitId, GrantId};

use crate::bounded;

/// How many keys are known. Each takes about 150 bytes.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// Finds a key that is sent again with another request, also where the journal cannot.
pub(crate) struct KnownKeys(Mutex<LruCache<CommitId, GrantId>>);

impl KnownKeys {
    /// Knows no key.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(bounded::cache(CAPACITY)))
    }

    /// Whether the key, of which `key` is a hash, is not known or known with this grant. It is known afterwards.
    pub(crate) fn is_first_or_same(&self, key: &CommitId, grant: &GrantId) -> bool {
        // Entries are replaced as a whole, so a panic while the lock was held leaves no partial entry.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert(key.clone(), || grant.clone()) == grant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_with_its_first_grant_until_it_is_evicted() {
        let keys = KnownKeys::new();
        let key = |number: u32| CommitId::derived_from(&[&number.to_string()]);
        let grant = |number: u32| GrantId::derived_from(&[&number.to_be_bytes()]);
        assert!(keys.is_first_or_same(&key(0), &grant(0)) && keys.is_first_or_same(&key(0), &grant(0)));
        assert!(!keys.is_first_or_same(&key(0), &grant(1)));
        for number in 1..=10_000 {
            assert!(keys.is_first_or_same(&key(number), &grant(number)));
        }
        assert!(keys.is_first_or_same(&key(0), &grant(1)), "the least recently used key is evicted");
    }
}
