//! The emulated cloud: the product's programs on emulated services, started and stopped together.
//!
//! ```text
//! client ── workerd ──┬── function URL ── api ─────────┐
//!                     └── queue ── Kinesis ── intake ──┤
//! client ── S3 ── EventBridge ── uploads ──────────────┤
//!                                                      ├── DynamoDB (ledger) ── its stream ──┬── react ── ECS ── worker
//! ECS ── EventBridge ── tasks ─────────────────────────┤                                     └── views ── DynamoDB (views), KV
//! schedule ── sweep (also to ECS, SQS and KV) ──────────┤
//! react ── SQS ── webhooks ── tenant's endpoint ────────┤
//! worker ──────────────────────────────────────────────┘      player ── CDN ── S3
//! ```
//!
//! Tests inject faults: proxies in front of DynamoDB, Kinesis, ECS and SQS fail calls, event channels between S3 or ECS and
//! EventBridge drop, hold and duplicate events, and the Lambda service crashes functions. Event source mappings read their
//! streams directly.

pub(crate) mod config;
mod folder;
mod functions;
mod keys;
mod mappings;
mod names;
mod operator;
pub(crate) mod tables;
mod worker_variables;

use std::path::Path;
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
use self::folder::Folder;
use self::keys::Keys;
pub use self::mappings::Mappings;
pub use self::names::{
    FACTS_STREAM, LEDGER_TABLE, PROCESSED_BUCKET, RAW_BUCKET, VIEWS_TABLE, WEBHOOKS_QUEUE,
};
pub use self::operator::NewKey;
use crate::arn::{ACCOUNT, REGION};
use crate::cdn::Cdn;
use crate::control_plane::ControlPlane;
use crate::ecs::{Ecs, EcsConfig};
use crate::event_bus::{EventBus, Rule};
use crate::event_channel::EventChannel;
use crate::fault_proxy::{FaultProxy, Service};
use crate::function_url::{FunctionUrl, FunctionUrlConfig};
use crate::kv::{Kv, KvConfig};
use crate::lambda::{self, AsyncConfig, Invoke, ServiceConfig};
use crate::request_id::random_hex;
use crate::s3::{AccessKey, S3, S3Config};
use crate::sqs::{QueueConfig, Sqs};
use crate::worker_edge::{WorkerEdge, WorkerEdgeConfig};

/// How long a received message of the queue is invisible. In the real service it is at least the timeout of the function; here it is longer
/// than an attempt to a receiver on this machine takes, so that tests do not wait for minutes.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(10);

/// A running cloud. [`Cloud::stop`] stops it in order. When it is dropped or this process is killed, all of its processes
/// end within seconds.
pub struct Cloud {
    folder: Folder,
    edge: WorkerEdge,
    home: FunctionUrl,
    control_plane: ControlPlane,
    operator_key: AccessKey,
    kv: Kv,
    bus: EventBus,
    forwarders: [JoinHandle<()>; 2],
    mappings: Mappings,
    functions: lambda::Service,
    ecs: Ecs,
    ecs_events: EventChannel,
    ecs_proxy: FaultProxy,
    sqs: Sqs,
    sqs_proxy: FaultProxy,
    s3: S3,
    s3_events: EventChannel,
    cdn: Cdn,
    dynamo_proxy: FaultProxy,
    kinesis_proxy: FaultProxy,
    log: DynamoLog,
    views: DynamoViews,
    dynamo: LocalDynamo,
    kinesis: LocalKinesis,
}

impl Cloud {
    /// Starts all services and programs. Returns when the API responds.
    pub async fn start(config: CloudConfig) -> anyhow::Result<Self> {
        let folder = Folder::create(config.folder.as_deref())?;
        let scratch = folder.path().join("scratch");
        std::fs::create_dir_all(&scratch)?;

        let (dynamo, kinesis) = tokio::try_join!(
            async { spawn_blocking(LocalDynamo::start).await?.context("could not start DynamoDB") },
            async { spawn_blocking(LocalKinesis::start).await?.context("could not start Kinesis") },
        )?;
        let ledger_stream = tables::create(&dynamo, &kinesis).await?;
        let dynamo_proxy = FaultProxy::start(Service::DynamoDb, &dynamo.endpoint()).await?;
        let kinesis_proxy = FaultProxy::start(Service::Kinesis, &kinesis.endpoint()).await?;

        let keys = Keys::generate();
        let (s3_events, s3_receiver) = EventChannel::new();
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

        let sqs = Sqs::start(QueueConfig {
            name: WEBHOOKS_QUEUE.to_owned(),
            visibility_timeout: VISIBILITY_TIMEOUT,
            max_receive_count: 5,
        })
        .await?;
        let sqs_proxy = FaultProxy::start(Service::Sqs, sqs.endpoint()).await?;
        let queue_url = sqs.queue_url();

        let (ecs_events, ecs_receiver) = EventChannel::new();
        let endpoints = functions::Endpoints {
            dynamo: dynamo_proxy.endpoint(),
            kinesis: kinesis_proxy.endpoint(),
            s3: s3.endpoint(),
            kv: kv.endpoint(),
            sqs: sqs_proxy.endpoint(),
            queue: &queue_url,
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
        let webhook_secret = random_hex::<32>();
        let ecs_endpoint = ecs_proxy.endpoint();
        for function in
            functions::all(&config, &endpoints, ecs_endpoint, &kv_config, &webhook_secret, &scratch)
        {
            functions.register(function);
        }
        let invoke: Arc<dyn Invoke> = Arc::new(functions.clone());

        let bus = EventBus::new(REGION, ACCOUNT, Arc::clone(&invoke), AsyncConfig::scaled_down());
        bus.add_rule(Rule::new("uploads", "aws.s3", &["Object Created"], "uploads"));
        bus.add_rule(Rule::new("tasks", "aws.ecs", &["ECS Task State Change"], "tasks"));
        bus.schedule("sweep", config.sweep_every, "sweep");
        let forwarders = [forward(s3_receiver, bus.clone()), forward(ecs_receiver, bus.clone())];
        let mappings = Mappings::start(&dynamo, &kinesis, &ledger_stream, &sqs, &invoke).await?;

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
        let operator = [Credentials::new(&keys.operator.id, &keys.operator.secret)?];
        let control_plane = ControlPlane::start(&operator, Arc::clone(&invoke)).await?;
        let surroundings = worker_variables::Environment {
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
            variables: surroundings.variables(config.journal),
            scratch,
            log: folder.path().join("edge.log"),
        };
        let edge = WorkerEdge::start(edge, replicated).await?;
        // Not through the proxies: injected faults are for the programs, not for tests and operators.
        let log = DynamoLog::new(dynamo.client(), LEDGER_TABLE);
        let views = DynamoViews::new(dynamo.client(), VIEWS_TABLE, Arc::new(log.clone()));
        Ok(Self {
            folder,
            edge,
            home,
            control_plane,
            operator_key: keys.operator,
            kv,
            bus,
            forwarders,
            mappings,
            functions,
            ecs,
            ecs_events,
            ecs_proxy,
            sqs,
            sqs_proxy,
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

    /// Returns the URL of the API.
    pub fn api(&self) -> &str {
        self.edge.url()
    }

    /// Returns the URL of the home region's API, which accepts signed calls.
    pub fn home(&self) -> String {
        self.home.url()
    }

    /// Returns the URL of STS and Lambda, for an operator.
    pub fn control_plane(&self) -> &str {
        self.control_plane.url()
    }

    /// Returns the environment variables with which `streamio --aws` operates this cloud. DynamoDB is reached without the fault proxy.
    pub fn operator_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.operator_key.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.operator_key.secret.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamo.endpoint()),
            ("AWS_ENDPOINT_URL_STS", self.control_plane().to_owned()),
            ("AWS_ENDPOINT_URL_LAMBDA", self.control_plane().to_owned()),
            ("STREAMIO_LEDGER_TABLE", LEDGER_TABLE.to_owned()),
            ("STREAMIO_VIEWS_TABLE", VIEWS_TABLE.to_owned()),
        ]
    }

    /// Returns the folder with all files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the log, without the fault proxy.
    pub fn log(&self) -> &DynamoLog {
        &self.log
    }

    /// Returns the views, without the fault proxy.
    pub fn views(&self) -> &DynamoViews {
        &self.views
    }

    /// Returns DynamoDB, without the fault proxy.
    pub fn dynamo(&self) -> &LocalDynamo {
        &self.dynamo
    }

    /// Returns Kinesis, without the fault proxy.
    pub fn kinesis(&self) -> &LocalKinesis {
        &self.kinesis
    }

    /// Returns the fault proxy between the programs and DynamoDB.
    pub fn dynamo_proxy(&self) -> &FaultProxy {
        &self.dynamo_proxy
    }

    /// Returns the fault proxy between the programs and Kinesis.
    pub fn kinesis_proxy(&self) -> &FaultProxy {
        &self.kinesis_proxy
    }

    /// Returns the fault proxy between the functions and ECS.
    pub fn ecs_proxy(&self) -> &FaultProxy {
        &self.ecs_proxy
    }

    /// Returns the queue of webhook deliveries.
    pub fn sqs(&self) -> &Sqs {
        &self.sqs
    }

    /// Returns the fault proxy between the functions and the queue.
    pub fn sqs_proxy(&self) -> &FaultProxy {
        &self.sqs_proxy
    }

    /// Returns ECS.
    pub fn ecs(&self) -> &Ecs {
        &self.ecs
    }

    /// Returns the channel of ECS's events.
    pub fn ecs_events(&self) -> &EventChannel {
        &self.ecs_events
    }

    /// Returns the object store.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// Returns the channel of S3's events.
    pub fn s3_events(&self) -> &EventChannel {
        &self.s3_events
    }

    /// Returns the CDN.
    pub fn cdn(&self) -> &Cdn {
        &self.cdn
    }

    /// Returns Workers KV.
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// Returns the Lambda service, with the functions `uploads`, `intake`, `react`, `views`, `tasks`, `sweep`, `webhooks` and `api`.
    pub fn functions(&self) -> &lambda::Service {
        &self.functions
    }

    /// Returns the event bus.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// Returns the event source mappings.
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// Stops everything, each client before its server. Fails if the edge had already ended.
    pub async fn stop(self) -> anyhow::Result<()> {
        let edge = self.edge.stop().await;
        self.bus.stop();
        for forwarder in self.forwarders {
            forwarder.abort();
        }
        // Before the log: workers record their interruption there.
        self.ecs.stop().await;
        let Mappings { intake, react, views, webhooks } = &self.mappings;
        tokio::join!(intake.stop(), react.stop(), views.stop(), webhooks.stop());
        self.functions.stop().await;
        drop((self.home, self.control_plane, self.kv, self.ecs_proxy, self.sqs_proxy, self.sqs));
        self.cdn.stop().await;
        self.s3.stop().await;
        drop((self.dynamo_proxy, self.kinesis_proxy));
        let (dynamo, kinesis) = (self.dynamo, self.kinesis);
        spawn_blocking(move || drop((dynamo, kinesis))).await?;
        edge
    }
}

/// Forwards the events of a channel to the bus.
fn forward(mut events: mpsc::UnboundedReceiver<Value>, bus: EventBus) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            bus.put_envelope(event);
        }
    })
}
