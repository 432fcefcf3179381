//! The intake's cache of streams.

use std::collections::HashSet;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use futures::lock::Mutex;
use lru::LruCache;
use streamio_events::commit::Commit;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// The maximum number of streams and ids together. At about 100 bytes each, 13 MB.
const MAX_WEIGHT: usize = 1 << 17;

/// The ids of a stream's commits and facts up to a version.
#[derive(Default)]
pub(super) struct CachedStream {
    version: u64,
    recorded_at: Timestamp,
    ids: HashSet<CommitId>,
    complete: bool,
    shared: bool,
}

impl CachedStream {
    /// The version of the last cached event.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// When the last cached event was recorded.
    pub(super) fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Whether the stream is likely to have commits that are not cached: it has never been read to its end, or others append to it.
    pub(super) fn must_be_read(&self) -> bool {
        !self.complete || self.shared
    }

    /// Another process appends to the stream.
    pub(super) fn set_shared(&mut self) {
        self.shared = true;
    }

    pub(super) fn set_complete(&mut self) {
        self.complete = true;
    }

    /// Whether a commit or fact with this id is cached.
    pub(super) fn contains(&self, id: &CommitId) -> bool {
        self.ids.contains(id)
    }

    /// Adds the next commit.
    pub(super) fn add(&mut self, commit: &Commit) {
        self.ids.extend(commit.ids().cloned());
        self.version = commit.last();
        self.recorded_at = commit.recorded_at;
    }

    /// The number of ids, plus one for the stream.
    pub(super) fn weight(&self) -> usize {
        self.ids.len() + 1
    }
}

/// A cache of streams. The least recently used is evicted first.
pub(super) struct StreamCache {
    content: SyncMutex<Content>,
    max_weight: usize,
}

struct Content {
    streams: LruCache<StreamId, Entry>,
    weight: usize,
}

struct Entry {
    stream: Arc<Mutex<CachedStream>>,
    weight: usize,
}

impl Default for StreamCache {
    fn default() -> Self {
        Self::with_max_weight(MAX_WEIGHT)
    }
}

impl StreamCache {
    fn with_max_weight(max_weight: usize) -> Self {
        Self { content: SyncMutex::new(Content { streams: LruCache::unbounded(), weight: 0 }), max_weight }
    }

    /// Returns the cached `stream`. Adds an empty entry if there is none.
    pub(super) fn get(&self, stream: &StreamId) -> Arc<Mutex<CachedStream>> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = content.streams.get(stream) {
            return Arc::clone(&entry.stream);
        }
        let cached = Arc::default();
        content.streams.put(stream.clone(), Entry { stream: Arc::clone(&cached), weight: 1 });
        content.weight += 1;
        cached
    }

    /// Updates the weight of `stream`, and evicts other streams if the total is too large.
    pub(super) fn set_weight(&self, stream: &StreamId, weight: usize) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = content.streams.get_mut(stream) else { return };
        let before = std::mem::replace(&mut entry.weight, weight);
        content.weight = content.weight + weight - before;
        while content.weight > self.max_weight && content.streams.len() > 1 {
            let evicted = content.streams.pop_lru().map_or(0, |(_, entry)| entry.weight);
            content.weight -= evicted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(number: usize) -> StreamId {
        format!("grants/acme/2026010203/{number}").parse().unwrap()
    }

    #[test]
    fn the_least_recently_used_stream_is_evicted_first() {
        let cache = StreamCache::with_max_weight(10);
        let all: Vec<_> = (0..3)
            .map(|number| {
                let cached = cache.get(&stream(number));
                cache.set_weight(&stream(number), 4);
                cached
            })
            .collect();
        assert!(!Arc::ptr_eq(&all[0], &cache.get(&stream(0))), "12 is more than 10");
        assert!(Arc::ptr_eq(&all[2], &cache.get(&stream(2))));
    }

    /// A stream that is larger than the cache stays until another one is used.
    #[test]
    fn the_stream_in_use_is_kept_even_if_it_is_too_large() {
        let cache = StreamCache::with_max_weight(10);
        let cached = cache.get(&stream(0));
        cache.set_weight(&stream(0), 100);
        assert!(Arc::ptr_eq(&cached, &cache.get(&stream(0))));
        cache.get(&stream(1));
        cache.set_weight(&stream(1), 1);
        assert!(!Arc::ptr_eq(&cached, &cache.get(&stream(0))));
    }
}
