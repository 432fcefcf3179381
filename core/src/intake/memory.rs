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
const MOST: usize = 1 << 17;

/// The ids of a stream up to a version.
#[derive(Default)]
pub(super) struct Known {
    version: u64,
    recorded_at: Timestamp,
    ids: HashSet<CommitId>,
    read: bool,
}

impl Known {
    /// The version of the last known event.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// When the last known event was recorded.
    pub(super) fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Whether the stream has been read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    pub(super) fn set_read(&mut self) {
        self.read = true;
    }

    /// Whether a commit or fact with this id is known.
    pub(super) fn has(&self, id: &CommitId) -> bool {
        self.ids.contains(id)
    }

    /// Adds the next commit.
    pub(super) fn learn(&mut self, commit: &Commit) {
        self.ids.extend(commit.ids().cloned());
        self.version = commit.last();
        self.recorded_at = commit.recorded_at;
    }

    pub(super) fn weight(&self) -> usize {
        self.ids.len() + 1
    }
}

/// A cache of streams. The least recently used is evicted first.
pub(super) struct Memory {
    content: SyncMutex<Content>,
    most: usize,
}

struct Content {
    streams: LruCache<StreamId, Remembered>,
    weight: usize,
}

struct Remembered {
    known: Arc<Mutex<Known>>,
    weight: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::of_size(MOST)
    }
}

impl Memory {
    fn of_size(most: usize) -> Self {
        Self { content: SyncMutex::new(Content { streams: LruCache::unbounded(), weight: 0 }), most }
    }

    /// Returns the entry of `stream`.
    pub(super) fn of(&self, stream: &StreamId) -> Arc<Mutex<Known>> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remembered) = content.streams.get(stream) {
            return Arc::clone(&remembered.known);
        }
        let remembered = Remembered { known: Arc::default(), weight: 1 };
        let known = Arc::clone(&remembered.known);
        content.streams.put(stream.clone(), remembered);
        content.weight += 1;
        known
    }

    /// Updates the weight of `stream`, and evicts other streams if the total is too large.
    pub(super) fn weigh(&self, stream: &StreamId, weight: usize) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(remembered) = content.streams.get_mut(stream) else { return };
        let before = std::mem::replace(&mut remembered.weight, weight);
        content.weight = content.weight + weight - before;
        while content.weight > self.most && content.streams.len() > 1 {
            let forgotten = content.streams.pop_lru().map_or(0, |(_, it)| it.weight);
            content.weight -= forgotten;
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
        let memory = Memory::of_size(10);
        let all: Vec<_> = (0..3)
            .map(|number| {
                let known = memory.of(&stream(number));
                memory.weigh(&stream(number), 4);
                known
            })
            .collect();
        assert!(!Arc::ptr_eq(&all[0], &memory.of(&stream(0))), "12 is more than 10");
        assert!(Arc::ptr_eq(&all[2], &memory.of(&stream(2))));
    }

    /// A stream that is larger than the cache stays until another one is used.
    #[test]
    fn the_stream_in_use_is_kept_whatever_its_size() {
        let memory = Memory::of_size(10);
        let known = memory.of(&stream(0));
        memory.weigh(&stream(0), 100);
        assert!(Arc::ptr_eq(&known, &memory.of(&stream(0))));
        memory.of(&stream(1));
        memory.weigh(&stream(1), 1);
        assert!(!Arc::ptr_eq(&known, &memory.of(&stream(0))));
    }
}
