//! Replication of tenants to the edge, whose store fails at times.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use streamio_core::delivery::batch::{Batch, Record, RetryPolicy};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{PendingId, PendingReplication, PendingReplications as _};
use streamio_core::ports::project_feed::{FeedPlaces, PlaceError};
use streamio_core::views::directory::tenants_of;
use streamio_core::views::projection::{self, project, project_batch};
use streamio_core::views::replication::{LONGEST_WRITE, PendingReport, Ports, replicate, replicate_pending};
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::commit::Commit;
use streamio_events::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectResumed, ProjectSuspended, Scope,
};
use streamio_events::id::ProjectId;
use streamio_events::log::EventLogExt as _;
use streamio_events::project::Project;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{self, append, poison, policy, start};
use crate::memory::MemoryKv;
use crate::projection::ports as of_commit;
use crate::test_dynamo::{TABLE, TestDynamo};

const LONG: Duration = Duration::from_mins(1);

/// More entries than a test has.
const ALL: usize = 100;

/// When no writer that began at the start can write.
fn later() -> Timestamp {
    start().plus(LONGEST_WRITE)
}

/// Returns the projects of the entries that are due at `now`.
async fn due(views: &DynamoViews, now: Timestamp) -> Vec<ProjectId> {
    let entries = views.due(now, ALL).await.unwrap();
    entries.into_iter().map(|entry| entry.project_id).collect()
}

fn ports<'a>(dynamo: &'a TestDynamo, views: &'a DynamoViews, kv: &'a MemoryKv) -> Ports<'a> {
    Ports { log: &dynamo.log, tenants: views, kv, pending: views }
}

fn hash(number: u8) -> KeyHash {
    ApiKey::generate("live", [number; 32]).unwrap().hash()
}

fn created(number: u8) -> EventBody {
    let (key_id, key_hash) = (hash(number).key_id(), hash(number));
    KeyCreated { key_id, key_hash, scopes: vec![Scope::Upload], label: None, expires_at: None }.into()
}

fn revoked(number: u8) -> EventBody {
    KeyRevoked { key_id: hash(number).key_id(), reason: None }.into()
}

async fn append_events(dynamo: &TestDynamo, name: &str, cause: &str, bodies: Vec<EventBody>) -> ProjectId {
    let project_id = fixtures::project(name);
    append(&dynamo.log, &StreamId::Project(project_id.clone()), cause, start(), bodies).await;
    project_id
}

/// Returns the expected records of a project.
async fn folded(dynamo: &TestDynamo, project_id: &ProjectId) -> BTreeMap<String, String> {
    let commits = dynamo.log.read_to_end(&StreamId::Project(project_id.clone()), 1).await.unwrap();
    let project = Project::fold(project_id.clone(), &commits).unwrap();
    tenants_of(&project).map(|(hash, tenant)| (Tenant::stored_name(&hash), tenant.to_stored())).collect()
}

#[tokio::test]
async fn records_that_the_edge_rejects_block_nothing_and_are_put_later() {
    let dynamo = TestDynamo::new();
    let (views, kv, policy) = (dynamo.views().await, MemoryKv::default(), policy());
    let project_id =
        append_events(&dynamo, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    replicate(ports(&dynamo, &views, &kv), &project_id, start()).await.unwrap();
    assert_eq!(due(&views, later()).await, []);

    kv.is_down.store(true, Ordering::Relaxed);
    let stream = StreamId::Project(project_id.clone());
    let commit = append(&dynamo.log, &stream, "b", start(), vec![revoked(1)]).await;
    let of_commit = of_commit(&dynamo, &views, &policy, &kv);
    project(of_commit, &commit, &start).await.unwrap();
    assert_eq!(due(&views, start()).await, std::slice::from_ref(&project_id));
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { failed: 1, ..PendingReport::default() });

    kv.is_down.store(false, Ordering::Relaxed);
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { replicated: 1, ..PendingReport::default() });
    assert_eq!(kv.all(), folded(&dynamo, &project_id).await);
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport::default());
    // What the store rejected may take effect later, so the records are written once more.
    let report = replicate_pending(ports(&dynamo, &views, &kv), &later, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { replicated: 1, ..PendingReport::default() });
    assert_eq!(due(&views, later()).await, []);
}

/// A feed whose writes are throttled.
struct ThrottledFeed;

#[async_trait]
impl FeedPlaces for ThrottledFeed {
    async fn place(&self, _: &Commit) -> Result<u64, PlaceError> {
        Err(PlaceError::Unavailable("throttled".into()))
    }
}

/// A flood of events with a leaked key must not prevent the revocation of that key. If the revoking commit becomes a dead
/// letter, the project is still pending for the sweep.
#[tokio::test]
async fn a_throttled_feed_does_not_delay_a_revocation() {
    let dynamo = TestDynamo::new();
    let (views, kv, policy) = (dynamo.views().await, MemoryKv::default(), policy());
    let project_id =
        append_events(&dynamo, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    replicate(ports(&dynamo, &views, &kv), &project_id, start()).await.unwrap();
    let stream = StreamId::Project(project_id.clone());
    let commit = append(&dynamo.log, &stream, "b", start(), vec![revoked(1)]).await;
    let of_commit = projection::Ports { places: &ThrottledFeed, ..of_commit(&dynamo, &views, &policy, &kv) };
    assert!(project(of_commit, &commit, &start).await.unwrap_err().is_retryable());
    assert_eq!(kv.all(), folded(&dynamo, &project_id).await);

    let record = Record {
        sequence: "1".to_owned(),
        id: "event-1".to_owned(),
        arrived_at: start(),
        payload: serde_json::to_string(&commit).unwrap(),
        content: Ok(commit),
    };
    let retry_policy = RetryPolicy::since_arrival(Duration::from_mins(10));
    let batch = Batch { function: "views", dead_letters: &views, retry_policy: &retry_policy };
    let late = || start().plus(Duration::from_mins(11));
    let report = project_batch(batch, of_commit, &[record], &late).await;
    assert_eq!((report.handled, report.dead_lettered), (0, 1));
    assert_eq!(due(&views, late()).await, [project_id]);
}

/// Earlier releases had one entry for each project, with the version that the edge lacked.
#[tokio::test]
async fn entries_of_earlier_releases_are_due_at_once_and_stay_if_their_version_was_raised() {
    let dynamo = TestDynamo::new();
    let (views, kv) = (dynamo.views().await, MemoryKv::default());
    let events = vec![ProjectCreated { name: None }.into(), created(1)];
    let acme = append_events(&dynamo, "acme", "a", events).await;
    let globex = fixtures::project("globex");
    let mark = async |project_id: &ProjectId, version: u64| {
        let put = dynamo.client().put_item().table_name(TABLE);
        let put = put.item("pk", AttributeValue::S("pending-replication".to_owned()));
        let put = put.item("sk", AttributeValue::S(project_id.to_string()));
        put.item("version", AttributeValue::N(version.to_string())).send().await.unwrap();
    };
    mark(&acme, 1).await;
    mark(&globex, 3).await;
    let entry = |project_id: &ProjectId, version: u64| PendingReplication {
        id: PendingId(format!("{project_id}@{version}")),
        project_id: project_id.clone(),
    };
    assert_eq!(views.due(start(), 9).await.unwrap(), [entry(&acme, 1), entry(&globex, 3)]);
    assert_eq!(views.due(start(), 1).await.unwrap(), [entry(&acme, 1)]);
    mark(&globex, 4).await;
    views.remove(&entry(&globex, 3).id).await.unwrap();
    assert_eq!(views.due(start(), 9).await.unwrap(), [entry(&acme, 1), entry(&globex, 4)]);
    for _ in 0..2 {
        views.remove(&entry(&globex, 4).id).await.unwrap();
    }
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { replicated: 1, ..PendingReport::default() });
    assert_eq!(kv.all(), folded(&dynamo, &acme).await);
    assert_eq!(views.due(later(), 9).await.unwrap(), []);
}

#[tokio::test]
async fn an_unreadable_project_does_not_block_the_others() {
    let dynamo = TestDynamo::new();
    let (views, kv) = (dynamo.views().await, MemoryKv::default());
    let broken =
        append_events(&dynamo, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    let sound =
        append_events(&dynamo, "globex", "a", vec![ProjectCreated { name: None }.into(), created(2)]).await;
    poison(&dynamo.log, &StreamId::Project(broken.clone()), start()).await;
    for project_id in [&broken, &sound] {
        views.add(project_id, start()).await.unwrap();
    }
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { replicated: 1, failed: 1, left: 0 });
    assert_eq!(due(&views, start()).await, [broken]);
    assert_eq!(kv.all(), folded(&dynamo, &sound).await);
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, Duration::ZERO).await.unwrap();
    assert_eq!(report, PendingReport { left: 1, ..PendingReport::default() });
}

#[tokio::test]
async fn after_a_few_failed_projects_the_rest_waits_for_the_next_sweep() {
    let dynamo = TestDynamo::new();
    let (views, kv) = (dynamo.views().await, MemoryKv::default());
    kv.is_down.store(true, Ordering::Relaxed);
    for name in ["acme", "globex", "hooli", "initech", "umbrella"] {
        let events = vec![ProjectCreated { name: None }.into(), created(1)];
        let project_id = append_events(&dynamo, name, "a", events).await;
        replicate(ports(&dynamo, &views, &kv), &project_id, start()).await.unwrap();
    }
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { failed: 3, left: 2, ..PendingReport::default() });
    kv.is_down.store(false, Ordering::Relaxed);
    let report = replicate_pending(ports(&dynamo, &views, &kv), &start, 9, LONG).await.unwrap();
    assert_eq!(report, PendingReport { replicated: 5, ..PendingReport::default() });
}

#[derive(Debug, Clone)]
enum Step {
    Key(u8),
    Revoked(u8),
    Suspended,
    Resumed,
    Sweep,
    /// Changes the behaviour of the edge's store.
    Store(Mode),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Up,
    Down,
    /// Stores records, and returns an error.
    ResponseLost,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{Key, Resumed, Revoked, Store, Suspended, Sweep};
    prop_oneof![
        2 => (0u8..4).prop_map(Key),
        2 => (0u8..4).prop_map(Revoked),
        1 => Just(Suspended),
        1 => Just(Resumed),
        2 => Just(Sweep),
        4 => prop_oneof![Just(Mode::Up), Just(Mode::Down), Just(Mode::ResponseLost)].prop_map(Store),
    ]
}

struct UnreliableKv {
    kv: MemoryKv,
    mode: Mutex<Mode>,
}

#[async_trait]
impl KvNamespace for UnreliableKv {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        let mode = *self.mode.lock().unwrap();
        if mode != Mode::Down {
            self.kv.put_all(records).await?;
        }
        if mode == Mode::Up { Ok(()) } else { Err(KvNamespaceError("no response".into())) }
    }
}

/// Each event is replicated once, when it is appended. Whatever the store does then and during sweeps, the edge has the newest
/// records after the next sweep with a working store.
#[test]
fn the_edge_gets_the_newest_records_after_any_failures() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dynamo = TestDynamo::new();
    let views = runtime.block_on(dynamo.views());
    let cases = std::sync::atomic::AtomicUsize::new(0);
    proptest!(ProptestConfig::with_cases(48), |(steps in prop::collection::vec(step(), 1..14))| {
        let name = format!("project-{}", cases.fetch_add(1, Ordering::Relaxed));
        let kv = UnreliableKv { kv: MemoryKv::default(), mode: Mutex::new(Mode::Up) };
        runtime.block_on(async {
            let directory = Ports { log: &dynamo.log, tenants: &views, kv: &kv, pending: &views };
            let first = vec![ProjectCreated { name: None }.into(), created(0)];
            let project_id = append_events(&dynamo, &name, "first", first).await;
            replicate(directory, &project_id, start()).await.unwrap();
            for (place, step) in steps.iter().enumerate() {
                let body = match step {
                    Step::Key(number) => created(*number),
                    Step::Revoked(number) => revoked(*number),
                    Step::Suspended => ProjectSuspended { reason: None }.into(),
                    Step::Resumed => ProjectResumed {}.into(),
                    Step::Sweep => {
                        replicate_pending(directory, &start, ALL, LONG).await.unwrap();
                        continue;
                    }
                    Step::Store(mode) => {
                        *kv.mode.lock().unwrap() = *mode;
                        continue;
                    }
                };
                append_events(&dynamo, &name, &place.to_string(), vec![body]).await;
                replicate(directory, &project_id, start()).await.unwrap();
            }
            *kv.mode.lock().unwrap() = Mode::Up;
            let report = replicate_pending(directory, &start, ALL, LONG).await.unwrap();
            let (has, should) = (kv.kv.all(), folded(&dynamo, &project_id).await);
            let left = due(&views, start()).await;
            // What remains is due when no write can take effect any more. After a failure, what else remains is removed here, for the
            // cases with which proptest shrinks it.
            for entry in views.due(later(), ALL).await.unwrap() {
                views.remove(&entry.id).await.unwrap();
            }
            prop_assert_eq!(has, should, "{:?}", report);
            prop_assert!(left.is_empty(), "{:?}", left);
            Ok(())
        })?;
    });
}
