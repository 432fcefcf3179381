//! Caches with an end.

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

/// A cache of at most `capacity` entries, the most recently used ones, that takes its memory as it is needed: all of it at
/// once would be the better part of an isolate's start.
pub(crate) fn cache<K: Hash + Eq, V>(capacity: NonZeroUsize) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(capacity);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_was_not_used_for_longest_makes_room() {
        let mut cache = cache(NonZeroUsize::new(2).unwrap());
        for number in 0..100 {
            cache.put(number, number);
        }
        cache.get(&98);
        cache.put(100, 100);
        assert_eq!(cache.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [100, 98]);
    }
}
