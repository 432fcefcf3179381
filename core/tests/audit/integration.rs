//! Integration of commits into a stored tree: what is signed and stored after crashes at every step.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::executor::block_on;
use proptest::prelude::*;
use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::compare;
use streamio_core::audit::integration::{Integration, IntegrationError, SignedCheckpoint};
use streamio_core::audit::node_hash::NodeHash;
use streamio_core::audit::note::SignedNote;
use streamio_core::audit::recording::{INTERVAL, record};
use streamio_core::audit::tree::RightEdge;
use streamio_core::ports::AdapterError;
use streamio_core::ports::feed_hashes::FeedHashes;
use streamio_core::testing::MemoryTiles;
use streamio_events::commit::{CommitHash, NewCommit};
use streamio_events::event::ProjectCreated;
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::files::signer;
use crate::log::ORIGIN;

/// The hashes of a feed that grows.
#[derive(Default)]
struct Feed(Mutex<Vec<CommitHash>>);

impl Feed {
    fn of(size: u64) -> Self {
        let feed = Self::default();
        feed.grow_to(size);
        feed
    }

    fn grow_to(&self, size: u64) {
        let mut hashes = self.0.lock().unwrap();
        let from = hashes.len() as u64;
        hashes.extend((from..size).map(hash));
    }

    /// The roots of the first commits in these numbers, which grow.
    fn roots(&self, sizes: impl IntoIterator<Item = u64>) -> Vec<NodeHash> {
        let (hashes, mut edge) = (self.0.lock().unwrap(), RightEdge::empty());
        let mut root = |size: u64| {
            let added = usize::try_from(edge.size()).unwrap()..usize::try_from(size).unwrap();
            edge.append(hashes[added].iter().copied());
            edge.root()
        };
        sizes.into_iter().map(&mut root).collect()
    }
}

fn hash(place: u64) -> CommitHash {
    CommitHash::from_bytes(*NodeHash::of_leaf(&place.to_be_bytes()).as_bytes())
}

#[async_trait]
impl FeedHashes for Feed {
    async fn hashes(&self, from: u64, limit: usize) -> Result<Vec<CommitHash>, AdapterError> {
        let hashes = self.0.lock().unwrap();
        Ok(hashes.iter().skip(usize::try_from(from)?).take(limit).copied().collect())
    }
}

fn integrate(feed: &Feed, store: &MemoryTiles) -> Result<Option<SignedCheckpoint>, IntegrationError> {
    block_on(Integration { feed, store, signer: &signer() }.run())
}

fn verified(note: &str) -> Checkpoint {
    let note: SignedNote = note.parse().unwrap();
    Checkpoint::verify(&note, &[signer().verifier_key().clone()]).unwrap()
}

/// Checks that each checkpoint that was stored is of the first commits of the feed and no two are of one size, and that the last has all
/// of its tiles, which follow from the commits.
fn check(feed: &Feed, store: &MemoryTiles) {
    let checkpoints: Vec<Checkpoint> = store.checkpoints().iter().map(|note| verified(note)).collect();
    assert!(checkpoints.is_sorted_by(|one, other| one.size() < other.size()), "one checkpoint of a size");
    let roots: Vec<NodeHash> = checkpoints.iter().map(Checkpoint::root).collect();
    assert_eq!(roots, feed.roots(checkpoints.iter().map(Checkpoint::size)));
    if let Some(note) = store.checkpoints().last() {
        let hashes = feed.0.lock().unwrap().clone();
        assert_eq!(block_on(compare(store, &verified(note), hashes)).unwrap(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_crash_at_any_step_neither_forks_the_tree_nor_loses_a_commit(
        runs in prop::collection::vec((0_u64..400, prop::option::of((0_usize..14, any::<u64>()))), 1..8),
    ) {
        let (feed, store) = (Feed::default(), MemoryTiles::default());
        let mut size = 0;
        for (grown, crash) in runs {
            size += grown;
            feed.grow_to(size);
            if let Some((writes, order)) = crash {
                store.crash_after(writes, order);
                // It fails or not: the crash may come after the last step.
                let _ = integrate(&feed, &store);
                store.restart();
                check(&feed, &store);
            } else {
                integrate(&feed, &store).unwrap();
                prop_assert_eq!(store.checkpoints().last().map_or(0, |note| verified(note).size()), size);
                check(&feed, &store);
            }
        }
        integrate(&feed, &store).unwrap();
        prop_assert_eq!(integrate(&feed, &store).unwrap(), None, "nothing is new");
        check(&feed, &store);
    }
}

/// The feed in which another platform integrates more commits while this one reads.
struct Racing {
    feed: Feed,
    store: MemoryTiles,
}

#[async_trait]
impl FeedHashes for Racing {
    async fn hashes(&self, from: u64, limit: usize) -> Result<Vec<CommitHash>, AdapterError> {
        let hashes = self.feed.hashes(from, limit).await?;
        self.feed.grow_to(20);
        let other = Integration { feed: &self.feed, store: &self.store, signer: &signer() };
        other.run().await?;
        Ok(hashes)
    }
}

#[test]
fn a_checkpoint_that_another_process_has_replaced_is_not_replaced_again() {
    let racing = Racing { feed: Feed::of(10), store: MemoryTiles::default() };
    let late = block_on(Integration { feed: &racing, store: &racing.store, signer: &signer() }.run());
    assert!(matches!(late, Err(IntegrationError::Superseded)), "{late:?}");
    check(&racing.feed, &racing.store);
    assert_eq!(verified(racing.store.checkpoints().last().unwrap()).size(), 20);
}

#[test]
fn missing_tiles_are_computed_again_from_the_commits() {
    for size in [1, 255, 256, 300, 1000] {
        let (feed, store) = (Feed::of(size), MemoryTiles::default());
        integrate(&feed, &store).unwrap();
        let tiles = store.tiles();
        store.damage(BTreeMap::clear);
        integrate(&feed, &store).unwrap();
        assert_eq!(store.tiles(), tiles, "{size}");
        feed.grow_to(size + 300);
        integrate(&feed, &store).unwrap();
        check(&feed, &store);
    }
}

#[test]
fn a_changed_log_is_not_signed() {
    let refused = |size: u64, grown: u64, change: fn(&mut Vec<CommitHash>), loses_tiles: bool| {
        let (feed, store) = (Feed::of(size), MemoryTiles::default());
        integrate(&feed, &store).unwrap();
        feed.grow_to(size + grown);
        change(&mut feed.0.lock().unwrap());
        if loses_tiles {
            store.damage(BTreeMap::clear);
        }
        let tiles = store.tiles();
        let error = integrate(&feed, &store).unwrap_err();
        assert_eq!((store.checkpoints().len(), store.tiles()), (1, tiles), "nothing is signed or stored");
        error
    };
    let cut: fn(&mut Vec<CommitHash>) = |hashes| hashes.truncate(299);
    let last: fn(&mut Vec<CommitHash>) = |hashes| hashes[299] = hash(9999);
    let early: fn(&mut Vec<CommitHash>) = |hashes| hashes.swap(3, 4);
    assert!(matches!(refused(300, 0, cut, false), IntegrationError::CutTail { size: 300 }));
    assert!(matches!(refused(300, 0, cut, true), IntegrationError::CutTail { size: 300 }));
    assert!(matches!(refused(300, 10, last, false), IntegrationError::Changed { place: 299 }));
    assert!(matches!(refused(300, 10, last, true), IntegrationError::Root { size: 300, .. }));
    assert!(matches!(refused(300, 10, early, true), IntegrationError::Root { size: 300, .. }));
}

#[test]
fn a_damaged_tile_is_left_as_it_is_and_nothing_is_signed() {
    let (feed, store) = (Feed::of(300), MemoryTiles::default());
    integrate(&feed, &store).unwrap();
    store.damage(|tiles| tiles.values_mut().for_each(|bytes| bytes[5] ^= 1));
    let tiles = store.tiles();
    feed.grow_to(310);
    let error = integrate(&feed, &store).unwrap_err();
    assert!(matches!(error, IntegrationError::Differs(_)), "{error}");
    assert_eq!((store.checkpoints().len(), store.tiles()), (1, tiles));
}

#[test]
fn a_checkpoint_of_another_log_or_key_is_left_as_it_is() {
    let (feed, store) = (Feed::of(3), MemoryTiles::default());
    integrate(&feed, &store).unwrap();
    feed.grow_to(5);
    for (origin, seed) in [("elsewhere.example/acme", 7), (ORIGIN, 8)] {
        let other = streamio_core::audit::note::NoteSigner::from_seed(origin, &[seed; 32]).unwrap();
        let error = block_on(Integration { feed: &feed, store: &store, signer: &other }.run()).unwrap_err();
        let is_refused = matches!(error, IntegrationError::Origin { .. } | IntegrationError::Checkpoint(_));
        assert!(is_refused, "{error}");
    }
    assert_eq!(store.checkpoints().len(), 1);
}

/// A recorded checkpoint is a commit that the next checkpoint contains, and no reason to record that one.
#[tokio::test]
async fn at_most_one_checkpoint_in_an_hour_is_recorded_and_none_for_its_own_sake() {
    let (log, acme) = (MemoryLog::new(), "acme".parse::<ProjectId>().unwrap());
    let at = |minutes: i64| Timestamp::from_unix_seconds(1_767_323_045 + 60 * minutes);
    let store = MemoryTiles::default();
    let append = async |minutes: i64| {
        let created = ProjectCreated { name: None };
        let id = CommitId::derived_from(&["test", &minutes.to_string()]);
        let new = NewCommit::new(id, at(minutes), [created.into()]);
        log.append(&StreamId::Project(acme.clone()), Expected::Any, new).await.unwrap();
    };
    // Integrates all commits, and returns whether the checkpoint is recorded.
    let checkpoint = async |minutes: i64| {
        let feed = Feed::default();
        *feed.0.lock().unwrap() = log.scan_to_end().await.unwrap().iter().map(|it| it.hash).collect();
        let signed = Integration { feed: &feed, store: &store, signer: &signer() }.run().await.unwrap();
        match signed {
            Some(signed) => Some(record(&log, &acme, &signed, INTERVAL, at(minutes)).await.unwrap()),
            None => None,
        }
    };
    append(0).await;
    assert_eq!(checkpoint(0).await, Some(false), "the project has just begun");
    append(59).await;
    assert_eq!(checkpoint(59).await, Some(false));
    append(60).await;
    assert_eq!(checkpoint(60).await, Some(true));
    for minutes in [61, 121, 200] {
        let expected = (minutes == 61).then_some(false);
        assert_eq!(checkpoint(minutes).await, expected, "only the recorded checkpoint is new");
    }
    append(201).await;
    assert_eq!(checkpoint(201).await, Some(true), "an hour has passed and there is another commit");
    append(210).await;
    assert_eq!(checkpoint(210).await, Some(false), "within the hour");
    let recorded = log.read_to_end(&StreamId::Audit(acme.clone()), 1).await.unwrap();
    assert_eq!(recorded.len(), 2);
}
