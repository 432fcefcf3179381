//! What a handle remembers of streams.

use std::collections::HashMap;

use lru::LruCache;

use super::item::Link;
use crate::commit::Head;
use crate::id::CommitId;
use crate::stream::StreamId;

/// The most streams and commits together: at about 150 bytes each some 10 MB.
const MOST: usize = 1 << 16;

/// The beginnings of streams, as far as they are known. Those not used for longest are forgotten first.
pub(super) struct Memory {
    streams: LruCache<StreamId, Beginning>,
    /// Streams and commits.
    weight: usize,
    most: usize,
}

/// All commits of a stream up to one of them.
struct Beginning {
    head: Head,
    /// Where the commit with each id begins.
    ids: HashMap<CommitId, u64>,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { head: Head::EMPTY, ids: HashMap::new() }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Memory {
    fn of(most: usize) -> Self {
        Self { streams: LruCache::unbounded(), weight: 0, most }
    }

    /// Up to where `stream` is known, and where in it the commit with this id begins. A stream of which nothing is known has
    /// the head of one without events: that is how it began.
    pub(super) fn look_up(&mut self, stream: &StreamId, id: &CommitId) -> (Head, Option<u64>) {
        match self.streams.get(stream) {
            Some(beginning) => (beginning.head, beginning.ids.get(id).copied()),
            None => (Head::EMPTY, None),
        }
    }

    /// Up to where `stream` is known.
    pub(super) fn head(&mut self, stream: &StreamId) -> Head {
        self.streams.get(stream).map_or(Head::EMPTY, |beginning| beginning.head)
    }

    /// Takes in `links`, in order: all that the stream has from version `from` on, as far as they go. What would leave a gap
    /// is not kept.
    pub(super) fn learn<'a>(
        &mut self,
        stream: &StreamId,
        from: u64,
        links: impl IntoIterator<Item = &'a Link>,
    ) {
        if from > self.head(stream).version + 1 {
            return;
        }
        let known = self.streams.len();
        let beginning = self.streams.get_or_insert_mut(stream.clone(), Beginning::default);
        let before = beginning.ids.len();
        for link in links {
            // A damaged commit ends what is known: what follows it is told by reading it again.
            let Some(head) = link.head else { break };
            if link.first <= beginning.head.version {
                continue;
            }
            beginning.head = head;
            if let Some(id) = &link.id {
                beginning.ids.entry(id.clone()).or_insert(link.first);
            }
        }
        let learned = beginning.ids.len() - before;
        self.weight += learned + (self.streams.len() - known);
        while self.weight > self.most && self.streams.len() > 1 {
            let Some((_, forgotten)) = self.streams.pop_lru() else { break };
            self.weight -= forgotten.ids.len() + 1;
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
    fn link(version: u64) -> Link {
        let head = Head { version, hash: CommitHash::from_bytes([u8::try_from(version % 256).unwrap(); 32]) };
        Link { first: version, id: Some(id(version)), head: Some(head) }
    }

    fn links(versions: std::ops::RangeInclusive<u64>) -> Vec<Link> {
        versions.map(link).collect()
    }

    #[test]
    fn what_would_leave_a_gap_is_not_kept() {
        let mut memory = Memory::default();
        memory.learn(&stream(0), 3, &links(3..=5));
        assert_eq!(memory.look_up(&stream(0), &id(4)), (Head::EMPTY, None));
        memory.learn(&stream(0), 1, &links(1..=2));
        memory.learn(&stream(0), 4, &links(4..=5));
        assert_eq!(memory.head(&stream(0)).version, 2);
        // What was known already does no harm.
        memory.learn(&stream(0), 2, &links(2..=5));
        assert_eq!(memory.look_up(&stream(0), &id(4)), (link(5).head.unwrap(), Some(4)));
        memory.learn(&stream(0), 1, &links(1..=3));
        assert_eq!(memory.head(&stream(0)).version, 5);
        assert_eq!(memory.look_up(&stream(1), &id(4)), (Head::EMPTY, None));
    }

    #[test]
    fn a_commit_without_a_head_ends_what_is_known() {
        let mut memory = Memory::default();
        let mut damaged = links(1..=4);
        damaged[2].head = None;
        memory.learn(&stream(0), 1, &damaged);
        assert_eq!(memory.head(&stream(0)).version, 2);
    }

    #[test]
    fn the_streams_that_were_not_used_for_longest_are_forgotten_first() {
        let mut memory = Memory::of(20);
        for n in 0..3 {
            memory.learn(&stream(n), 1, &links(1..=5));
        }
        memory.look_up(&stream(0), &id(1));
        memory.learn(&stream(3), 1, &links(1..=5));
        let known: Vec<u64> = (0..4).map(|n| memory.head(&stream(n)).version).collect();
        assert_eq!(known, [5, 0, 5, 5]);
        // The one in use is kept, however long it is.
        memory.learn(&stream(1), 1, &links(1..=90));
        let known: Vec<u64> = (0..4).map(|n| memory.head(&stream(n)).version).collect();
        assert_eq!(known, [0, 90, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_true_and_bounded(pages in prop::collection::vec((0usize..6, 1u64..30, 0u64..12), 0..60), most in 1usize..60) {
            let mut memory = Memory::of(most);
            for (n, from, length) in pages {
                memory.learn(&stream(n), from, &links(from..=from + length));
                for n in 0..6 {
                    let head = memory.head(&stream(n));
                    prop_assert!(head == Head::EMPTY || head == link(head.version).head.unwrap());
                    for version in 1..45 {
                        let expected = (version <= head.version).then_some(version);
                        prop_assert_eq!(memory.look_up(&stream(n), &id(version)), (head, expected));
                    }
                }
                let weight: usize = memory.streams.iter().map(|(_, beginning)| beginning.ids.len() + 1).sum();
                prop_assert_eq!(weight, memory.weight);
                prop_assert!(weight <= most || memory.streams.len() == 1);
            }
        }
    }
}
