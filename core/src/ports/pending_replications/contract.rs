//! Contract tests of the [pending replications](crate::ports::pending_replications), which every adapter runs.
//!
//! An adapter describes in a [`PendingReplicationsHarness`] how its store is opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::pending_replications_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use streamio_events::id::ProjectId;
use streamio_events::timestamp::Timestamp;

use super::{PendingReplication, PendingReplications};

/// An empty store that can be opened any number of times.
pub trait PendingReplicationsHarness: Send + Sync {
    /// The adapter under test.
    type Store: PendingReplications + 'static;

    /// Opens the store. All handles access the same list.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}

/// Makes each property of the [contract](crate::ports::pending_replications::contract) a test of the adapter whose
/// [`PendingReplicationsHarness`] the expression creates.
#[macro_export]
macro_rules! pending_replications_contract {
    ($harness:expr) => {
        $crate::pending_replications_contract! { $harness =>
            entries_are_listed_when_they_are_due_in_the_order_of_their_times
            entries_of_a_project_are_removed_separately
            entries_are_those_of_the_model_in_any_order_of_calls
            racing_processes_get_entries_of_their_own
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::ports::pending_replications::contract::$property(&$harness).await;
            }
        )*
    };
}

fn project(number: usize) -> ProjectId {
    format!("project-{number}").parse().unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000).plus(Duration::from_millis(millis))
}

fn projects(entries: &[PendingReplication]) -> Vec<ProjectId> {
    entries.iter().map(|entry| entry.project_id.clone()).collect()
}

/// An entry is due from its time on, to the millisecond, and a limit leaves out those that are due last.
pub async fn entries_are_listed_when_they_are_due_in_the_order_of_their_times<H>(harness: &H)
where
    H: PendingReplicationsHarness,
{
    let store = harness.open().await;
    assert_eq!(store.due(at(9), 9).await.unwrap(), []);
    for (number, millis) in [(1, 20), (2, 1000), (3, 10)] {
        store.add(&project(number), at(millis)).await.unwrap();
    }
    for (now, expected) in
        [(9, &[][..]), (10, &[3]), (19, &[3]), (20, &[3, 1]), (999, &[3, 1]), (1000, &[3, 1, 2])]
    {
        let expected: Vec<_> = expected.iter().map(|number| project(*number)).collect();
        assert_eq!(projects(&store.due(at(now), 9).await.unwrap()), expected, "after {now} ms");
    }
    assert_eq!(projects(&store.due(at(1000), 2).await.unwrap()), [project(3), project(1)]);
    assert_eq!(store.due(at(1000), 0).await.unwrap(), []);
}

/// Two entries of one project and one time are two entries. Removing one again changes nothing.
pub async fn entries_of_a_project_are_removed_separately<H: PendingReplicationsHarness>(harness: &H) {
    let store = harness.open().await;
    let first = store.add(&project(1), at(10)).await.unwrap();
    let second = store.add(&project(1), at(10)).await.unwrap();
    assert_ne!(first, second);
    for _ in 0..2 {
        store.remove(&first).await.unwrap();
        let left = PendingReplication { id: second.clone(), project_id: project(1) };
        assert_eq!(store.due(at(10), 9).await.unwrap(), [left]);
    }
    store.remove(&second).await.unwrap();
    assert_eq!(store.due(at(10), 9).await.unwrap(), []);
}

/// Any calls have the results of a list in memory.
pub async fn entries_are_those_of_the_model_in_any_order_of_calls<H: PendingReplicationsHarness>(
    harness: &H,
) {
    let store = harness.open().await;
    let mut random = fastrand::Rng::with_seed(1);
    let mut model: Vec<(u64, PendingReplication)> = Vec::new();
    for _ in 0..200 {
        let number = random.usize(..3);
        // Each at another time, so that their order is determined.
        let millis = random.u64(..100_000);
        match random.u8(..4) {
            0 | 1 if model.iter().all(|(at, _)| *at != millis) => {
                let project_id = project(number);
                let id = store.add(&project_id, at(millis)).await.unwrap();
                model.push((millis, PendingReplication { id, project_id }));
                model.sort_by_key(|(at, _)| *at);
            }
            2 if !model.is_empty() => {
                let (_, entry) = model.remove(random.usize(..model.len()));
                store.remove(&entry.id).await.unwrap();
            }
            _ => {
                let due = model.iter().filter(|(at, _)| *at <= millis);
                let limit = random.usize(1..20);
                let expected: Vec<_> = due.take(limit).map(|(_, entry)| entry.clone()).collect();
                assert_eq!(store.due(at(millis), limit).await.unwrap(), expected);
            }
        }
    }
}

/// Processes that add entries at the same time get different ids, and the list has all entries.
pub async fn racing_processes_get_entries_of_their_own<H: PendingReplicationsHarness>(harness: &H) {
    const PROCESSES: usize = 8;
    let stores = join_all((0..PROCESSES).map(|_| harness.open())).await;
    let acme = project(1);
    let added = join_all(stores.iter().map(|store| store.add(&acme, at(10)))).await;
    let added: BTreeSet<_> = added.into_iter().map(Result::unwrap).collect();
    assert_eq!(added.len(), PROCESSES);
    let listed = stores[0].due(at(10), 100).await.unwrap();
    assert_eq!(listed.into_iter().map(|entry| entry.id).collect::<BTreeSet<_>>(), added);
}
