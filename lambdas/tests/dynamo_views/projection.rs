use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::PendingReplications as _;
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
use streamio_events::log::EventLogExt as _;
use streamio_events::project::Project;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::video::load;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::bed::DynamoBed;
use crate::given::{self, Numbers, append, key_of, life, playback, poison, policy, start, video};
use crate::memory::MemoryKv;

fn hash(number: u8) -> KeyHash {
    ApiKey::generate("live", [number; 32]).unwrap().hash()
}

fn key_created(number: u8) -> EventBody {
    let (key_id, key_hash) = (hash(number).key_id(), hash(number));
    KeyCreated { key_id, key_hash, scopes: vec![Scope::Upload], label: None, expires_at: None }.into()
}

fn acme() -> StreamId {
    StreamId::Project(given::project("acme"))
}

/// A project with three keys, one of them revoked, suspended in the end, and three of its videos.
async fn history(bed: &DynamoBed) -> Vec<Commit> {
    let mut commits = Vec::new();
    let project: Vec<Vec<EventBody>> = vec![
        vec![ProjectCreated { name: None }.into(), key_created(1)],
        vec![key_created(2)],
        vec![KeyRevoked { key_id: hash(1).key_id(), reason: None }.into(), key_created(3)],
        vec![ProjectSuspended { reason: None }.into()],
    ];
    for (n, bodies) in project.into_iter().enumerate() {
        commits.push(append(&bed.log, &acme(), &format!("p{n}"), start(), bodies).await);
    }
    for seed in 2..5 {
        let name = format!("v{seed}");
        let bodies = life(&given::project("acme"), &key_of("acme", &name), 10, seed);
        for (n, bodies) in bodies.chunks(2).enumerate() {
            let cause = format!("{name}/{n}");
            commits.push(append(&bed.log, &video("acme", &name), &cause, start(), bodies.to_vec()).await);
        }
    }
    let grants = StreamId::grants(given::project("acme"), start(), 3);
    let granted = vec![playback(&key_of("acme", "v2"), 1, start())];
    commits.push(append(&bed.log, &grants, "g", start(), granted).await);
    commits
}

pub(crate) fn ports<'a>(
    bed: &'a DynamoBed,
    views: &'a DynamoViews,
    policy: &'a streamio_events::video::Policy,
    kv: &'a dyn KvNamespace,
) -> Ports<'a> {
    Ports { log: &bed.log, policy, store: views, feed: views, tenants: views, kv, pending: views }
}

/// Every view is the fold of the log.
async fn assert_folded(bed: &DynamoBed, views: &DynamoViews) -> BTreeMap<String, String> {
    let mut records = BTreeMap::new();
    for commit in bed.log.scan_to_end().await.unwrap() {
        match &commit.stream {
            StreamId::Video(project_id, video_id) => {
                let folded = load(&bed.log, project_id, video_id).await.unwrap();
                let row = ViewStore::get(views, project_id, video_id).await.unwrap();
                assert_eq!(row, Some(VideoRow::of(folded, &policy())));
            }
            StreamId::Project(project_id) => {
                let commits = bed.log.read_to_end(&commit.stream, 1).await.unwrap();
                let folded = Project::fold(project_id.clone(), &commits).unwrap();
                for (hash, tenant) in tenants_of(&folded) {
                    assert_eq!(TenantStore::get(views, &hash).await.unwrap().as_ref(), Some(&tenant));
                    records.insert(Tenant::stored_name(&hash), tenant.to_stored());
                }
            }
            StreamId::Grants { .. } => {}
        }
    }
    records
}

#[tokio::test]
async fn any_order_and_any_number_of_deliveries_leaves_views_that_are_the_fold() {
    for seed in 1..4 {
        let bed = DynamoBed::new();
        let (views, kv, policy) = (bed.views().await, MemoryKv::default(), policy());
        let mut deliveries = history(&bed).await;
        deliveries.extend(deliveries.clone());
        Numbers::new(seed).shuffle(&mut deliveries);
        for commit in &deliveries {
            project(ports(&bed, &views, &policy, &kv), commit, start()).await.unwrap();
        }
        let records = assert_folded(&bed, &views).await;
        assert_eq!(records.len(), 3);
        assert_eq!(*kv.records.lock().unwrap(), records);
    }
}

/// The edge's store, at which another projector comes first once: whoever read less of the log puts later.
struct Overtaken<'a> {
    kv: MemoryKv,
    first: Mutex<bool>,
    bed: &'a DynamoBed,
    views: &'a DynamoViews,
}

#[async_trait]
impl KvNamespace for Overtaken<'_> {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        if std::mem::take(&mut *self.first.lock().unwrap()) {
            let revoked = KeyRevoked { key_id: hash(2).key_id(), reason: None }.into();
            let commit = append(&self.bed.log, &acme(), "revoked meanwhile", start(), vec![revoked]).await;
            let policy = policy();
            project(ports(self.bed, self.views, &policy, &self.kv), &commit, start()).await.unwrap();
        }
        self.kv.put_all(records).await
    }
}

#[tokio::test]
async fn a_revoked_key_is_not_brought_back_at_the_edge_by_a_slower_projector() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let commits = history(&bed).await;
    let kv = Overtaken { kv: MemoryKv::default(), first: Mutex::new(true), bed: &bed, views: &views };
    project(ports(&bed, &views, &policy(), &kv), &commits[0], start()).await.unwrap();
    let stored = kv.kv.records.lock().unwrap()[&Tenant::stored_name(&hash(2))].clone();
    let tenant = Tenant::from_stored(&hash(2), stored.as_bytes()).unwrap();
    assert!(tenant.revoked);
    assert_eq!(tenant.version, 7);
}

#[tokio::test]
async fn a_poisoned_stream_is_an_error_once_and_its_quarantine_none() {
    let bed = DynamoBed::new();
    let (views, kv, policy) = (bed.views().await, MemoryKv::default(), policy());
    history(&bed).await;
    for stream in [video("acme", "v2"), acme()] {
        let poison = poison(&bed.log, &stream, start()).await;
        let error = project(ports(&bed, &views, &policy, &kv), &poison, start()).await;
        // A project's fold knows nothing of workers, but what it cannot read is of no stream it could trust.
        let error = error.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        let told = StreamQuarantined { version: poison.first, reason: "no".to_owned() }.into();
        let told = append(&bed.log, &stream, "told", start(), vec![told]).await;
        project(ports(&bed, &views, &policy, &kv), &told, start()).await.unwrap();
    }
    assert_eq!(views.usage(&given::project("acme"), "2026", "2027").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_table_is_rebuilt_from_the_log() {
    let bed = DynamoBed::new();
    let (views, kv, policy) = (bed.views().await, MemoryKv::default(), policy());
    let commits = history(&bed).await;
    // Part of it was projected, and stays.
    for commit in commits.iter().step_by(3) {
        project(ports(&bed, &views, &policy, &kv), commit, start()).await.unwrap();
    }
    for parts in [3, 1] {
        let rebuilt = rebuild::videos(&bed.log, &views, &policy, parts).await.unwrap();
        assert_eq!(rebuilt.commits, commits.len() as u64);
        assert!(rebuilt.unreadable.is_empty());
        rebuild::tenants(&bed.log, &views, &views, parts).await.unwrap();
        assert_eq!(views.pending(9).await.unwrap(), [given::project("acme")]);
        rebuild::feeds(&bed.log, &views, parts, &start).await.unwrap();
        assert_folded(&bed, &views).await;
    }
    let usage = views.usage(&given::project("acme"), "2026-01-02", "2026-01-02").await.unwrap();
    let usage = usage["2026-01-02"];
    assert_eq!((usage.uploads_completed, usage.videos_ready, usage.playbacks_granted), (3, 2, 1));
}
