use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use sha2::{Digest, Sha256};

/// The number of cached keys. A key rotation has two or three keys in use.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// A cache of parsed keys, because parsing an RSA key takes longer than signing with it, and callers pass the same PEM with
/// every call. The keys of the cache are hashes, so that it does not contain the PEM.
pub(super) struct KeyCache<K>(LruCache<[u8; 32], Rc<K>>);

impl<K> KeyCache<K> {
    pub(super) fn new() -> Self {
        Self(LruCache::new(CAPACITY))
    }

    /// Returns the cached key of `texts`, or parses it with `parse` and caches it.
    pub(super) fn get<E>(
        &mut self,
        texts: &[&str],
        parse: impl FnOnce() -> Result<K, E>,
    ) -> Result<Rc<K>, E> {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        self.0.try_get_or_insert(hash.finalize().into(), || parse().map(Rc::new)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_key_is_parsed_once() {
        let mut cache = KeyCache::new();
        let mut parsed = 0;
        let mut get = |texts: &[&str], key: usize| {
            let found = cache.get(texts, || {
                parsed += 1;
                Ok::<_, ()>(key)
            });
            (*found.unwrap(), parsed)
        };
        assert_eq!(get(&["a", "b"], 1), (1, 1));
        assert_eq!(get(&["a", "b"], 2), (1, 1));
        assert_eq!(get(&["ab", ""], 3), (3, 2), "the boundaries of the texts are part of the hash");
        for number in 0..CAPACITY.get() {
            get(&[&number.to_string()], number);
        }
        assert_eq!(get(&["a", "b"], 4), (4, 11));
    }

    #[test]
    fn errors_are_not_cached() {
        let mut cache = KeyCache::new();
        assert_eq!(cache.get(&["a"], || Err::<u8, _>("no")), Err("no"));
        assert_eq!(cache.get(&["a"], || Ok::<_, &str>(1)).as_deref(), Ok(&1));
    }
}
