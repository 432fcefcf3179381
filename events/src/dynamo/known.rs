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
