//! LRU caches of bounded size.

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

/// An LRU cache of at most `capacity` entries. It allocates as it grows: allocating the whole capacity at once would take
/// most of an isolate's start-up time.
pub(crate) fn cache<K: Hash + Eq, V>(capacity: NonZeroUsize) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(capacity);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let mut cache = cache(NonZeroUsize::new(2).unwrap());
        for number in 0..100 {
            cache.put(number, number);
        }
        cache.get(&98);
        cache.put(100, 100);
        assert_eq!(cache.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [100, 98]);
    }
}
