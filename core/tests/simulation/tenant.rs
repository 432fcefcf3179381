//! Tenants and the edge: requests for upload URLs, uploads, and commands.

mod playback;
mod project;

use std::collections::BTreeMap;
use std::sync::Arc;

use streamio_core::home_region::{HomePorts, HomeRegion, WebhookPorts};
use streamio_core::ports::object_store::ObjectInfo;
use streamio_core::testing::{MemoryDeliveries, MemoryFeed};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, RecordedEvent, UploadGranted};
use streamio_events::fact::Fact;
use streamio_events::home::{Home as _, HomeError};
use streamio_events::id::{CommitId, GrantId, ProjectId, VideoId};
use streamio_events::memory::MemoryLog;
use streamio_events::metadata::MetadataPatch;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::endpoint_url::Rules;

pub(crate) use self::project::create_projects;
use crate::cloud;
use crate::engine::{Actor, ClockOf, MINUTE, SECOND};
use crate::faults::Fault;
use crate::plan::{Action, KEYS, Operation, Upload};
use crate::world::{Content, LogClient, ViewClient, World, put_facts};

/// The size of every file.
pub(crate) const BYTES: u64 = 10;

/// How often a request is made before the tenant gives up.
const TRIES: u32 = 5;

/// The project with this number.
pub(crate) fn project_id(project: usize) -> ProjectId {
    format!("tenant-{project}").parse().expect("a project id")
}

/// The source key of a file.
pub(crate) fn source_key(project: usize, file: usize) -> SourceKey {
    format!("projects/{}/file-{file}.mp4", project_id(project)).parse().expect("a source key")
}

/// The API key of a project with this number.
pub(crate) fn key_hash(project: usize, key: usize) -> KeyHash {
    let number = u8::try_from(project * KEYS + key).expect("few keys");
    ApiKey::generate("live", [number; 32]).expect("a valid environment").hash()
}

/// Starts all operations of the plan.
pub(crate) fn start(world: &Arc<World>) {
    for operation in world.plan.operations().cloned().collect::<Vec<_>>() {
        let world = Arc::clone(world);
        let actor = world.lasting_actor(&format!("tenant {}", operation.id));
        world.engine.clone().start(actor.process, async move {
            actor.sleep(operation.at).await;
            world.trace(|| format!("tenant: {operation:?}"));
            run(world, actor, operation).await;
        });
    }
}

async fn run(world: Arc<World>, actor: Arc<Actor>, operation: Operation) {
    let Operation { id, project, file, .. } = operation;
    match operation.action.clone() {
        Action::Upload(upload) => upload_file(&world, &actor, &operation, &upload).await,
        Action::Delete | Action::Reprocess | Action::Update | Action::Read => {
            command(&world, &actor, &operation).await;
        }
        Action::RevokeKey { key } => {
            let key_id = key_hash(project, key).key_id();
            project::change(&world, &actor, project, "revoked", |it| {
                it.revoke_key(&key_id, None).unwrap_or_default()
            });
        }
        Action::Suspend { resumes_after } => {
            project::change(&world, &actor, project, "suspended", |it| it.suspend(None).unwrap_or_default());
            actor.sleep(resumes_after).await;
            project::change(&world, &actor, project, "resumed", |it| it.resume().unwrap_or_default());
        }
        Action::Limit { bytes_per_day } => project::limit(&world, &actor, project, bytes_per_day),
        Action::Play { count } => playback::play(&world, &actor, &operation, count).await,
        Action::UnreadableEvent => {
            project::append_unreadable_event(&world, id, project, file, actor.now());
        }
        Action::UnreadableFact => {
            let mut state = world.state();
            let payload = format!("{{\"v\":1,\"unreadable\":{id}}}");
            state.oracle.cannot_be_processed("intake", &payload);
            state.intake[id % crate::world::SHARDS].put_raw(actor.now(), payload);
            world.changes.notify();
        }
        Action::UnreadableNotification => {
            let payload = format!("unreadable {id}");
            world.state().oracle.cannot_be_processed("uploads", &payload);
            cloud::deliver_unreadable(&world, payload);
        }
        Action::Rebuild { is_lost } => cloud::rebuild(&world, &actor, is_lost).await,
    }
}

async fn command(world: &Arc<World>, actor: &Arc<Actor>, operation: &Operation) {
    let Operation { id, project, file, .. } = *operation;
    let (project_id, video_id) = (project_id(project), VideoId::of(&source_key(project, file)));
    let commit_id = CommitId::derived_from(&["command", &id.to_string()]);
    let metadata: MetadataPatch = [("number".to_owned(), Some(id.to_string()))].into_iter().collect();
    for attempt in 0..TRIES {
        world.machine.on().await;
        // Each call is an invocation of its own.
        let function = world.actor(ClockOf::Functions, &format!("api {id} {attempt}"));
        let home = home_region(world, &function);
        let (action, project_id, video_id, commit_id, metadata) = (
            operation.action.clone(),
            project_id.clone(),
            video_id.clone(),
            commit_id.clone(),
            metadata.clone(),
        );
        let call = world.engine.spawn(function.process, async move {
            match action {
                Action::Delete => home.delete_video(&project_id, &video_id, &commit_id).await.map(|_| ()),
                Action::Reprocess => {
                    home.reprocess_video(&project_id, &video_id, &commit_id).await.map(|_| ())
                }
                Action::Update => {
                    home.update_video(&project_id, &video_id, &commit_id, &metadata).await.map(|_| ())
                }
                _ => home.video(&project_id, &video_id).await.map(|_| ()),
            }
        });
        match call.await {
            Ok(Ok(())) => {
                world.state().oracle.command_acknowledged(operation, &commit_id_of(id));
                return;
            }
            Ok(Err(HomeError::NotFound | HomeError::Conflict { .. } | HomeError::Failed { .. })) => return,
            Ok(Err(_)) | Err(_) => actor.sleep(SECOND << attempt).await,
        }
    }
}

fn commit_id_of(operation: usize) -> CommitId {
    CommitId::derived_from(&["command", &operation.to_string()])
}

fn home_region(world: &Arc<World>, actor: &Arc<Actor>) -> HomeRegion {
    let views = Arc::new(ViewClient { world: Arc::clone(world), actor: Arc::clone(actor) });
    let log = Arc::new(LogClient { world: Arc::clone(world), actor: Arc::clone(actor), is_worker: false });
    let clock = Arc::clone(actor);
    HomeRegion::new(HomePorts {
        // The simulated tenants have no webhook endpoints.
        webhooks: WebhookPorts {
            endpoints: Arc::default(),
            deliveries: Arc::new(MemoryDeliveries::default()),
            keys: WebhookKeys::new(&[1; 32]).expect("32 bytes are enough"),
            urls: Rules::default(),
            feed: Arc::new(MemoryFeed(MemoryLog::new())),
            places: Arc::new(MemoryFeed(MemoryLog::new())),
        },
        audit: None,
        log,
        views: Arc::<ViewClient>::clone(&views),
        feed: Arc::<ViewClient>::clone(&views),
        usage: Arc::<ViewClient>::clone(&views),
        tenants: views,
        policy: world.policy.clone(),
        clock: Arc::new(move || clock.now()),
    })
}

async fn upload_file(world: &Arc<World>, actor: &Arc<Actor>, operation: &Operation, upload: &Upload) {
    let grants = 1 + u32::from(upload.is_requested_again);
    let mut expires_at = None;
    for number in 0..grants {
        match request_url(world, actor, operation, upload, number).await {
            Some(expiry) => expires_at = Some(expiry),
            None => break,
        }
    }
    let Some(expires_at) = expires_at else { return };
    for number in 0..upload.uses {
        let delay = if number == 0 { upload.delay } else { upload.delay + MINUTE };
        actor.sleep(delay).await;
        put(world, actor, operation, upload, expires_at).await;
    }
}

/// Requests an upload URL, and returns its expiry when the grant is durably accepted.
async fn request_url(
    world: &Arc<World>,
    actor: &Arc<Actor>,
    operation: &Operation,
    upload: &Upload,
    number: u32,
) -> Option<Timestamp> {
    let Operation { id, project, file, .. } = *operation;
    let hash = key_hash(project, upload.key);
    for attempt in 0..TRIES {
        if attempt > 0 {
            actor.sleep(SECOND << attempt).await;
        }
        world.machine.on().await;
        let edge = world.actor(ClockOf::Other, &format!("edge {id} {number} {attempt}"));
        let Some(tenant) = tenant_at_edge(world, &edge, &hash) else { continue };
        if tenant.revoked || tenant.suspended {
            world.trace(|| format!("edge: refuses request {id}"));
            return None;
        }
        let at = edge.now();
        let granted = UploadGranted {
            grant_id: grant_id(id),
            s3_key: source_key(project, file),
            expires_at: at.plus(std::time::Duration::from_millis(upload.lifetime)),
            key_id: hash.key_id(),
            content_type: None,
            size: upload.states_size.then_some(BYTES),
            sha256: None,
            overwrite: upload.overwrite,
            multipart: upload.is_multipart,
            upload_id: upload.is_multipart.then(|| format!("upload-{id}")),
            metadata: BTreeMap::from([("operation".to_owned(), id.to_string())]),
        };
        let commit_id = CommitId::derived_from(&["granted", &id.to_string(), &number.to_string()]);
        let commit = NewCommit {
            id: commit_id.clone(),
            events: vec![RecordedEvent::of(at, &granted)],
            recorded_at: at,
        };
        let stream = StreamId::Video(project_id(project), VideoId::of(&granted.s3_key));
        let task = record_grant(Arc::clone(world), Arc::clone(&edge), stream.clone(), commit);
        if let Ok(Some(expires_at)) = world.engine.spawn(edge.process, task).await {
            // A repeated request has the URL of the grant that was recorded.
            world.state().oracle.grant_acknowledged(operation, &stream, &commit_id);
            return Some(expires_at);
        }
    }
    None
}

/// The API key as the edge knows it.
fn tenant_at_edge(world: &World, edge: &Actor, hash: &KeyHash) -> Option<Tenant> {
    let is_stale = edge.meets(Fault::KvStale);
    let state = world.state();
    let value = state.kv.get(world.engine.now(), &Tenant::stored_name(hash), is_stale);
    value.and_then(|value| Tenant::from_stored(hash, value.as_bytes()).ok())
}

/// Records the grant of an upload or of a playback, in the log or through the intake. Returns the expiry of the recorded grant.
async fn record_grant(
    world: Arc<World>,
    edge: Arc<Actor>,
    stream: StreamId,
    commit: NewCommit,
) -> Option<Timestamp> {
    let recorded_expiry = expiry_of(&commit.events[0]);
    if world.plan.has_one_clock {
        let recorded = home_region(&world, &edge).record(&stream, commit).await.ok()?;
        return match recorded {
            streamio_events::home::Recorded::New => recorded_expiry,
            streamio_events::home::Recorded::Repeated(event) => expiry_of(&event),
        };
    }
    let fact = Fact::new(stream, commit).expect("a grant is a fact");
    put_facts(&world, &edge, &[fact]).await.ok()?;
    edge.travel().await;
    recorded_expiry
}

fn expiry_of(event: &RecordedEvent) -> Option<Timestamp> {
    match event.body().ok()? {
        EventBody::UploadGranted(granted) => Some(granted.expires_at),
        EventBody::PlaybackGranted(granted) => Some(granted.expires_at),
        _ => None,
    }
}

/// The grant of the upload with this number.
pub(crate) fn grant_id(operation: usize) -> GrantId {
    GrantId::derived_from(&[operation.to_string().as_bytes()])
}

/// Uploads the file with a URL that expires at `expires_at`, again while the object store fails.
async fn put(
    world: &Arc<World>,
    actor: &Arc<Actor>,
    operation: &Operation,
    upload: &Upload,
    expires_at: Timestamp,
) {
    let key = source_key(operation.project, operation.file);
    for attempt in 0..TRIES {
        world.machine.on().await;
        actor.travel().await;
        if actor.meets(Fault::StoreUnavailable) {
            actor.sleep(SECOND << (2 * attempt)).await;
            continue;
        }
        let store = world.lasting_store();
        let began_at = store.now();
        if began_at > expires_at {
            world.trace(|| format!("object store: the URL of {} has expired", operation.id));
            return;
        }
        actor.sleep(upload.duration).await;
        if world.machine.is_off() {
            continue;
        }
        let completed_at = store.now();
        let (stored, sequencer) = {
            let mut state = world.state();
            let etag = if upload.is_multipart {
                format!("etag-{}-2", operation.id)
            } else {
                format!("etag{}", operation.id)
            };
            let info = ObjectInfo {
                bytes: BYTES,
                etag,
                last_modified: if upload.is_multipart { began_at } else { completed_at },
                version_id: None,
                content_type: None,
                sha256: None,
                grant: upload.names_grant.then(|| grant_id(operation.id).to_string()),
            };
            let (stored, sequencer) = state.raw.put(key.as_str(), info, Content::Source);
            state.oracle.object_stored(operation, &stored, completed_at, world.engine.now());
            (stored, sequencer)
        };
        world.trace(|| {
            format!("object store: {key} of {} is stored as {:?}", operation.id, stored.info.version_id)
        });
        cloud::notify(world, key.as_str(), &stored, &sequencer, completed_at);
        actor.travel().await;
        if !actor.meets(Fault::StoreErrorAfterSuccess) {
            return;
        }
        // A multipart upload is complete: completing it again returns the same object.
        if upload.is_multipart {
            return;
        }
    }
}
