//! The whole platform in one process: starts and stops its parts in order.

mod config;
mod listeners;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use streamio_core::fold_cache::{EndpointCache, ProjectCache};
use streamio_core::home_region::WebhookPorts;
use streamio_core::webhooks::http_sender::{HttpSender, SenderRules, SystemResolver};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_edge::Edge;
use streamio_edge::config::{AllowedOrigins, CdnConfig, EdgeConfig, S3Config};
use streamio_edge::home::{HomeJournal, HomeTenants};
use streamio_edge::ports::Ports;
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, PrivateKey};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{CheckpointIntervals, Config, EdgeRuntime, LogFormat};
pub use self::listeners::Addresses;
pub(crate) use self::listeners::PORTS_FILE;
use self::listeners::{Listeners, bind, listen};
use crate::api::Api;
use crate::audit_log::{self, Audit, AuditFiles};
use crate::data_dir::{DataDir, DataDirLock};
use crate::health::Health;
use crate::home::{self, HomeKeys, HomeState};
use crate::objects::StoredObjects;
use crate::outage::Outage;
use crate::outbound::HttpOutbound;
use crate::project_feed::LogFeed;
use crate::reactions::Reactions;
use crate::runner::{Runner, WorkerCommand};
use crate::s3::{Store, StoreOptions, Versioning, Watch};
use crate::secrets::{Secrets, random};
use crate::view_store::{CountedUsage, SqliteViewStore};
use crate::webhooks::Webhooks;
use crate::webhooks::replaying::Replaying;
use crate::workerd::{WorkerEnvironment, Workerd};
use crate::{cdn, clock, s3, uploads};

/// The bucket of sources.
pub const RAW_BUCKET: &str = "raw";
/// The bucket of outputs.
pub const PROCESSED_BUCKET: &str = "processed";
const REGION: &str = "us-east-1";

/// How long to wait at the end for queries of the object store.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// A running platform. If it is dropped without [`Platform::run_until`], its workers stop when they see that their parent process has
/// ended.
pub struct Platform {
    addresses: Addresses,
    edge: Option<Arc<Edge>>,
    data_dir: DataDir,
    runner: Runner,
    /// Stops the API only.
    stop_api: CancellationToken,
    api: JoinHandle<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Stops the integration of commits into the audit logs, after all that appends.
    stop_audit: CancellationToken,
    audit: JoinHandle<()>,
    store: Store,
    _lock: DataDirLock,
}

impl Platform {
    /// Starts the platform. Returns when the API, the object store and the CDN accept requests and the unfinished work of an earlier
    /// run has been resumed.
    ///
    /// Fails if the data directory is in use or damaged, a port is in use, or the Worker does not start.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let lock = data_dir.lock()?;
        let secrets = Secrets::load_or_generate(&data_dir)?;
        let log = SqliteLog::open(data_dir.log())?;
        let views = SqliteViewStore::open(&data_dir.views())
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| format!("cannot open {}", data_dir.views().display()))?;
        if listeners::has_run(&data_dir) && !data_dir.objects().is_dir() {
            anyhow::bail!(
                "the object store {} is missing, although a platform has run on this data directory; restore a backup with `streamio \
                 restore`, or, to go on without the files of all videos, create the directory",
                data_dir.objects().display()
            );
        }
        let store = Store::open(data_dir.objects(), StoreOptions::default()).await?;
        store.ensure_bucket(RAW_BUCKET, Watch::Created).await?;
        // What was uploaded stays: a later PUT or DELETE of the same key adds a version.
        store.set_versioning(RAW_BUCKET, Versioning::Enabled).await?;
        store.ensure_bucket(PROCESSED_BUCKET, Watch::Off).await?;
        empty_scratch(&data_dir)?;

        let listeners = Listeners::bind(&data_dir, config.port)?;
        let addresses = listeners.addresses()?;
        let policy = policy(&config);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let worker = WorkerCommand {
            command: config.worker_command.clone(),
            environment: worker_environment(&config, &data_dir, &addresses, &secrets),
        };
        let concurrency = config.concurrency.unwrap_or_else(default_concurrency);
        let run = HEXLOWER.encode(&random::<8>());
        let runner =
            Runner::new(Arc::new(log.clone()), worker, concurrency, policy.project_limits.clone(), run);

        // Started first, because workers that are launched below need it.
        let credentials = s3::Credentials::new(&secrets.s3_access_key_id, &secrets.s3_secret_access_key);
        let s3_config = s3::Config { region: REGION.to_owned(), credentials: vec![credentials] };
        tasks.spawn(s3::serve(listeners.s3, store.clone(), s3_config, stop.clone()));
        let usage = || CountedUsage { log: log.clone(), views: views.clone() };
        let outage = Arc::new(Outage::new(clock::now()));
        let endpoints: Arc<EndpointCache> = Arc::default();
        let reactions = Reactions {
            projects: ProjectCache::default(),
            endpoints: Arc::clone(&endpoints),
            places: LogFeed(log.clone()),
            log: log.clone(),
            store: views.clone(),
            runner: runner.clone(),
            objects: StoredObjects(store.clone()),
            usage: usage(),
            outage: Arc::clone(&outage),
            policy: policy.clone(),
        };
        reactions.start(&stop, &tasks).await;
        tasks.spawn(uploads::run(log.clone(), store.clone(), usage(), policy.clone(), stop.clone()));

        let webhooks = WebhookPorts {
            endpoints,
            deliveries: Arc::new(views.clone()),
            keys: webhook_keys(&secrets)?,
            urls: config.webhook_urls.clone(),
            feed: Arc::new(LogFeed(log.clone())),
            places: Arc::new(LogFeed(log.clone())),
        };
        let sender = SenderRules { urls: webhooks.urls.clone(), ..SenderRules::default() };
        let webhook_delivery = Webhooks {
            log: log.clone(),
            store: views.clone(),
            endpoints: Arc::clone(&webhooks.endpoints),
            sender: Arc::new(HttpSender::new(sender, Arc::new(SystemResolver))?),
            keys: webhooks.keys.clone(),
            urls: webhooks.urls.clone(),
            policy: policy.clone(),
        };
        tasks.spawn(webhook_delivery.run(stop.clone()));
        let webhook_replays = Replaying {
            log: log.clone(),
            store: views.clone(),
            endpoints: Arc::clone(&webhooks.endpoints),
            folds: Arc::default(),
            feed: LogFeed(log.clone()),
        };
        tasks.spawn(webhook_replays.run(stop.clone()));

        let audit = Audit {
            log: log.clone(),
            files: AuditFiles::new(data_dir.audit()),
            keys: audit_log::keys(&data_dir, &secrets, &addresses.api)?,
            intervals: config.checkpoint_intervals,
        };
        let audit_ports = audit.ports();
        let stop_audit = CancellationToken::new();
        let audit = tokio::spawn(audit.run(stop_audit.clone()));

        let key_pairs = key_pairs(&secrets)?;
        let cdn_config = cdn_config(&config, &addresses, &key_pairs)?;
        let origin = cdn::StoreOrigin::new(store.clone(), PROCESSED_BUCKET);
        let cdn = cdn::serve(
            listeners.cdn,
            origin,
            cdn_config,
            Arc::new(clock::now),
            stop.clone().cancelled_owned(),
        );
        tasks.spawn(async move {
            if let Err(error) = cdn.await {
                tracing::error!(error = %error, "the CDN's server ended with an error");
            }
        });
        let edge_config = edge_config(&config, &addresses, &secrets, &policy)?;
        let stop_api = CancellationToken::new();
        let region = home::region(&log, views, webhooks, audit_ports, policy);
        let (edge, api) = match config.edge {
            EdgeRuntime::Native => {
                let ports = Ports {
                    directory: Arc::new(HomeTenants(Arc::clone(&region))),
                    journal: Arc::new(HomeJournal(Arc::clone(&region))),
                    home: region,
                    outbound: Arc::new(HttpOutbound::new()?),
                    url_signer: Arc::new(key_pairs),
                };
                let edge = Arc::new(Edge::new(edge_config, ports)?);
                let listener = listen(listeners.api).context("cannot listen on the port of the API")?;
                let api = Api::new(listener, Arc::clone(&edge), Health::new(store.clone(), outage))
                    .serve(stop_api.clone());
                (Some(edge), tokio::spawn(api))
            }
            EdgeRuntime::Workerd(workerd) => {
                let home = bind(0).context("cannot listen for the Worker's calls")?;
                let home_url = format!("http://{}", home.local_addr()?);
                let keys = home_keys(&secrets)?;
                let state = HomeState::new(region, &log);
                let served = home::serve(home, state, keys, stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = served.await {
                        tracing::error!(error = %error, "the home region's server ended with an error");
                    }
                });
                let environment = WorkerEnvironment {
                    edge: edge_config,
                    home: home_url,
                    region: REGION,
                    secrets,
                    scratch: data_dir.scratch(),
                };
                let workerd = Workerd::start(workerd, listeners.api, environment, log).await?;
                (None, tokio::spawn(workerd.run(stop_api.clone())))
            }
        };
        Ok(Self {
            addresses,
            edge,
            data_dir,
            runner,
            stop_api,
            api,
            stop,
            tasks,
            stop_audit,
            audit,
            store,
            _lock: lock,
        })
    }

    /// Returns the base URLs of the API, the object store and the CDN.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns the API without its server; `None` if workerd serves it. For tests that compare both.
    #[doc(hidden)]
    pub fn edge(&self) -> Option<Arc<Edge>> {
        self.edge.clone()
    }

    /// Returns the data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Runs until `shutdown` completes. Then lets requests in flight finish, interrupts the workers, records the interruptions, signs the
    /// last checkpoints, and stops.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
        self.stop_api.cancel();
        let (api, ()) = tokio::join!(self.api, self.runner.stop());
        if let Err(error) = api {
            tracing::error!(error = %error, "the API's task ended abnormally");
        }
        // After the API, whose last requests need them.
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.stop_audit.cancel();
        if let Err(error) = self.audit.await {
            tracing::error!(error = %error, "the audit log's task ended abnormally");
        }
        if tokio::time::timeout(CLOSE_TIME, self.store.close()).await.is_err() {
            tracing::warn!("the object store is still being read; it is closed with the process");
        }
    }
}

/// By how much an operator may set the clock forward while an upload is in progress: from an hour behind to an hour ahead, the errors of a
/// clock that was set to another local time.
const CLOCK_STEP: Duration = Duration::from_hours(2);

/// The policy of one machine: the API and the object store have the same clock.
fn policy(config: &Config) -> Policy {
    let grant_wait = match config.edge {
        // A grant is in the log before its URL is returned.
        EdgeRuntime::Native => Duration::ZERO,
        EdgeRuntime::Workerd(_) => Duration::from_mins(1),
    };
    let project_limits = config.project_limits.clone();
    let defaults = Policy::new(RAW_BUCKET, PROCESSED_BUCKET);
    Policy { grant_wait, clock_tolerance: Duration::ZERO, clock_step: CLOCK_STEP, project_limits, ..defaults }
}

/// The policy with which rows of videos are made again, whatever runs the API: their times to look at are never later than the platform's,
/// whose sweep defers what is not due.
pub(crate) fn policy_of_replays() -> Policy {
    let defaults = Policy::new(RAW_BUCKET, PROCESSED_BUCKET);
    Policy { grant_wait: Duration::ZERO, clock_tolerance: Duration::ZERO, clock_step: CLOCK_STEP, ..defaults }
}

/// Deletes the temporary files of workers of earlier runs. Each attempt starts from the beginning.
fn empty_scratch(data_dir: &DataDir) -> anyhow::Result<()> {
    let scratch = data_dir.scratch();
    match std::fs::remove_dir_all(&scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", scratch.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))
}

/// One worker per four cores, because FFmpeg uses several cores for one video.
fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4))
}

/// Returns the environment variables of all workers.
fn worker_environment(
    config: &Config,
    data_dir: &DataDir,
    addresses: &Addresses,
    secrets: &Secrets,
) -> Vec<(&'static str, String)> {
    vec![
        ("STREAMIO_LOG", format!("sqlite:{}", data_dir.log().display())),
        ("STREAMIO_S3_ENDPOINT", addresses.s3.clone()),
        ("STREAMIO_S3_REGION", REGION.to_owned()),
        ("STREAMIO_S3_PATH_STYLE", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", secrets.s3_access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", secrets.s3_secret_access_key.clone()),
        ("STREAMIO_SCRATCH", data_dir.scratch().display().to_string()),
        (
            "STREAMIO_LOG_FORMAT",
            match config.log_format {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            },
        ),
    ]
}

fn key_pairs(secrets: &Secrets) -> anyhow::Result<KeyPairs> {
    let private_key = PrivateKey::from_pem(&secrets.cdn_private_key)
        .context("the CDN's private key in secrets.json is invalid")?;
    let id = secrets.cdn_key_pair_id.clone();
    Ok(KeyPairs::new(&id.clone(), [(id, private_key)])?)
}

fn webhook_keys(secrets: &Secrets) -> anyhow::Result<WebhookKeys> {
    let secret = HEXLOWER
        .decode(secrets.webhook_secret.as_bytes())
        .context("webhookSecret in secrets.json is not hexadecimal")?;
    WebhookKeys::new(&secret).context("webhookSecret in secrets.json is invalid")
}

fn home_keys(secrets: &Secrets) -> anyhow::Result<HomeKeys> {
    let credentials = Credentials::new(&secrets.home_access_key_id, &secrets.home_secret_access_key)?;
    Ok(HomeKeys { region: REGION.to_owned(), credentials: vec![credentials] })
}

fn cdn_config(
    config: &Config,
    addresses: &Addresses,
    key_pairs: &KeyPairs,
) -> anyhow::Result<cdn::CdnConfig> {
    let public_keys = key_pairs.public_keys().map(|(id, key)| (id.to_owned(), key.to_pem()));
    let trusted = cdn::TrustedKeys::from_pem(public_keys)?;
    // An origin that is no header value is refused with the edge's configuration.
    let origins = config.allowed_origins.iter().filter_map(|origin| origin.parse().ok());
    let cdn_config = cdn::CdnConfig::new(cdn::BaseUrl::parse(&addresses.cdn)?, trusted);
    Ok(cdn_config.with_credentialed_origins(origins.collect::<Vec<_>>()))
}

fn edge_config(
    config: &Config,
    addresses: &Addresses,
    secrets: &Secrets,
    policy: &Policy,
) -> anyhow::Result<EdgeConfig> {
    let s3 = S3Config {
        endpoint: addresses.s3.clone(),
        region: REGION.to_owned(),
        address_style: AddressStyle::Path,
        raw_bucket: RAW_BUCKET.to_owned(),
        credentials: Credentials::new(&secrets.s3_access_key_id, &secrets.s3_secret_access_key)?,
    };
    let cdn = CdnConfig { base_url: addresses.cdn.clone(), hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
    let mut edge = EdgeConfig::new(s3, cdn);
    edge.max_upload_bytes = policy.limits.max_bytes;
    edge.public_url = Some(addresses.api.clone());
    if !config.allowed_origins.is_empty() {
        edge.allowed_origins = AllowedOrigins::Only(config.allowed_origins.clone());
    }
    if let Some(rate_limits) = config.rate_limits {
        edge.rate_limits = rate_limits;
    }
    Ok(edge)
}
