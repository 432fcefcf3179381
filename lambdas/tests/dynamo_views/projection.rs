use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::PendingReplications;
use streamio_core::ports::tenant_store::TenantStore;
use streamio_core::ports::view_store::{VideoRow, ViewStore};
use streamio_core::views::directory::tenants_of;
use streamio_core::views::projection::{Ports, project};
use streamio_core::views::rebuild;
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::commit::Commit;
use streamio_events::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectSuspended, Scope, StreamQuarantined,
};
use streamio_events::id::CommitId;
use streamio_events::log::EventLogExt as _;
use streamio_events::project::Project;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::video::load;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{self, append, key_of, lifecycle, playback, poison, policy, start, video};
use crate::memory::MemoryKv;
use crate::stored;
use crate::test_dynamo::TestDynamo;

fn hash(number: u8) -> KeyHash {
    ApiKey::generate("live", [number; 32]).unwrap().hash()
}

fn key_created(number: u8) -> EventBody {
    let (key_id, key_hash) = (hash(number).key_id(), hash(number));
    KeyCreated { key_id, key_hash, scopes: vec![Scope::Upload], label: None, expires_at: None }.into()
}

fn acme() -> StreamId {
    StreamId::Project(fixtures::project("acme"))
}

/// A project with three keys, one of them revoked, and three videos; at the end it is suspended.
async fn history(dynamo: &TestDynamo) -> Vec<Commit> {
    let mut commits = Vec::new();
    let project: Vec<Vec<EventBody>> = vec![
        vec![ProjectCreated { name: None }.into(), key_created(1)],
        vec![key_created(2)],
        vec![KeyRevoked { key_id: hash(1).key_id(), reason: None }.into(), key_created(3)],
        vec![ProjectSuspended { reason: None }.into()],
    ];
    for (n, bodies) in project.into_iter().enumerate() {
        commits.push(append(&dynamo.log, &acme(), &format!("p{n}"), start(), bodies).await);
    }
    for seed in 2..5 {
        let name = format!("v{seed}");
        let bodies = lifecycle(&fixtures::project("acme"), &key_of("acme", &name), 10, seed);
        for (n, bodies) in bodies.chunks(2).enumerate() {
            let cause = format!("{name}/{n}");
            commits.push(append(&dynamo.log, &video("acme", &name), &cause, start(), bodies.to_vec()).await);
        }
    }
    let grants = StreamId::grants(fixtures::project("acme"), start(), &CommitId::derived_from(&["g"]));
    let granted = vec![playback(&key_of("acme", "v2"), 1, start())];
    commits.push(append(&dynamo.log, &grants, "g", start(), granted).await);
    commits
}

pub(crate) fn ports<'a>(
    dynamo: &'a TestDynamo,
    views: &'a DynamoViews,
    policy: &'a streamio_events::video::Policy,
    kv: &'a dyn KvNamespace,
) -> Ports<'a> {
    Ports {
        log: &dynamo.log,
        policy,
        store: views,
        deliveries: views,
        folds: &dynamo.folds,
        places: views,
        usage: views,
        projects: &dynamo.projects,
        tenants: views,
        kv,
        pending: views,
    }
}

/// Asserts that every view is the fold of the log. Returns the records of the key-value store.
async fn assert_folded(dynamo: &TestDynamo, views: &DynamoViews) -> BTreeMap<String, String> {
    let mut records = BTreeMap::new();
    for commit in dynamo.log.scan_to_end().await.unwrap() {
        match &commit.stream {
            StreamId::Video(project_id, video_id) => {
                let folded = load(&dynamo.log, project_id, video_id).await.unwrap();
                let row = ViewStore::get(views, project_id, video_id).await.unwrap();
                assert_eq!(row, Some(VideoRow::of(folded, &policy())));
            }
            StreamId::Project(project_id) => {
                let commits = dynamo.log.read_to_end(&commit.stream, 1).await.unwrap();
                let folded = Project::fold(project_id.clone(), &commits).unwrap();
                for (hash, tenant) in tenants_of(&folded) {
                    assert_eq!(TenantStore::get(views, &hash).await.unwrap().as_ref(), Some(&tenant));
                    records.insert(Tenant::stored_name(&hash), tenant.to_stored());
                }
            }
            _ => {}
        }
    }
    records
}

#[tokio::test]
async fn after_deliveries_in_any_order_and_number_the_views_are_the_fold_of_the_log() {
    for seed in 1..4 {
        let dynamo = TestDynamo::new();
        let (views, kv, policy) = (dynamo.views().await, MemoryKv::default(), policy());
        let mut deliveries = history(&dynamo).await;
        deliveries.extend(deliveries.clone());
        fastrand::Rng::with_seed(seed).shuffle(&mut deliveries);
        for commit in &deliveries {
            project(ports(&dynamo, &views, &policy, &kv), commit, &start).await.unwrap();
        }
        let records = assert_folded(&dynamo, &views).await;
        assert_eq!(records.len(), 3);
        assert_eq!(*kv.records.lock().unwrap(), records);
    }
}

/// A key-value store. Before its first write, a projector that has read more of the log writes to it.
struct OvertakenKv<'a> {
    kv: MemoryKv,
    first: Mutex<bool>,
    dynamo: &'a TestDynamo,
    views: &'a DynamoViews,
}

#[async_trait]
impl KvNamespace for OvertakenKv<'_> {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        if std::mem::take(&mut *self.first.lock().unwrap()) {
            let revoked = KeyRevoked { key_id: hash(2).key_id(), reason: None }.into();
            let commit = append(&self.dynamo.log, &acme(), "revoked meanwhile", start(), vec![revoked]).await;
            let policy = policy();
            project(ports(self.dynamo, self.views, &policy, &self.kv), &commit, &start).await.unwrap();
        }
        self.kv.put_all(records).await
    }
}

#[tokio::test]
async fn a_slower_projector_does_not_restore_a_revoked_key_at_the_edge() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo).await;
    let kv = OvertakenKv { kv: MemoryKv::default(), first: Mutex::new(true), dynamo: &dynamo, views: &views };
    project(ports(&dynamo, &views, &policy(), &kv), &commits[0], &start).await.unwrap();
    let stored = kv.kv.records.lock().unwrap()[&Tenant::stored_name(&hash(2))].clone();
    let tenant = Tenant::from_stored(&hash(2), stored.as_bytes()).unwrap();
    assert!(tenant.revoked);
    assert_eq!(tenant.version, 7);
}

#[tokio::test]
async fn a_poisoned_stream_is_an_error_and_its_quarantine_event_is_not() {
    let dynamo = TestDynamo::new();
    let (views, kv, policy) = (dynamo.views().await, MemoryKv::default(), policy());
    history(&dynamo).await;
    for stream in [video("acme", "v2"), acme()] {
        let poison = poison(&dynamo.log, &stream, start()).await;
        let error = project(ports(&dynamo, &views, &policy, &kv), &poison, &start).await;
        // The fold of a project ignores events of workers, but an unreadable event makes its stream unusable.
        let error = error.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        let quarantined = StreamQuarantined { version: poison.first, reason: "no".to_owned() }.into();
        let quarantined = append(&dynamo.log, &stream, "quarantined", start(), vec![quarantined]).await;
        project(ports(&dynamo, &views, &policy, &kv), &quarantined, &start).await.unwrap();
    }
    assert_eq!(stored::usage(&dynamo, "acme").await.len(), 1);
}

#[tokio::test]
async fn a_lost_table_is_rebuilt_from_the_log() {
    let dynamo = TestDynamo::new();
    let (views, kv, policy) = (dynamo.views().await, MemoryKv::default(), policy());
    let commits = history(&dynamo).await;
    // A part is projected already, and stays.
    for commit in commits.iter().step_by(3) {
        project(ports(&dynamo, &views, &policy, &kv), commit, &start).await.unwrap();
    }
    for parts in [3, 1] {
        let rebuilt = rebuild::videos(&dynamo.log, &views, &policy, parts).await.unwrap();
        assert_eq!(rebuilt.commits, commits.len() as u64);
        assert!(rebuilt.unreadable.is_empty());
        rebuild::tenants(&dynamo.log, &views, &views, parts, start()).await.unwrap();
        let pending = PendingReplications::due(&views, start(), 9).await.unwrap();
        assert!(
            !pending.is_empty() && pending.iter().all(|entry| entry.project_id == fixtures::project("acme"))
        );
        rebuild::feeds(&dynamo.log, &views, parts).await.unwrap();
        assert_folded(&dynamo, &views).await;
    }
    let usage = stored::usage(&dynamo, "acme").await;
    let counts =
        ["uploads_completed", "videos_ready", "playbacks_granted"].map(|name| usage["2026-01-02"][name]);
    assert_eq!(counts, [3, 2, 1]);
}
