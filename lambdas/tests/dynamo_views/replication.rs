//! The directory of tenants, and an edge that sometimes takes nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use streamio_core::delivery::batch::{Batch, Patience, Record};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_core::ports::project_feed::{FeedWriteError, FeedWriter};
use streamio_core::views::directory::tenants_of;
use streamio_core::views::projection::{self, project, project_batch};
use streamio_core::views::replication::{Brought, Ports, bring_pending, replicate};
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

use crate::bed::DynamoBed;
use crate::given::{self, append, poison, policy, start};
use crate::memory::MemoryKv;
use crate::projection::ports as of_commit;

const LONG: Duration = Duration::from_mins(1);

fn ports<'a>(bed: &'a DynamoBed, views: &'a DynamoViews, kv: &'a MemoryKv) -> Ports<'a> {
    Ports { log: &bed.log, tenants: views, kv, pending: views }
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

async fn happens(bed: &DynamoBed, name: &str, cause: &str, bodies: Vec<EventBody>) -> ProjectId {
    let project_id = given::project(name);
    append(&bed.log, &StreamId::Project(project_id.clone()), cause, start(), bodies).await;
    project_id
}

/// What the edge should have of a project.
async fn folded(bed: &DynamoBed, project_id: &ProjectId) -> BTreeMap<String, String> {
    let commits = bed.log.read_to_end(&StreamId::Project(project_id.clone()), 1).await.unwrap();
    let project = Project::fold(project_id.clone(), &commits).unwrap();
    tenants_of(&project).map(|(hash, tenant)| (Tenant::stored_name(&hash), tenant.to_stored())).collect()
}

#[tokio::test]
async fn what_the_edge_does_not_take_holds_up_nothing_and_is_brought_later() {
    let bed = DynamoBed::new();
    let (views, kv, policy) = (bed.views().await, MemoryKv::default(), policy());
    let project_id = happens(&bed, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    replicate(ports(&bed, &views, &kv), &project_id).await.unwrap();
    assert!(views.pending(9).await.unwrap().is_empty());

    kv.is_down.store(true, Ordering::Relaxed);
    let stream = StreamId::Project(project_id.clone());
    let commit = append(&bed.log, &stream, "b", start(), vec![revoked(1)]).await;
    let of_commit = of_commit(&bed, &views, &policy, &kv);
    project(of_commit, &commit, start()).await.unwrap();
    assert_eq!(views.pending(9).await.unwrap(), std::slice::from_ref(&project_id));
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought { failed: 1, ..Brought::default() });

    kv.is_down.store(false, Ordering::Relaxed);
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought { replicated: 1, ..Brought::default() });
    assert_eq!(kv.all(), folded(&bed, &project_id).await);
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought::default());
}

/// A feed that is written too fast to be written.
struct ThrottledFeed;

#[async_trait]
impl FeedWriter for ThrottledFeed {
    async fn project(&self, _: &Commit, _: Timestamp) -> Result<bool, FeedWriteError> {
        Err(FeedWriteError::Unavailable("throttled".into()))
    }
}

/// Whoever floods the feed, with a key that leaked, must not keep that key from being revoked; and when the commit that
/// revokes it is given up at last, the sweep still knows of it.
#[tokio::test]
async fn a_feed_that_takes_nothing_keeps_no_key_alive() {
    let bed = DynamoBed::new();
    let (views, kv, policy) = (bed.views().await, MemoryKv::default(), policy());
    let project_id = happens(&bed, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    replicate(ports(&bed, &views, &kv), &project_id).await.unwrap();
    let stream = StreamId::Project(project_id.clone());
    let commit = append(&bed.log, &stream, "b", start(), vec![revoked(1)]).await;
    let of_commit = projection::Ports { feed: &ThrottledFeed, ..of_commit(&bed, &views, &policy, &kv) };
    assert!(project(of_commit, &commit, start()).await.unwrap_err().is_retryable());
    assert_eq!(kv.all(), folded(&bed, &project_id).await);

    let record = Record {
        sequence: "1".to_owned(),
        id: "event-1".to_owned(),
        arrived_at: start(),
        payload: serde_json::to_string(&commit).unwrap(),
        content: Ok(commit),
    };
    let patience = Patience::of_age(Duration::from_mins(10));
    let batch = Batch { function: "views", dead_letters: &views, patience: &patience };
    let late = || start().plus(Duration::from_mins(11));
    let report = project_batch(batch, of_commit, &[record], &late).await;
    assert_eq!((report.handled, report.dead_lettered), (0, 1));
    assert_eq!(views.pending(9).await.unwrap(), [project_id]);
}

/// Whoever has brought an older state must not strike off a newer one.
#[tokio::test]
async fn a_project_is_struck_off_up_to_what_has_come() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let (acme, globex) = (given::project("acme"), given::project("globex"));
    views.done(&acme, 3).await.unwrap();
    views.note(&acme, 5).await.unwrap();
    views.note(&acme, 4).await.unwrap();
    views.note(&globex, 1).await.unwrap();
    assert_eq!(views.pending(9).await.unwrap(), [acme.clone(), globex.clone()]);
    assert_eq!(views.pending(1).await.unwrap(), std::slice::from_ref(&acme));
    views.done(&acme, 4).await.unwrap();
    assert_eq!(views.pending(9).await.unwrap(), [acme.clone(), globex.clone()]);
    views.done(&acme, 5).await.unwrap();
    assert_eq!(views.pending(9).await.unwrap(), [globex]);
}

#[tokio::test]
async fn a_project_that_cannot_be_understood_keeps_no_other_from_its_turn() {
    let bed = DynamoBed::new();
    let (views, kv) = (bed.views().await, MemoryKv::default());
    let broken = happens(&bed, "acme", "a", vec![ProjectCreated { name: None }.into(), created(1)]).await;
    let sound = happens(&bed, "globex", "a", vec![ProjectCreated { name: None }.into(), created(2)]).await;
    poison(&bed.log, &StreamId::Project(broken.clone()), start()).await;
    for project_id in [&broken, &sound] {
        views.note(project_id, 1).await.unwrap();
    }
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought { replicated: 1, failed: 1, left: 0 });
    assert_eq!(views.pending(9).await.unwrap(), [broken]);
    assert_eq!(kv.all(), folded(&bed, &sound).await);
    let told = bring_pending(ports(&bed, &views, &kv), 9, Duration::ZERO).await.unwrap();
    assert_eq!(told, Brought { left: 1, ..Brought::default() });
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_left_alone_after_a_few_projects() {
    let bed = DynamoBed::new();
    let (views, kv) = (bed.views().await, MemoryKv::default());
    kv.is_down.store(true, Ordering::Relaxed);
    for name in ["acme", "globex", "hooli", "initech", "umbrella"] {
        let events = vec![ProjectCreated { name: None }.into(), created(1)];
        let project_id = happens(&bed, name, "a", events).await;
        replicate(ports(&bed, &views, &kv), &project_id).await.unwrap();
    }
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought { failed: 3, left: 2, ..Brought::default() });
    kv.is_down.store(false, Ordering::Relaxed);
    let told = bring_pending(ports(&bed, &views, &kv), 9, LONG).await.unwrap();
    assert_eq!(told, Brought { replicated: 5, ..Brought::default() });
}

#[derive(Debug, Clone)]
enum Step {
    Key(u8),
    Revoked(u8),
    Suspended,
    Resumed,
    Swept,
    /// How the edge's store is from now on.
    Store(Mood),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Down,
    /// It takes what is put, and says that it has not.
    Forgetful,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{Key, Resumed, Revoked, Store, Suspended, Swept};
    prop_oneof![
        2 => (0u8..4).prop_map(Key),
        2 => (0u8..4).prop_map(Revoked),
        1 => Just(Suspended),
        1 => Just(Resumed),
        2 => Just(Swept),
        4 => prop_oneof![Just(Mood::Well), Just(Mood::Down), Just(Mood::Forgetful)].prop_map(Store),
    ]
}

struct MoodyKv {
    kv: MemoryKv,
    mood: Mutex<Mood>,
}

#[async_trait]
impl KvNamespace for MoodyKv {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        let mood = *self.mood.lock().unwrap();
        if mood != Mood::Down {
            self.kv.put_all(records).await?;
        }
        if mood == Mood::Well { Ok(()) } else { Err(KvNamespaceError("no answer".into())) }
    }
}

/// Each event is replicated once, when it happens; whatever the store does then and at sweeps, the edge has the newest
/// records after the next sweep that finds it well.
#[test]
fn the_edge_comes_to_the_newest_records_whatever_failed_before() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = DynamoBed::new();
    let views = runtime.block_on(bed.views());
    let cases = std::sync::atomic::AtomicUsize::new(0);
    proptest!(ProptestConfig::with_cases(48), |(steps in prop::collection::vec(step(), 1..14))| {
        let name = format!("project-{}", cases.fetch_add(1, Ordering::Relaxed));
        let kv = MoodyKv { kv: MemoryKv::default(), mood: Mutex::new(Mood::Well) };
        runtime.block_on(async {
            let directory = Ports { log: &bed.log, tenants: &views, kv: &kv, pending: &views };
            let first = vec![ProjectCreated { name: None }.into(), created(0)];
            let project_id = happens(&bed, &name, "first", first).await;
            replicate(directory, &project_id).await.unwrap();
            for (place, step) in steps.iter().enumerate() {
                let body = match step {
                    Step::Key(number) => created(*number),
                    Step::Revoked(number) => revoked(*number),
                    Step::Suspended => ProjectSuspended { reason: None }.into(),
                    Step::Resumed => ProjectResumed {}.into(),
                    Step::Swept => {
                        bring_pending(directory, 9, LONG).await.unwrap();
                        continue;
                    }
                    Step::Store(mood) => {
                        *kv.mood.lock().unwrap() = *mood;
                        continue;
                    }
                };
                happens(&bed, &name, &place.to_string(), vec![body]).await;
                replicate(directory, &project_id).await.unwrap();
            }
            *kv.mood.lock().unwrap() = Mood::Well;
            let brought = bring_pending(directory, 9, LONG).await.unwrap();
            let (has, should) = (kv.kv.all(), folded(&bed, &project_id).await);
            // Also where the test has failed, for the cases that look for a shorter one.
            let noted = views.pending(9).await.unwrap();
            for project_id in &noted {
                views.done(project_id, u64::MAX).await.unwrap();
            }
            prop_assert_eq!(has, should, "{:?}", brought);
            prop_assert!(noted.is_empty(), "{:?}", noted);
            Ok(())
        })?;
    });
}
