//! The Idempotency-Keys of recent grants, each with its grant, in the memory of this process; and the multipart uploads that were
//! created for grants.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use streamio_events::id::{CommitId, GrantId};

use crate::bounded;

/// How many keys are known. Each takes about 150 bytes.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// How many multipart uploads are known. Each takes about 300 bytes.
const UPLOADS: NonZeroUsize = NonZeroUsize::new(2_000).expect("two thousand is not zero");

/// Finds what the journal cannot where it has no memory: a key that is sent again with another request, and the multipart upload of a
/// request that is repeated.
pub(crate) struct KnownKeys {
    grants: Mutex<LruCache<CommitId, GrantId>>,
    uploads: Mutex<LruCache<GrantId, String>>,
}

impl KnownKeys {
    /// Knows no key.
    pub(crate) fn new() -> Self {
        Self { grants: Mutex::new(bounded::cache(CAPACITY)), uploads: Mutex::new(bounded::cache(UPLOADS)) }
    }

    /// Whether the key, of which `key` is a hash, is not known or known with this grant. It is known afterwards.
    pub(crate) fn is_first_or_same(&self, key: &CommitId, grant: &GrantId) -> bool {
        // Entries are replaced as a whole, so a panic while the lock was held leaves no partial entry.
        let mut known = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert(key.clone(), || grant.clone()) == grant
    }

    /// The id of the multipart upload that was created for `grant`.
    pub(crate) fn upload_of(&self, grant: &GrantId) -> Option<String> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).get(grant).cloned()
    }

    /// Adds the multipart upload that was created for `grant`.
    pub(crate) fn add_upload(&self, grant: GrantId, upload_id: String) {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).put(grant, upload_id);
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
