//! Contract tests of the [slots of projects](crate::ports::encode_slots), which every adapter runs.
//!
//! An adapter describes in an [`EncodeSlotsHarness`] how its store is opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::encode_slots_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::future::join_all;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;

use super::{EncodeSlots, SlotHolder, Waiting};

/// An empty store that can be opened any number of times.
pub trait EncodeSlotsHarness: Send + Sync {
    /// The adapter under test.
    type Store: EncodeSlots + 'static;

    /// Opens the store. All handles access the same slots.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}

/// Makes each property of the [contract](crate::ports::encode_slots::contract) a test of the adapter whose [`EncodeSlotsHarness`] the
/// expression creates.
#[macro_export]
macro_rules! encode_slots_contract {
    ($harness:expr) => {
        $crate::encode_slots_contract! { $harness =>
            a_slot_is_taken_once_however_often_it_is_asked_for
            a_slot_passes_to_the_next_attempt_and_no_earlier_one_releases_it
            a_project_without_slots_gets_none
            slots_and_queues_are_those_of_the_model_in_any_order_of_calls
            racing_calls_never_exceed_the_limit
            a_queue_is_in_order_and_has_each_place_once
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::ports::encode_slots::contract::$property(&$harness).await;
            }
        )*
    };
}

fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

fn video(number: u64) -> VideoId {
    let key: SourceKey = format!("projects/acme/{number}.mp4").parse().unwrap();
    VideoId::of(&key)
}

fn holder(number: u64, generation: u32, attempt: u32) -> SlotHolder {
    SlotHolder { video_id: video(number), generation, attempt }
}

fn waiting(seconds: i64, number: u64) -> Waiting {
    Waiting { since: Timestamp::from_unix_seconds(1_800_000_000 + seconds), video_id: video(number) }
}

/// Taking a slot again succeeds, also when the limit was lowered since, and takes no second one.
pub async fn a_slot_is_taken_once_however_often_it_is_asked_for<H: EncodeSlotsHarness>(harness: &H) {
    let (slots, acme) = (harness.open().await, project("acme"));
    let one = holder(1, 1, 1);
    for most in [2, 2, 1, 0] {
        assert!(slots.take(&acme, &one, most).await.unwrap(), "with a limit of {most}");
    }
    assert_eq!(slots.holders(&acme).await.unwrap(), std::slice::from_ref(&one));
    assert!(slots.take(&acme, &holder(2, 1, 1), 2).await.unwrap());
    assert!(!slots.take(&acme, &holder(3, 1, 1), 2).await.unwrap());
    assert!(slots.take(&project("other"), &holder(3, 1, 1), 1).await.unwrap(), "each project has its own");
    assert!(slots.release(&acme, &one).await.unwrap());
    assert!(!slots.release(&acme, &one).await.unwrap(), "it is released once");
    assert!(slots.take(&acme, &holder(3, 1, 1), 2).await.unwrap());
    assert!(!slots.take(&acme, &one, 2).await.unwrap());
}

/// At most one attempt of a video has a slot, and the end of an earlier one, reported late, does not release that of a later one.
pub async fn a_slot_passes_to_the_next_attempt_and_no_earlier_one_releases_it<H: EncodeSlotsHarness>(
    harness: &H,
) {
    let (slots, acme) = (harness.open().await, project("acme"));
    assert!(slots.take(&acme, &holder(1, 1, 9), 1).await.unwrap());
    for later in [holder(1, 1, 10), holder(1, 2, 1)] {
        assert!(slots.take(&acme, &later, 1).await.unwrap());
        assert_eq!(slots.holders(&acme).await.unwrap(), [later]);
    }
    assert!(!slots.release(&acme, &holder(1, 1, 10)).await.unwrap());
    assert!(slots.take(&acme, &holder(1, 1, 10), 1).await.unwrap(), "its video has a slot");
    assert_eq!(slots.holders(&acme).await.unwrap(), [holder(1, 2, 1)]);
    assert!(!slots.take(&acme, &holder(2, 1, 1), 1).await.unwrap());
    assert!(slots.release(&acme, &holder(1, 2, 3)).await.unwrap(), "a later end releases it");
    assert!(slots.holders(&acme).await.unwrap().is_empty());
}

/// A limit of zero is a limit, also before anything was taken.
pub async fn a_project_without_slots_gets_none<H: EncodeSlotsHarness>(harness: &H) {
    let (slots, acme) = (harness.open().await, project("acme"));
    assert!(!slots.take(&acme, &holder(1, 1, 1), 0).await.unwrap());
    assert!(slots.take(&acme, &holder(1, 1, 1), 1).await.unwrap());
    assert!(slots.release(&acme, &holder(1, 1, 1)).await.unwrap());
    assert!(!slots.take(&acme, &holder(1, 1, 1), 0).await.unwrap());
}

/// Random calls, compared with a model.
pub async fn slots_and_queues_are_those_of_the_model_in_any_order_of_calls<H: EncodeSlotsHarness>(
    harness: &H,
) {
    let slots = harness.open().await;
    for seed in 0..4 {
        let project_id = project(&format!("project-{seed}"));
        let mut random = fastrand::Rng::with_seed(seed);
        let mut held: BTreeMap<VideoId, (u32, u32)> = BTreeMap::new();
        let mut queue: BTreeSet<Waiting> = BTreeSet::new();
        for step in 0..120 {
            let attempt = random.u32(1..=3);
            let it = holder(random.u64(..5), random.u32(1..=2), attempt);
            let order = (it.generation, it.attempt);
            match random.u64(..5) {
                0 | 1 => {
                    let most = random.u64(1..=3);
                    let has = held.contains_key(&it.video_id) || (held.len() as u64) < most;
                    let taken = slots.take(&project_id, &it, most).await.unwrap();
                    assert_eq!(taken, has, "seed {seed}, step {step}: {it:?} of at most {most}, {held:?}");
                    if has {
                        let known = held.entry(it.video_id.clone()).or_insert(order);
                        *known = order.max(*known);
                    }
                }
                2 => {
                    let is_released = held.get(&it.video_id).is_some_and(|known| *known <= order);
                    let released = slots.release(&project_id, &it).await.unwrap();
                    assert_eq!(released, is_released, "seed {seed}, step {step}: {it:?}, {held:?}");
                    if is_released {
                        held.remove(&it.video_id);
                    }
                }
                3 => {
                    let place = waiting(i64::from(attempt), random.u64(..5));
                    slots.enqueue(&project_id, &place).await.unwrap();
                    queue.insert(place);
                }
                _ => {
                    let place = waiting(i64::from(attempt), random.u64(..5));
                    slots.dequeue(&project_id, &place).await.unwrap();
                    queue.remove(&place);
                }
            }
        }
        let mut found = slots.holders(&project_id).await.unwrap();
        found.sort();
        let expected = held.into_iter().map(|(video_id, (generation, attempt))| SlotHolder {
            video_id,
            generation,
            attempt,
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "seed {seed}");
        let expected: Vec<Waiting> = queue.into_iter().collect();
        assert_eq!(slots.queue(&project_id, 100).await.unwrap(), expected, "seed {seed}");
    }
}

/// Many processes take and release slots at the same time.
pub async fn racing_calls_never_exceed_the_limit<H: EncodeSlotsHarness>(harness: &H) {
    const MOST: u64 = 3;
    let acme = project("acme");
    let opened = join_all((0..8).map(|_| harness.open())).await;
    let calls = opened.iter().zip(0..).map(|(slots, number)| {
        let acme = &acme;
        async move {
            let it = holder(number, 1, 1);
            loop {
                // A conflict with another process may fail the call, which is then repeated.
                match slots.take(acme, &it, MOST).await {
                    Ok(taken) => return taken.then_some(it),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        }
    });
    let taken: Vec<SlotHolder> = join_all(calls).await.into_iter().flatten().collect();
    assert_eq!(taken.len() as u64, MOST);
    // While one slot is released and taken again, the others stay.
    let (released, kept) = (taken[0].clone(), &taken[1..]);
    let repeats = async {
        for _ in 0..5 {
            while opened[0].release(&acme, &released).await.is_err() {}
            while opened[0].take(&acme, &released, MOST).await.is_err() {}
        }
    };
    let observes = async {
        for _ in 0..10 {
            let holders = opened[1].holders(&acme).await.unwrap();
            assert!(holders.len() as u64 <= MOST, "{holders:?}");
            assert!(kept.iter().all(|it| holders.contains(it)), "{holders:?}");
        }
    };
    futures::join!(repeats, observes);
    // Each is counted: as many as were taken can be released, and taken again.
    for it in opened[2].holders(&acme).await.unwrap() {
        assert!(opened[2].release(&acme, &it).await.unwrap());
    }
    for number in 20..20 + MOST {
        assert!(opened[3].take(&acme, &holder(number, 1, 1), MOST).await.unwrap());
    }
    assert!(!opened[3].take(&acme, &holder(30, 1, 1), MOST).await.unwrap());
}

/// The queue is by time, then by video.
pub async fn a_queue_is_in_order_and_has_each_place_once<H: EncodeSlotsHarness>(harness: &H) {
    let (slots, acme) = (harness.open().await, project("acme"));
    let mut places: Vec<Waiting> =
        (0..12).map(|number| waiting(i64::try_from((7 * number) % 5).unwrap(), number)).collect();
    for place in places.iter().chain(&places) {
        slots.enqueue(&acme, place).await.unwrap();
    }
    places.sort();
    for limit in [1, 5, 12, 50] {
        assert_eq!(slots.queue(&acme, limit).await.unwrap(), places[..limit.min(12)]);
    }
    assert!(slots.queue(&project("other"), 10).await.unwrap().is_empty());
    for place in &places[..3] {
        slots.dequeue(&acme, place).await.unwrap();
        slots.dequeue(&acme, place).await.unwrap();
    }
    assert_eq!(slots.queue(&acme, 50).await.unwrap(), places[3..]);
}
