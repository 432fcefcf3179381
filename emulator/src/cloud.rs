//! Everything together: the product's own programs on emulated services, started, watched and stopped as one.
//!
//! ```text
//! client ── workerd ──┬── function URL ── api ─────────┐
//!                     └── queue ── Kinesis ── intake ──┤
//! client ── S3 ── EventBridge ── uploads ──────────────┤
//!                                                      ├── DynamoDB (ledger) ── its stream ──┬── react ── ECS ── worker
//! ECS ── EventBridge ── tasks ─────────────────────────┤                                     └── views ── DynamoDB (views), KV
//! schedule ── sweep (also to ECS and KV) ───────────────┤
//! worker ──────────────────────────────────────────────┘      player ── CDN ── S3
//! ```
//!
//! Between the programs and DynamoDB, Kinesis and ECS stand fault proxies; S3's and ECS' events go over roads that lose,
//! hold and repeat; functions crash when they are told to. Event source mappings read their streams directly.

pub(crate) mod config;
mod edge_texts;
mod functions;
mod operator;
pub(crate) mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::dynamo::DynamoLog;
use streamio_events::emulators::{LocalDynamo, LocalKinesis};
use streamio_lambdas::adapters::dynamo::DynamoViews;
use streamio_local::workerd::{WorkerJournal, WorkerdConfig};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

pub use self::config::{CloudConfig, Journal};
pub use self::operator::NewKey;
use crate::arn::{ACCOUNT, REGION};
use crate::cdn::{Cdn, PlaybackKey};
use crate::ecs::{Ecs, EcsConfig};
use crate::event_bus::{EventBus, Rule};
use crate::event_road::EventRoad;
use crate::fault_proxy::{FaultProxy, Service};
use crate::function_url::{FunctionUrl, FunctionUrlConfig};
use crate::kv::{Kv, KvConfig};
use crate::lambda::{self, AsyncConfig, Invoke, ServiceConfig};
use crate::request_id::random_hex;
use crate::s3::{AccessKey, S3, S3Config};
use crate::sources::{DynamoSource, KinesisSource, Mapping, MappingConfig};
use crate::worker_edge::{WorkerEdge, WorkerEdgeConfig};

/// The table of the log.
pub const LEDGER_TABLE: &str = "streamio-ledger";
/// The table of the views.
pub const VIEWS_TABLE: &str = "streamio-views";
/// The stream of facts.
pub const FACTS_STREAM: &str = "streamio-facts";
/// The bucket of sources.
pub const RAW_BUCKET: &str = "streamio-raw";
/// The bucket of results.
pub const PROCESSED_BUCKET: &str = "streamio-processed";

/// Records of one shard of the ledger's stream that are worked on at once. Its lanes keep the order of items, not that of
/// streams, so that commits of one stream come in any order, as they may in the real service.
const LANES: usize = 4;

/// The three event source mappings.
#[derive(Debug)]
pub struct Mappings {
    /// Kinesis to `intake`.
    pub intake: Mapping,
    /// The ledger's stream to `react`.
    pub react: Mapping,
    /// The ledger's stream to `views`.
    pub views: Mapping,
}

/// A running cloud. [`Cloud::stop`] ends it in order. When it is dropped, and when this process is killed, all of its
/// processes end, within some seconds.
pub struct Cloud {
    folder: Folder,
    edge: WorkerEdge,
    home: FunctionUrl,
    kv: Kv,
    bus: EventBus,
    roads: [JoinHandle<()>; 2],
    mappings: Mappings,
    functions: lambda::Service,
    ecs: Ecs,
    ecs_events: EventRoad,
    ecs_proxy: FaultProxy,
    s3: S3,
    s3_events: EventRoad,
    cdn: Cdn,
    dynamo_proxy: FaultProxy,
    kinesis_proxy: FaultProxy,
    log: DynamoLog,
    views: DynamoViews,
    dynamo: LocalDynamo,
    kinesis: LocalKinesis,
}

/// All files of a cloud.
enum Folder {
    /// Removed with the cloud.
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

impl Cloud {
    /// Starts everything. When it answers, the API answers.
    pub async fn start(config: CloudConfig) -> anyhow::Result<Self> {
        let folder = match &config.folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                Folder::Kept(folder.clone())
            }
            None => Folder::Temporary(tempfile::Builder::new().prefix("streamio-emulator-").tempdir()?),
        };
        let scratch = folder.path().join("scratch");
        std::fs::create_dir_all(&scratch)?;

        let (dynamo, kinesis) = tokio::try_join!(
            async { spawn_blocking(LocalDynamo::start).await?.context("DynamoDB does not start") },
            async { spawn_blocking(LocalKinesis::start).await?.context("Kinesis does not start") },
        )?;
        let ledger_stream = tables::create(&dynamo, &kinesis).await?;
        let dynamo_proxy = FaultProxy::start(Service::DynamoDb, &dynamo.endpoint()).await?;
        let kinesis_proxy = FaultProxy::start(Service::Kinesis, &kinesis.endpoint()).await?;

        let keys = Keys::generate();
        let (s3_events, s3_end) = EventRoad::new();
        let s3 = S3::start(S3Config {
            folder: folder.path().join("s3"),
            raw_bucket: RAW_BUCKET.to_owned(),
            processed_bucket: PROCESSED_BUCKET.to_owned(),
            keys: vec![keys.role.clone(), keys.edge_s3.clone()],
            events: s3_events.clone(),
        })
        .await?;
        let cdn = Cdn::start(s3.store(), PROCESSED_BUCKET, &keys.playback).await?;

        let (tenants, replicated) = mpsc::unbounded_channel();
        let kv_config = KvConfig {
            account_id: random_hex::<16>(),
            namespace_id: random_hex::<16>(),
            api_token: random_hex::<20>(),
        };
        let kv = Kv::start(kv_config.clone(), tenants).await?;

        let (ecs_events, ecs_end) = EventRoad::new();
        let endpoints = functions::Endpoints {
            dynamo: dynamo_proxy.endpoint(),
            kinesis: kinesis_proxy.endpoint(),
            s3: s3.endpoint(),
            kv: kv.endpoint(),
        };
        let definition = functions::worker_definition(&config, &endpoints, &keys.role, &scratch);
        let ecs = Ecs::start(EcsConfig {
            cluster: functions::CLUSTER.to_owned(),
            definition,
            start_delay: Duration::ZERO,
            events: ecs_events.clone(),
            logs: folder.path().join("tasks"),
        })
        .await?;
        let ecs_proxy = FaultProxy::start(Service::Ecs, ecs.endpoint()).await?;

        let functions = lambda::Service::new(ServiceConfig {
            region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            access_key_id: keys.role.id.clone(),
            secret_access_key: keys.role.secret.clone(),
            ..ServiceConfig::default()
        });
        for function in functions::all(&config, &endpoints, ecs_proxy.endpoint(), &kv_config, &scratch) {
            functions.register(function);
        }
        let invoke: Arc<dyn Invoke> = Arc::new(functions.clone());

        let bus = EventBus::new(REGION, ACCOUNT, Arc::clone(&invoke), AsyncConfig::quick());
        bus.add_rule(Rule::new("uploads", "aws.s3", &["Object Created"], "uploads"));
        bus.add_rule(Rule::new("tasks", "aws.ecs", &["ECS Task State Change"], "tasks"));
        bus.schedule("sweep", config.sweep_every, "sweep");
        let roads = [carry(s3_end, bus.clone()), carry(ecs_end, bus.clone())];
        let mappings = mappings(&dynamo, &kinesis, &ledger_stream, &invoke).await?;

        let home = FunctionUrl::start(
            FunctionUrlConfig {
                function: "api".to_owned(),
                region: REGION.to_owned(),
                account_id: ACCOUNT.to_owned(),
                credentials: vec![Credentials::new(&keys.edge.id, &keys.edge.secret)?],
            },
            Arc::clone(&invoke),
        )
        .await?;
        let surroundings = edge_texts::Surroundings {
            keys: &keys,
            home: &home.url(),
            kinesis: kinesis_proxy.endpoint(),
            s3: s3.endpoint(),
            cdn: cdn.url(),
        };
        let journal = match config.journal {
            Journal::Queue => WorkerJournal::Queue,
            Journal::Home => WorkerJournal::Home,
        };
        let edge = WorkerEdgeConfig {
            program: WorkerdConfig::find(&config.edge_worker, journal)?,
            port: config.port,
            texts: surroundings.texts(config.journal),
            scratch,
            log: folder.path().join("edge.log"),
        };
        let edge = WorkerEdge::start(edge, replicated).await?;
        // Past the proxies: what tests and operators do must not meet the faults that are meant for the programs.
        let log = DynamoLog::new(dynamo.client(), LEDGER_TABLE);
        let views = DynamoViews::new(dynamo.client(), VIEWS_TABLE, Arc::new(log.clone()));
        Ok(Self {
            folder,
            edge,
            home,
            kv,
            bus,
            roads,
            mappings,
            functions,
            ecs,
            ecs_events,
            ecs_proxy,
            s3,
            s3_events,
            cdn,
            dynamo_proxy,
            kinesis_proxy,
            log,
            views,
            dynamo,
            kinesis,
        })
    }

    /// The API's URL.
    pub fn api(&self) -> &str {
        self.edge.url()
    }

    /// The URL of the home region, which answers signed calls.
    pub fn home(&self) -> String {
        self.home.url()
    }

    /// Where all files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log, not through a proxy.
    pub fn log(&self) -> &DynamoLog {
        &self.log
    }

    /// The views, not through a proxy.
    pub fn views(&self) -> &DynamoViews {
        &self.views
    }

    /// DynamoDB itself, not its proxy.
    pub fn dynamo(&self) -> &LocalDynamo {
        &self.dynamo
    }

    /// Kinesis itself, not its proxy.
    pub fn kinesis(&self) -> &LocalKinesis {
        &self.kinesis
    }

    /// The proxy between the programs and DynamoDB.
    pub fn dynamo_proxy(&self) -> &FaultProxy {
        &self.dynamo_proxy
    }

    /// The proxy between the edge and Kinesis.
    pub fn kinesis_proxy(&self) -> &FaultProxy {
        &self.kinesis_proxy
    }

    /// The proxy between the functions and ECS.
    pub fn ecs_proxy(&self) -> &FaultProxy {
        &self.ecs_proxy
    }

    /// ECS itself.
    pub fn ecs(&self) -> &Ecs {
        &self.ecs
    }

    /// The road of ECS' events.
    pub fn ecs_events(&self) -> &EventRoad {
        &self.ecs_events
    }

    /// The object store.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// The road of S3's events.
    pub fn s3_events(&self) -> &EventRoad {
        &self.s3_events
    }

    /// The CDN.
    pub fn cdn(&self) -> &Cdn {
        &self.cdn
    }

    /// The edge's key-value store.
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// The functions: `uploads`, `intake`, `react`, `views`, `tasks`, `sweep`, `api`.
    pub fn functions(&self) -> &lambda::Service {
        &self.functions
    }

    /// The bus.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// The event source mappings.
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// Ends everything, the one that asks before the one that answers. An error says what had ended by itself.
    pub async fn stop(self) -> anyhow::Result<()> {
        let edge = self.edge.stop().await;
        self.bus.stop();
        for road in self.roads {
            road.abort();
        }
        // Workers tell the log of their interruption.
        self.ecs.stop().await;
        tokio::join!(self.mappings.intake.stop(), self.mappings.react.stop(), self.mappings.views.stop());
        self.functions.stop().await;
        drop((self.home, self.kv, self.ecs_proxy));
        self.cdn.stop().await;
        self.s3.stop().await;
        drop((self.dynamo_proxy, self.kinesis_proxy));
        let (dynamo, kinesis) = (self.dynamo, self.kinesis);
        spawn_blocking(move || drop((dynamo, kinesis))).await?;
        edge
    }
}

/// Keys of this cloud alone.
struct Keys {
    /// What functions and workers sign with.
    role: AccessKey,
    /// What the edge calls the home region and Kinesis with.
    edge: AccessKey,
    /// What upload URLs are signed with.
    edge_s3: AccessKey,
    playback: PlaybackKey,
}

impl Keys {
    fn generate() -> Self {
        let key = || AccessKey {
            id: format!("AKIA{}", random_hex::<8>().to_uppercase()),
            secret: random_hex::<20>(),
        };
        Self { role: key(), edge: key(), edge_s3: key(), playback: PlaybackKey::generate() }
    }
}

/// Brings what comes at the end of a road to the bus.
fn carry(mut end: mpsc::UnboundedReceiver<Value>, bus: EventBus) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(event) = end.recv().await {
            bus.put_envelope(event);
        }
    })
}

async fn mappings(
    dynamo: &LocalDynamo,
    kinesis: &LocalKinesis,
    ledger_stream: &str,
    invoke: &Arc<dyn Invoke>,
) -> anyhow::Result<Mappings> {
    let reporting = |function: &str, lanes: usize| MappingConfig {
        parallelization_factor: lanes,
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        // The functions give up by themselves, and keep what they give up.
        maximum_retry_attempts: None,
        ..MappingConfig::new(function)
    };
    let facts = KinesisSource::open(kinesis.client(), FACTS_STREAM).await?;
    let ledger = || DynamoSource::new(tables::streams_client(dynamo), ledger_stream);
    Ok(Mappings {
        intake: Mapping::start(reporting("intake", 1), facts, Arc::clone(invoke)),
        react: Mapping::start(reporting("react", LANES), ledger(), Arc::clone(invoke)),
        views: Mapping::start(reporting("views", LANES), ledger(), Arc::clone(invoke)),
    })
}
