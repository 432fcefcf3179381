//! Batches of the ledger's stream, projected into views in a local DynamoDB.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{
    PendingId, PendingReplication, PendingReplicationError, PendingReplications,
};
use streamio_core::ports::tenant_store::TenantStore;
use streamio_core::ports::view_store::ViewStore;
use streamio_core::views::projection::{Ports, project_batch};
use streamio_events::api_key::ApiKey;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::emulators::LocalDynamo;
use streamio_events::event::{EventBody, KeyCreated, ProjectCreated, RecordedEvent, Scope};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use streamio_lambdas::adapters::dynamo::{DynamoViews, create_views_table};

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045)
}

fn video(name: &str) -> (VideoId, StreamId) {
    let key: SourceKey = format!("projects/acme/{name}").parse().unwrap();
    let id = VideoId::of(&key);
    (id.clone(), StreamId::Video("acme".parse().unwrap(), id))
}

async fn append(log: &MemoryLog, stream: &StreamId, body: EventBody) -> Commit {
    let version = log.head(stream).await.unwrap().version;
    let id = CommitId::derived_from(&[&stream.to_string(), &version.to_string()]);
    let commit = NewCommit { id, events: vec![RecordedEvent::new(now(), &body)], recorded_at: now() };
    log.append(stream, Expected::Any, commit).await.unwrap().commit
}

/// An event of an unknown type, or of a known type with invalid data.
fn event(kind: &str) -> EventBody {
    EventBody::Unknown { kind: kind.to_owned(), version: 1, data: json!({ "generation": "one" }) }
}

/// The edge's store and the list of pending replications, which may be down.
#[derive(Default)]
struct Edge {
    down: AtomicBool,
}

#[async_trait]
impl KvNamespace for Edge {
    async fn put_all(&self, _: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(KvNamespaceError("unavailable".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl PendingReplications for Edge {
    async fn add(&self, _: &ProjectId, _: Timestamp) -> Result<PendingId, PendingReplicationError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(PendingReplicationError("unavailable".into()));
        }
        Ok(PendingId("1".to_owned()))
    }

    async fn due(&self, _: Timestamp, _: usize) -> Result<Vec<PendingReplication>, PendingReplicationError> {
        Ok(Vec::new())
    }

    async fn remove(&self, _: &PendingId) -> Result<(), PendingReplicationError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_gives_up_poison_records_retries_others_and_projects_the_rest() {
    let dynamo = LocalDynamo::start().expect("dynoxide");
    create_views_table(&dynamo.client(), "views").await.expect("the views' table is created");
    let log = MemoryLog::new();
    let views = DynamoViews::new(dynamo.client(), "views", Arc::new(log.clone()));
    let (policy, edge) = (Policy::new("raw", "processed"), Edge::default());

    let project = StreamId::Project("acme".parse().unwrap());
    let hash = ApiKey::generate("test", [7; 32]).unwrap().hash();
    let key = KeyCreated {
        key_id: hash.key_id(),
        key_hash: hash,
        scopes: vec![Scope::Read],
        label: None,
        expires_at: None,
    };
    let ((sound, sound_stream), (_, poisoned_stream)) = (video("sound"), video("poisoned"));
    let commits = [
        append(&log, &project, ProjectCreated { name: None }.into()).await,
        append(&log, &sound_stream, event("galaxy.collided")).await,
        append(&log, &poisoned_stream, event("processing.started")).await,
        append(&log, &project, key.into()).await,
        append(&log, &sound_stream, event("galaxy.collided")).await,
    ];
    let records: Vec<Record<Commit>> = commits
        .into_iter()
        .enumerate()
        .map(|(place, commit)| Record {
            sequence: place.to_string(),
            id: format!("event-{place}"),
            arrived_at: now(),
            payload: serde_json::to_string(&commit).unwrap(),
            content: Ok(commit),
        })
        .collect();
    let folds = WebhookFolds::default();
    let projects = ProjectCache::default();
    let ports = Ports {
        log: &log,
        policy: &policy,
        store: &views,
        deliveries: &views,
        folds: &folds,
        places: &views,
        usage: &views,
        projects: &projects,
        tenants: &views,
        kv: &edge,
        pending: &edge,
    };
    let batch = Batch {
        function: "views",
        dead_letters: &views,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };

    edge.down.store(true, Ordering::Relaxed);
    let report = project_batch(batch, ports, &records, &now).await;
    let failed = vec!["0".to_owned(), "3".to_owned()];
    assert_eq!(report, Report { handled: 2, failed, dead_lettered: 1 });
    let row = ViewStore::get(&views, &"acme".parse().unwrap(), &sound).await.unwrap().unwrap();
    assert_eq!(row.video.version, 2);
    let poisoned = log.read_to_end(&poisoned_stream, 1).await.unwrap();
    assert_eq!(poisoned.last().unwrap().events[0].kind, "stream.quarantined");

    edge.down.store(false, Ordering::Relaxed);
    let report = project_batch(batch, ports, &records, &now).await;
    assert_eq!(report, Report { handled: 4, failed: Vec::new(), dead_lettered: 1 });
    let tenant = TenantStore::get(&views, &hash).await.unwrap().unwrap();
    assert_eq!(tenant.version, 2);
    let again = log.read_to_end(&poisoned_stream, 1).await.unwrap();
    assert_eq!(again, poisoned, "it is quarantined once");
}
