//! The cache of what a handle knows of streams.

use std::collections::HashMap;

use lru::LruCache;

use super::item::CommitSummary;
use crate::commit::Head;
use crate::id::CommitId;
use crate::stream::StreamId;

/// Maximum number of cached streams and commits together: at about 150 bytes each some 10 MB.
const MAX_ENTRIES: usize = 1 << 16;

/// The known beginnings of streams. The least recently used ones are evicted first.
pub(super) struct StreamCache {
    streams: LruCache<StreamId, KnownPart>,
    /// The number of streams and commits.
    weight: usize,
    max_entries: usize,
}

/// All commits of a stream up to one of them.
struct KnownPart {
    head: Head,
    /// The first version of the commit with each id.
    ids: HashMap<CommitId, u64>,
}

impl Default for KnownPart {
    fn default() -> Self {
        Self { head: Head::EMPTY, ids: HashMap::new() }
    }
}

impl Default for StreamCache {
    fn default() -> Self {
        Self::of(MAX_ENTRIES)
    }
}

impl StreamCache {
    fn of(max_entries: usize) -> Self {
        Self { streams: LruCache::unbounded(), weight: 0, max_entries }
    }

    /// Returns up to where `stream` is known, and the first version of the commit with this id if it is in that part.
    /// An unknown stream has the head of an empty stream, with which it began.
    pub(super) fn get(&mut self, stream: &StreamId, id: &CommitId) -> (Head, Option<u64>) {
        match self.streams.get(stream) {
            Some(known_part) => (known_part.head, known_part.ids.get(id).copied()),
            None => (Head::EMPTY, None),
        }
    }

    /// Returns up to where `stream` is known.
    pub(super) fn head(&mut self, stream: &StreamId) -> Head {
        self.streams.get(stream).map_or(Head::EMPTY, |known_part| known_part.head)
    }

    /// Adds `summaries`, in order: all that the stream has from version `from` on, as far as they go. Commits that would
    /// leave a gap are ignored.
    pub(super) fn extend<'a>(
        &mut self,
        stream: &StreamId,
        from: u64,
        summaries: impl IntoIterator<Item = &'a CommitSummary>,
    ) {
        if from > self.head(stream).version + 1 {
            return;
        }
        let known = self.streams.len();
        let known_part = self.streams.get_or_insert_mut(stream.clone(), KnownPart::default);
        let before = known_part.ids.len();
        for summary in summaries {
            // A damaged commit ends the known part; what follows is read again when it is needed.
            let Some(head) = summary.head else { break };
            if summary.first <= known_part.head.version {
                continue;
            }
            known_part.head = head;
            if let Some(id) = &summary.id {
                known_part.ids.entry(id.clone()).or_insert(summary.first);
            }
        }
        let added = known_part.ids.len() - before;
        self.weight += added + (self.streams.len() - known);
        while self.weight > self.max_entries && self.streams.len() > 1 {
            let Some((_, evicted)) = self.streams.pop_lru() else { break };
            self.weight -= evicted.ids.len() + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::commit::CommitHash;

    fn stream(n: usize) -> StreamId {
        format!("grants/acme/2026010203/{n}").parse().unwrap()
    }

    fn id(cause: u64) -> CommitId {
        CommitId::derived_from(&[&cause.to_string()])
    }

    /// A commit of one event, whose id is that of its version.
    fn summary(version: u64) -> CommitSummary {
        let head = Head { version, hash: CommitHash::from_bytes([u8::try_from(version % 256).unwrap(); 32]) };
        CommitSummary { first: version, id: Some(id(version)), head: Some(head) }
    }

    fn summaries(versions: std::ops::RangeInclusive<u64>) -> Vec<CommitSummary> {
        versions.map(summary).collect()
    }

    #[test]
    fn commits_that_would_leave_a_gap_are_ignored() {
        let mut cache = StreamCache::default();
        cache.extend(&stream(0), 3, &summaries(3..=5));
        assert_eq!(cache.get(&stream(0), &id(4)), (Head::EMPTY, None));
        cache.extend(&stream(0), 1, &summaries(1..=2));
        cache.extend(&stream(0), 4, &summaries(4..=5));
        assert_eq!(cache.head(&stream(0)).version, 2);
        // Known commits may be added again.
        cache.extend(&stream(0), 2, &summaries(2..=5));
        assert_eq!(cache.get(&stream(0), &id(4)), (summary(5).head.unwrap(), Some(4)));
        cache.extend(&stream(0), 1, &summaries(1..=3));
        assert_eq!(cache.head(&stream(0)).version, 5);
        assert_eq!(cache.get(&stream(1), &id(4)), (Head::EMPTY, None));
    }

    #[test]
    fn a_commit_without_a_head_ends_the_known_part() {
        let mut cache = StreamCache::default();
        let mut damaged = summaries(1..=4);
        damaged[2].head = None;
        cache.extend(&stream(0), 1, &damaged);
        assert_eq!(cache.head(&stream(0)).version, 2);
    }

    #[test]
    fn the_least_recently_used_streams_are_evicted_first() {
        let mut cache = StreamCache::of(20);
        for n in 0..3 {
            cache.extend(&stream(n), 1, &summaries(1..=5));
        }
        cache.get(&stream(0), &id(1));
        cache.extend(&stream(3), 1, &summaries(1..=5));
        let known: Vec<u64> = (0..4).map(|n| cache.head(&stream(n)).version).collect();
        assert_eq!(known, [5, 0, 5, 5]);
        // The stream in use is kept, even if it is too long.
        cache.extend(&stream(1), 1, &summaries(1..=90));
        let known: Vec<u64> = (0..4).map(|n| cache.head(&stream(n)).version).collect();
        assert_eq!(known, [0, 90, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_cache_is_correct_and_bounded(pages in prop::collection::vec((0usize..6, 1u64..30, 0u64..12), 0..60), max_entries in 1usize..60) {
            let mut cache = StreamCache::of(max_entries);
            for (n, from, length) in pages {
                cache.extend(&stream(n), from, &summaries(from..=from + length));
                for n in 0..6 {
                    let head = cache.head(&stream(n));
                    prop_assert!(head == Head::EMPTY || head == summary(head.version).head.unwrap());
                    for version in 1..45 {
                        let expected = (version <= head.version).then_some(version);
                        prop_assert_eq!(cache.get(&stream(n), &id(version)), (head, expected));
                    }
                }
                let weight: usize = cache.streams.iter().map(|(_, known_part)| known_part.ids.len() + 1).sum();
                prop_assert_eq!(weight, cache.weight);
                prop_assert!(weight <= max_entries || cache.streams.len() == 1);
            }
        }
    }
}
