//! Integration of commits into a stored tree: what is signed and stored after crashes at every step.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::executor::block_on;
use proptest::prelude::*;
use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::compare;
use streamio_core::audit::integration::{BATCH, Integrated, Integration, IntegrationError};
use streamio_core::audit::node_hash::NodeHash;
use streamio_core::audit::note::SignedNote;
use streamio_core::audit::recording::{INTERVAL, Recording, last_recorded, record};
use streamio_core::audit::tree::RightEdge;
use streamio_core::ports::AdapterError;
use streamio_core::ports::feed_hashes::FeedHashes;
use streamio_core::testing::MemoryTiles;
use streamio_events::commit::{CommitHash, NewCommit};
use streamio_events::event::{AuditCheckpointed, ProjectCreated};
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

fn integrate(feed: &Feed, store: &MemoryTiles) -> Result<Option<Integrated>, IntegrationError> {
    integrate_recorded(feed, store, None)
}

fn integrate_recorded(
    feed: &Feed,
    store: &MemoryTiles,
    recorded: Option<&AuditCheckpointed>,
) -> Result<Option<Integrated>, IntegrationError> {
    block_on(Integration { feed, store, signer: &signer(), recorded }.run())
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
        let other = Integration { feed: &self.feed, store: &self.store, signer: &signer(), recorded: None };
        other.run().await?;
        Ok(hashes)
    }
}

#[test]
fn a_checkpoint_that_another_process_has_replaced_is_not_replaced_again() {
    let racing = Racing { feed: Feed::of(10), store: MemoryTiles::default() };
    let late = block_on(
        Integration { feed: &racing, store: &racing.store, signer: &signer(), recorded: None }.run(),
    );
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
        let error =
            block_on(Integration { feed: &feed, store: &store, signer: &other, recorded: None }.run())
                .unwrap_err();
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
    // Integrates all commits, and records the stored checkpoint if that is due.
    let checkpoint = async |minutes: i64| {
        let feed = Feed::default();
        *feed.0.lock().unwrap() = log.scan_to_end().await.unwrap().iter().map(|it| it.hash).collect();
        let integration = Integration { feed: &feed, store: &store, signer: &signer(), recorded: None };
        let is_new = integration.run().await.unwrap().is_some();
        let signed = integration.stored().await.unwrap().unwrap();
        (is_new, record(&log, &acme, &signed, INTERVAL, at(minutes)).await.unwrap())
    };
    let not_before = |minutes: i64| Recording::NotBefore(at(minutes));
    append(0).await;
    assert_eq!(checkpoint(0).await, (true, not_before(60)), "the project has just begun");
    append(59).await;
    assert_eq!(checkpoint(59).await, (true, not_before(60)));
    assert_eq!(checkpoint(60).await, (false, Recording::Recorded), "the last commit before a quiet time");
    for minutes in [61, 121, 200] {
        let expected = (minutes == 61, Recording::NotNeeded);
        assert_eq!(checkpoint(minutes).await, expected, "only the recorded checkpoint is new");
    }
    append(201).await;
    assert_eq!(checkpoint(201).await, (true, Recording::Recorded), "an hour has passed since the last one");
    append(210).await;
    assert_eq!(checkpoint(210).await, (true, not_before(261)), "within the hour");
    assert_eq!(checkpoint(260).await, (false, not_before(261)));
    assert_eq!(checkpoint(261).await, (false, Recording::Recorded));
    let recorded = log.read_to_end(&StreamId::Audit(acme.clone()), 1).await.unwrap();
    assert_eq!(recorded.len(), 3);
    let last = last_recorded(&log, &acme).await.unwrap().unwrap();
    // All of the four other commits, and the recordings before.
    assert_eq!((last.size, verified(&last.checkpoint).size()), (6, 6));
    assert_eq!(last_recorded(&log, &"zebra".parse().unwrap()).await.unwrap(), None);
}

/// The stored checkpoint as it would be recorded.
fn recorded(store: &MemoryTiles) -> AuditCheckpointed {
    let note = store.checkpoints().last().unwrap().clone();
    AuditCheckpointed { size: verified(&note).size(), checkpoint: note }
}

/// Somebody with write access to the files, but without the key, can replace the last checkpoint by an older one and compute the tiles of a
/// changed log.
#[test]
fn an_older_or_missing_checkpoint_than_the_recorded_one_is_not_continued() {
    let old = || {
        let store = MemoryTiles::default();
        integrate(&Feed::of(100), &store).unwrap();
        store
    };
    let (feed, store) = (Feed::of(300), old());
    integrate(&feed, &store).unwrap();
    let last = recorded(&store);
    assert_eq!(integrate_recorded(&feed, &store, Some(&last)).unwrap(), None, "it is the stored one");
    for forged in [false, true] {
        if forged {
            feed.0.lock().unwrap()[200] = hash(9999);
        }
        for (store, stored) in [(old(), Some(100)), (MemoryTiles::default(), None)] {
            let before = (store.tiles(), store.checkpoints());
            let error = integrate_recorded(&feed, &store, Some(&last)).unwrap_err();
            let is_older =
                matches!(error, IntegrationError::Older { stored: found, recorded: 300 } if found == stored);
            assert!(is_older, "{error}");
            assert_eq!((store.tiles(), store.checkpoints()), before, "nothing is signed or stored");
            // The way out, which a changed log does not have.
            let signer = signer();
            let integration =
                Integration { feed: &feed, store: &store, signer: &signer, recorded: Some(&last) };
            let recovered = block_on(integration.recover());
            if forged {
                assert!(matches!(recovered, Err(IntegrationError::Root { size: 300, .. })), "{recovered:?}");
                continue;
            }
            assert_eq!(recovered.unwrap(), Some(300));
            feed.grow_to(310);
            integrate_recorded(&feed, &store, Some(&last)).unwrap();
            check(&feed, &store);
            feed.0.lock().unwrap().truncate(300);
        }
    }
}

#[test]
fn a_recorded_checkpoint_of_another_key_is_an_error() {
    let (feed, store) = (Feed::of(3), MemoryTiles::default());
    integrate(&feed, &store).unwrap();
    let mut last = recorded(&store);
    last.checkpoint = last.checkpoint.replace("\n3\n", "\n4\n");
    let error = integrate_recorded(&feed, &store, Some(&last)).unwrap_err();
    assert!(matches!(error, IntegrationError::Recorded { size: 3, .. }), "{error}");
}

/// The first checkpoint of a large log does not wait until all of it is read.
#[test]
fn a_large_log_is_signed_in_steps() {
    let (size, batch) = (2 * BATCH as u64 + 10, BATCH as u64);
    let (feed, store) = (Feed::of(size), MemoryTiles::default());
    for (expected, more) in [(batch, true), (2 * batch, true), (size, false)] {
        let step = integrate(&feed, &store).unwrap().unwrap();
        assert_eq!((step.signed.checkpoint.size(), step.more), (expected, more));
    }
    assert_eq!(integrate(&feed, &store).unwrap(), None);
    check(&feed, &store);
}
