//! A home region on a temporary log, with its listener and the clients that call it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::home_region::WebhookPorts;
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_edge::home::{HomeClient, HomeConfig};
use streamio_edge::kinesis::{Backoff, Feeder, KinesisConfig};
use streamio_edge::ports::outbound::Outbound as _;
use streamio_edge::ports::{Clock, Pause};
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectSuspended, Scope, UploadCompleted,
    UploadGranted, VideoErrored,
};
use streamio_events::home::Home;
use streamio_events::id::{CommitId, GrantId, ProjectId, VideoId};
use streamio_events::log::{EventLog, EventLogExt as _, Expected};
use streamio_events::media::VideoError;
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use streamio_events::webhook::endpoint_url::Rules;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit_log::{Audit, AuditFiles};
use crate::clock;
use crate::home::{HomeKeys, HomeState, region, serve};
use crate::intake::{Intake, STREAM_NAME};
use crate::outbound::HttpOutbound;
use crate::platform::CheckpointIntervals;
use crate::project_feed::LogFeed;
use crate::view_store::SqliteViewStore;

pub(super) const REGION: &str = "eu-west-1";
pub(super) const SECRET: &str = "the-secret-access-key";

pub(super) fn credentials(id: &str) -> Credentials {
    Credentials::new(id, SECRET).unwrap()
}

/// The clock of a client, with a skew in seconds.
#[derive(Default)]
pub(super) struct SkewedClock(pub(super) i64);

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(clock::now().unix_millis() + self.0 * 1000)
    }
}

/// Pauses for a hundredth of the time.
pub(super) struct ShortPauses;

#[async_trait]
impl Pause for ShortPauses {
    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration / 100).await;
    }
}

pub(super) struct HomeHarness {
    pub(super) log: SqliteLog,
    /// The same home region, called without HTTP.
    pub(super) direct: Arc<dyn Home>,
    pub(super) url: String,
    stop: CancellationToken,
    server: JoinHandle<()>,
    _scratch: TempDir,
}

impl HomeHarness {
    pub(super) async fn new() -> Self {
        Self::with_intake(|log| Arc::new(log.clone())).await
    }

    /// Returns a harness whose intake appends to the log that `intake` returns.
    pub(super) async fn with_intake(intake: impl FnOnce(&SqliteLog) -> Arc<dyn EventLog>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(scratch.path().join("log.db")).unwrap();
        let store = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
        let policy = Policy::new("raw", "processed");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let webhooks = WebhookPorts {
            endpoints: Arc::default(),
            deliveries: Arc::new(store.clone()),
            keys: WebhookKeys::new(&[7; 32]).unwrap(),
            urls: Rules::default(),
            feed: Arc::new(LogFeed(log.clone())),
            places: Arc::new(LogFeed(log.clone())),
        };
        let audit = Audit {
            log: log.clone(),
            files: AuditFiles::new(scratch.path().join("audit")),
            keys: AuditKeys::new(&[7; 32], "streamio.example").unwrap(),
            intervals: CheckpointIntervals::default(),
        };
        let region = region(&log, store, webhooks, audit.ports(), policy);
        let mut state = HomeState::new(Arc::clone(&region), &log);
        state.intake = Intake::new(intake(&log), clock::now());
        let direct = region;
        let keys = HomeKeys {
            region: REGION.to_owned(),
            credentials: vec![credentials("OLD"), credentials("EDGE")],
        };
        let stop = CancellationToken::new();
        let server = tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, state, keys, stop).await.unwrap() }
        });
        Self { direct, log, url, stop, server, _scratch: scratch }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.server.await.unwrap();
    }

    /// Returns a client without a cache.
    pub(super) fn client(&self) -> HomeClient {
        self.client_with(|config| config.statuses_for = Duration::ZERO, 0)
    }

    pub(super) fn client_with(&self, change: impl FnOnce(&mut HomeConfig), skew: i64) -> HomeClient {
        let mut config = HomeConfig::new(&self.url, REGION, credentials("EDGE"));
        change(&mut config);
        HomeClient::new(config, Arc::new(HttpOutbound::new().unwrap()), Arc::new(SkewedClock(skew))).unwrap()
    }

    pub(super) fn feeder(&self) -> Feeder {
        let config = KinesisConfig {
            endpoint: self.url.clone(),
            ..KinesisConfig::new(REGION, STREAM_NAME, credentials("OLD"))
        };
        let outbound = Arc::new(HttpOutbound::new().unwrap());
        Feeder::new(config, Backoff::default(), outbound, Arc::new(SkewedClock(0)), Arc::new(ShortPauses))
            .unwrap()
    }

    pub(super) async fn append(&self, stream: &StreamId, body: impl Into<EventBody>) {
        let version = self.log.head(stream).await.unwrap().version;
        let id = CommitId::derived_from(&["history", &stream.to_string(), &version.to_string()]);
        let at = Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(version).unwrap());
        let commit = NewCommit::new(id, at, [body.into()]);
        self.log.append(stream, Expected::Exactly(version), commit).await.unwrap();
    }

    /// Appends two projects, one of them suspended, each with a valid and a revoked key; and three videos of the first project:
    /// waiting, uploaded, errored.
    pub(super) async fn append_history(&self) {
        for name in ["acme", "globex"] {
            let stream = StreamId::Project(name.parse().unwrap());
            self.append(&stream, ProjectCreated { name: None }).await;
            for number in 0..2 {
                let key = api_key(name, number);
                let created = KeyCreated {
                    key_id: key.hash().key_id(),
                    key_hash: key.hash(),
                    scopes: vec![Scope::Upload, Scope::Read],
                    label: None,
                    expires_at: (number == 1).then(|| Timestamp::from_unix_seconds(4_000_000_000)),
                };
                self.append(&stream, created).await;
            }
            let revoked = KeyRevoked { key_id: api_key(name, 1).hash().key_id(), reason: None };
            self.append(&stream, revoked).await;
        }
        self.append(&StreamId::Project("globex".parse().unwrap()), ProjectSuspended { reason: None }).await;
        self.grant("waiting", 0).await;
        for name in ["uploaded", "errored"] {
            self.grant(name, 0).await;
            let completed = UploadCompleted {
                generation: 1,
                s3_key: source_key(name),
                bytes: 1,
                etag: "e".to_owned(),
                sequencer: "01".to_owned(),
                found: false,
                version_id: None,
                created_at: None,
                grant_id: None,
            };
            self.append(&stream_of(name), completed).await;
        }
        let error = VideoError::permanent("not_media", "This is not a video.");
        self.append(&stream_of("errored"), VideoErrored { generation: 1, error }).await;
        for name in ["waiting", "uploaded", "errored"] {
            // Reading a video updates its view, which lists read.
            self.direct.video(&acme(), &video(name)).await.unwrap().unwrap();
        }
    }

    /// Appends an upload grant with `bytes` bytes of metadata.
    pub(super) async fn grant(&self, name: &str, bytes: usize) {
        self.append(&stream_of(name), granted(name, bytes)).await;
    }

    /// Sends `request` unchanged.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        HttpOutbound::new().unwrap().send(request).await.unwrap()
    }

    /// Returns the numbers of events and commits in `stream`.
    pub(super) async fn count(&self, stream: &StreamId) -> (usize, usize) {
        let commits = self.log.read_to_end(stream, 1).await.unwrap();
        (commits.iter().map(|commit| commit.events.len()).sum(), commits.len())
    }
}

pub(super) fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

pub(super) fn api_key(project: &str, number: u8) -> ApiKey {
    let mut random = [number; 32];
    random[0] = project.len().try_into().unwrap();
    ApiKey::generate("test", random).unwrap()
}

pub(super) fn source_key(name: &str) -> SourceKey {
    format!("projects/acme/{name}").parse().unwrap()
}

pub(super) fn video(name: &str) -> VideoId {
    VideoId::of(&source_key(name))
}

pub(super) fn stream_of(name: &str) -> StreamId {
    StreamId::Video(acme(), video(name))
}

pub(super) fn granted(name: &str, bytes: usize) -> UploadGranted {
    UploadGranted {
        grant_id: GrantId::derived_from(&[name.as_bytes()]),
        s3_key: source_key(name),
        expires_at: Timestamp::from_unix_seconds(1_767_400_000),
        key_id: api_key("acme", 0).hash().key_id(),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: BTreeMap::from([("title".to_owned(), format!("Title № {name}{}", "x".repeat(bytes)))]),
    }
}
