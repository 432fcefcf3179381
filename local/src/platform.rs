//! The whole platform in one process: starts everything, tells where it listens, and stops it in order.

use std::ffi::OsString;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use streamio_edge::Edge;
use streamio_edge::config::{AllowedOrigins, CdnConfig, EdgeConfig, RateLimit, S3Config};
use streamio_edge::home::{HomeJournal, HomeTenants};
use streamio_edge::ports::Ports;
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, PrivateKey};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::data_dir::{DataDir, DataDirLock};
use crate::home::{self, HomeKeys, HomeState};
use crate::objects::StoredObjects;
use crate::outbound::HttpOutbound;
use crate::reactions::Reactions;
use crate::runner::{Runner, WorkerCommand};
use crate::s3::{Store, StoreOptions, Watch};
use crate::secrets::{Secrets, random};
use crate::view_store::SqliteViewStore;
use crate::workerd::{Surroundings, Workerd, WorkerdConfig};
use crate::{cdn, clock, s3, uploads};

/// The bucket of sources.
pub const RAW_BUCKET: &str = "raw";
/// The bucket of results.
pub const PROCESSED_BUCKET: &str = "processed";
const REGION: &str = "us-east-1";
const ADDRESSES_FILE: &str = "platform.json";

/// How a platform is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// All state.
    pub data_dir: PathBuf,
    /// Where the API listens on the loopback interface; 0: the port of the last run if it is free, otherwise any.
    pub port: u16,
    /// How many videos are processed at the same time; `None`: as the machine's cores allow.
    pub concurrency: Option<usize>,
    /// Origins whose web pages may call the API; none: all.
    pub allowed_origins: Vec<String>,
    /// How many requests an API key may make; `None`: as many as everywhere.
    pub rate_limit: Option<RateLimit>,
    /// The program, with its arguments, that works as [`worker_main`](crate::worker_main).
    pub worker_command: Vec<OsString>,
    /// What answers the API.
    pub edge: EdgeFront,
    /// The form of what workers log on standard error, which they share with this process.
    pub log_format: LogFormat,
}

/// What answers the API.
#[derive(Debug, Clone)]
pub enum EdgeFront {
    /// This process.
    Native,
    /// The Worker of the cloud, on its runtime.
    Workerd(WorkerdConfig),
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object in a line.
    Json,
}

/// Where a platform listens. Its ports stay the same over restarts as long as they are free, so that signed URLs do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// The API's base URL.
    pub api: String,
    /// The object store's.
    pub s3: String,
    /// The CDN's.
    pub cdn: String,
}

/// Ports of the last run.
#[derive(Default, Serialize, Deserialize)]
struct LastPorts {
    api: u16,
    s3: u16,
    cdn: u16,
}

/// A running platform. Dropping it without [`Platform::run_until`] leaves workers to notice that it is gone.
pub struct Platform {
    addresses: Addresses,
    edge: Option<Arc<Edge>>,
    data_dir: DataDir,
    runner: Runner,
    /// Stops the API alone.
    stop_api: CancellationToken,
    api: JoinHandle<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _lock: DataDirLock,
}

impl Platform {
    /// Starts everything. When it answers, the API, the object store and the CDN accept requests, and what an earlier run
    /// left unfinished has been taken up.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let lock = data_dir.lock()?;
        let secrets = Secrets::load_or_generate(&data_dir)?;
        let log = SqliteLog::open(data_dir.log())?;
        let views = SqliteViewStore::open(&data_dir.views())
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| format!("cannot open {}", data_dir.views().display()))?;
        let store = Store::open(data_dir.objects(), StoreOptions::default()).await?;
        store.ensure_bucket(RAW_BUCKET, Watch::Created).await?;
        store.ensure_bucket(PROCESSED_BUCKET, Watch::Off).await?;
        begin_scratch(&data_dir)?;

        let listeners = Listeners::bind(&data_dir, config.port).await?;
        let addresses = listeners.addresses()?;
        let policy = Policy::new(RAW_BUCKET, PROCESSED_BUCKET);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let worker = WorkerCommand {
            command: config.worker_command.clone(),
            environment: worker_environment(&config, &data_dir, &addresses, &secrets),
        };
        let concurrency = config.concurrency.unwrap_or_else(default_concurrency);
        let run = HEXLOWER.encode(&random::<8>());
        let runner = Runner::new(Arc::new(log.clone()), worker, concurrency, run);

        // The object store first: workers that are launched at once need it.
        let credentials = s3::Credentials::new(&secrets.s3_access_key_id, &secrets.s3_secret_access_key);
        let s3_config = s3::Config { region: REGION.to_owned(), credentials: vec![credentials] };
        tasks.spawn(s3::serve(listeners.s3, store.clone(), s3_config, stop.clone()));
        let reactions = Reactions {
            log: log.clone(),
            store: views.clone(),
            runner: runner.clone(),
            objects: StoredObjects(store.clone()),
            policy: policy.clone(),
        };
        reactions.start(&stop, &tasks).await;
        tasks.spawn(uploads::run(log.clone(), store.clone(), policy.clone(), stop.clone()));

        let key_pairs = key_pairs(&secrets)?;
        let cdn_config = cdn_config(&addresses, &key_pairs)?;
        let origin = cdn::StoreOrigin::new(store, PROCESSED_BUCKET);
        let cdn = cdn::serve(
            listeners.cdn,
            origin,
            cdn_config,
            Arc::new(clock::now),
            stop.clone().cancelled_owned(),
        );
        tasks.spawn(async move {
            if let Err(error) = cdn.await {
                tracing::error!(error = %error, "the CDN's server has ended");
            }
        });
        let edge_config = edge_config(&config, &addresses, &secrets)?;
        let stop_api = CancellationToken::new();
        let region = home::region(&log, views, policy);
        let (edge, api) = match config.edge {
            EdgeFront::Native => {
                let ports = Ports {
                    directory: Arc::new(HomeTenants(Arc::clone(&region))),
                    journal: Arc::new(HomeJournal(Arc::clone(&region))),
                    home: region,
                    outbound: Arc::new(HttpOutbound::new()?),
                    url_signer: Arc::new(key_pairs),
                };
                let edge = Arc::new(Edge::new(edge_config, ports)?);
                let api = Api::new(listeners.api, Arc::clone(&edge)).serve(stop_api.clone());
                (Some(edge), tokio::spawn(api))
            }
            EdgeFront::Workerd(workerd) => {
                let home = bind(0).await.context("cannot listen for the Worker's calls")?;
                let home_url = format!("http://{}", home.local_addr()?);
                let keys = home_keys(&secrets)?;
                let state = HomeState::new(region, &log);
                let served = home::serve(home, state, keys, stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = served.await {
                        tracing::error!(error = %error, "the home region's server has ended");
                    }
                });
                let surroundings = Surroundings {
                    edge: edge_config,
                    home: home_url,
                    region: REGION,
                    secrets,
                    scratch: data_dir.scratch(),
                };
                let address = listeners.api.local_addr()?;
                // Until here nobody else could take the port.
                drop(listeners.api);
                let workerd = Workerd::start(workerd, address, surroundings, log).await?;
                (None, tokio::spawn(workerd.run(stop_api.clone())))
            }
        };
        Ok(Self { addresses, edge, data_dir, runner, stop_api, api, stop, tasks, _lock: lock })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The API without its server, where it is in this process: for tests that compare the two.
    #[doc(hidden)]
    pub fn edge(&self) -> Option<Arc<Edge>> {
        self.edge.clone()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Runs until `shutdown`, then lets requests finish, interrupts the workers, records that, and ends.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
        self.stop_api.cancel();
        let (api, ()) = tokio::join!(self.api, self.runner.stop());
        if let Err(error) = api {
            tracing::error!(error = %error, "the API has not ended in order");
        }
        // What the API's last requests needed.
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Listeners {
    api: TcpListener,
    s3: TcpListener,
    cdn: TcpListener,
}

impl Listeners {
    async fn bind(data_dir: &DataDir, api_port: u16) -> anyhow::Result<Self> {
        let last: LastPorts = data_dir.read_json(ADDRESSES_FILE)?.unwrap_or_default();
        let api = match api_port {
            0 => bind_preferably(last.api).await?,
            port => bind(port).await.with_context(|| {
                format!("cannot listen on port {port}; choose another with --port, or 0 for any free one")
            })?,
        };
        let listeners =
            Self { api, s3: bind_preferably(last.s3).await?, cdn: bind_preferably(last.cdn).await? };
        let ports = LastPorts {
            api: listeners.api.local_addr()?.port(),
            s3: listeners.s3.local_addr()?.port(),
            cdn: listeners.cdn.local_addr()?.port(),
        };
        data_dir.write_json(ADDRESSES_FILE, &ports)?;
        Ok(listeners)
    }

    fn addresses(&self) -> std::io::Result<Addresses> {
        let url = |listener: &TcpListener| listener.local_addr().map(|address| format!("http://{address}"));
        Ok(Addresses { api: url(&self.api)?, s3: url(&self.s3)?, cdn: url(&self.cdn)? })
    }
}

async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

async fn bind_preferably(port: u16) -> std::io::Result<TcpListener> {
    match bind(port).await {
        Ok(listener) => Ok(listener),
        Err(_) => bind(0).await,
    }
}

/// What workers of earlier runs left behind is of no use: each attempt begins anew.
fn begin_scratch(data_dir: &DataDir) -> anyhow::Result<()> {
    let scratch = data_dir.scratch();
    match std::fs::remove_dir_all(&scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", scratch.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))
}

/// FFmpeg uses several cores for one video, so fewer videos than cores keep all of them busy.
fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4))
}

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
    let private_key =
        PrivateKey::from_pem(&secrets.cdn_private_key).context("the CDN's key in secrets.json")?;
    let id = secrets.cdn_key_pair_id.clone();
    Ok(KeyPairs::new(&id.clone(), [(id, private_key)])?)
}

fn home_keys(secrets: &Secrets) -> anyhow::Result<HomeKeys> {
    let credentials = Credentials::new(&secrets.home_access_key_id, &secrets.home_secret_access_key)?;
    Ok(HomeKeys { region: REGION.to_owned(), credentials: vec![credentials] })
}

fn cdn_config(addresses: &Addresses, key_pairs: &KeyPairs) -> anyhow::Result<cdn::CdnConfig> {
    let public_keys = key_pairs.public_keys().map(|(id, key)| (id.to_owned(), key.to_pem()));
    let trusted = cdn::TrustedKeys::from_pem(public_keys)?;
    Ok(cdn::CdnConfig::new(cdn::BaseUrl::parse(&addresses.cdn)?, trusted))
}

fn edge_config(config: &Config, addresses: &Addresses, secrets: &Secrets) -> anyhow::Result<EdgeConfig> {
    let s3 = S3Config {
        endpoint: addresses.s3.clone(),
        region: REGION.to_owned(),
        address_style: AddressStyle::Path,
        raw_bucket: RAW_BUCKET.to_owned(),
        credentials: Credentials::new(&secrets.s3_access_key_id, &secrets.s3_secret_access_key)?,
    };
    let cdn = CdnConfig { base_url: addresses.cdn.clone(), hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
    let mut edge = EdgeConfig::new(s3, cdn);
    if !config.allowed_origins.is_empty() {
        edge.allowed_origins = AllowedOrigins::Only(config.allowed_origins.clone());
    }
    if let Some(rate_limit) = config.rate_limit {
        edge.rate_limit = rate_limit;
    }
    Ok(edge)
}
