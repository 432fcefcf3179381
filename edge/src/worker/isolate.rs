//! The API of this isolate, made once from the Worker's settings.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use js_sys::Reflect;
use streamio_events::api_key::ApiKey;
use streamio_events::home::Home as _;
use streamio_events::timestamp::Timestamp;
use wasm_bindgen::JsValue;
use worker::Env;

use super::invocation::WaitUntil;
use super::journal::{QueueJournal, QueueReceipt, WaitUntilJournal};
use super::key_value_store::{LoggedFailures, Namespace};
use super::outbound::FetchOutbound;
use super::pause::RuntimePause;
use super::queue::Queue;
use super::random::Random;
use super::signer::NodeSigner;
use super::{exchange, log};
use crate::context::Context;
use crate::directory::{DirectoryConfig, DirectoryPorts, ReplicatedDirectory, StoredTenants};
use crate::edge::{Edge, Served};
use crate::home::{HomeClient, HomeJournal, HomeTenants};
use crate::kinesis::{Backoff, Feeder, KinesisConfig};
use crate::pending_response::PendingResponse;
use crate::ports::journal::Journal;
use crate::ports::{Background, Clock, Ports};
use crate::settings::{InvalidSettings, JournalMode, LogMode, Settings};
use crate::sign::key::{HashAlgorithm, SharedSigner, UrlSigner};

thread_local! {
    static ISOLATE: RefCell<Option<Rc<Isolate>>> = const { RefCell::new(None) };
}

/// The state of an isolate.
pub(super) struct Isolate {
    edge: Edge,
    feeder: OnceCell<Feeder>,
    kinesis: KinesisConfig,
    /// The queue for messages that are not facts.
    pub(super) dead_grants: Queue,
    tenants_at_home: Arc<HomeClient>,
    url_signer: Arc<dyn UrlSigner>,
    log: LogMode,
    random: RefCell<Random>,
}

impl Isolate {
    /// Returns the isolate's state, which the first call creates from `env`.
    pub(super) fn get(env: &Env) -> Result<Rc<Self>, InvalidSettings> {
        if let Some(isolate) = ISOLATE.with_borrow(Clone::clone) {
            return Ok(isolate);
        }
        let isolate = Rc::new(Self::new(env)?);
        ISOLATE.set(Some(Rc::clone(&isolate)));
        Ok(isolate)
    }

    fn new(env: &Env) -> Result<Self, InvalidSettings> {
        let (settings, Bindings { tenants, grants, dead_grants }) = read(env)?;
        let outbound = Arc::new(FetchOutbound::PATIENT);
        let background: Arc<dyn Background> = Arc::new(WaitUntil);
        let home = |outbound| {
            HomeClient::new(settings.home.clone(), outbound, Arc::new(RuntimeClock))
                .map(Arc::new)
                .map_err(|error| InvalidSettings::of("HOME_URL", error))
        };
        let tenants_at_home = home(Arc::new(FetchOutbound::BRIEF))?;
        let home = home(outbound.clone())?;
        let directory = ReplicatedDirectory::new(
            &DirectoryConfig::default(),
            DirectoryPorts {
                store: Arc::new(StoredTenants::new(Arc::new(tenants))),
                home: Arc::new(HomeTenants(tenants_at_home.clone())),
                background: background.clone(),
                failures: Arc::new(LoggedFailures),
            },
        )
        .expect("the default configuration of the directory is valid");
        let journal: Arc<dyn Journal> = match settings.journal {
            JournalMode::Queue => Arc::new(QueueJournal(grants)),
            JournalMode::WaitUntil => Arc::new(WaitUntilJournal { queue: grants, background }),
            JournalMode::Home => Arc::new(HomeJournal(home.clone())),
        };
        let signer = NodeSigner::new(settings.key_pair.id, settings.key_pair.private_key.reveal().to_owned());
        let url_signer: Arc<dyn UrlSigner> = Arc::new(SharedSigner::new(signer));
        let ports =
            Ports { directory: Arc::new(directory), journal, home, outbound, url_signer: url_signer.clone() };
        let edge = Edge::new(settings.edge, ports).map_err(|invalid| InvalidSettings {
            problems: invalid.problems.into_iter().map(|it| (it.setting, it.reason)).collect(),
        })?;
        let random = RefCell::new(Random::new());
        Ok(Self {
            edge,
            feeder: OnceCell::new(),
            kinesis: settings.kinesis,
            dead_grants,
            tenants_at_home,
            url_signer,
            log: settings.log,
            random,
        })
    }

    /// Returns what puts the queue's grants into the stream. The first batch creates it, because most isolates never get one.
    pub(super) fn feeder(&self) -> Result<&Feeder, InvalidSettings> {
        if let Some(feeder) = self.feeder.get() {
            return Ok(feeder);
        }
        let feeder = Feeder::new(
            self.kinesis.clone(),
            Backoff::default(),
            Arc::new(FetchOutbound::PATIENT),
            Arc::new(RuntimeClock),
            Arc::new(RuntimePause),
        )
        .map_err(|error| InvalidSettings::of("KINESIS_ENDPOINT", error))?;
        Ok(self.feeder.get_or_init(|| feeder))
    }

    /// Handles `request`. `now` is in milliseconds of the Unix epoch. Returns what [`exchange::response`] returns.
    pub(super) async fn handle(&self, request: &Request<Bytes>, now: f64) -> JsValue {
        let client_address = exchange::client_address(request);
        let context = Context { now: timestamp(now), random: self.random(), client_address };
        #[cfg(feature = "probes")]
        super::probes::panic_if_requested(request.uri().path()).await;
        let PendingResponse { response, receipt } = self.edge.handle_without_waiting(context, request).await;
        log::served(self.log, request.method(), &response, now);
        exchange::response(&response, receipt.map(QueueReceipt::into_promise))
    }

    /// Returns the response to a request that was being handled when the instance of this module ended.
    pub(super) fn failed(&self, request: &Request<Bytes>) -> JsValue {
        self.respond(request, &self.edge.failed(self.random(), request))
    }

    /// Returns the response to a request whose grant the queue did not accept.
    pub(super) fn not_recorded(&self, request: &Request<Bytes>) -> JsValue {
        self.respond(request, &self.edge.not_recorded(self.random(), request, QueueReceipt::rejected()))
    }

    fn respond(&self, request: &Request<Bytes>, response: &Response<Bytes>) -> JsValue {
        log::served(self.log, request.method(), response, js_sys::Date::now());
        exchange::response(response, None)
    }

    /// Returns 32 random bytes that were never returned before.
    pub(super) fn random(&self) -> [u8; 32] {
        self.random.borrow_mut().take()
    }

    /// Checks what requests depend on, and logs the result: the settings of Kinesis, a signature, and the home region.
    pub(super) async fn check_health(&self) {
        if let Err(invalid) = self.feeder() {
            log::misconfigured(&invalid.problems, None);
        }
        if let Err(error) = self.url_signer.sign(HashAlgorithm::Sha256, b"a check").await {
            log::failed("URLs of the CDN cannot be signed", &error);
        }
        // No API key has this hash: any answer shows that the home region works.
        match self
            .tenants_at_home
            .tenant(&ApiKey::generate("live", [0; 32]).expect("an environment").hash())
            .await
        {
            Ok(_) => log::event("log", "the home region answers", &[]),
            Err(error) => log::failed("the home region does not answer", &error),
        }
    }
}

/// Returns the response of a Worker with invalid settings, and logs what is wrong, for its operator only.
pub(super) fn misconfigured(invalid: InvalidSettings, request: &Request<Bytes>) -> JsValue {
    let problems = invalid.problems.clone();
    let response = crate::misconfigured(Random::new().take(), request, invalid);
    let request_id = response.extensions().get::<Served>().map(|served| served.request_id.as_str());
    log::misconfigured(&problems, request_id);
    exchange::response(&response, None)
}

/// The Worker's bindings to a KV namespace and to queues.
struct Bindings {
    tenants: Namespace,
    grants: Queue,
    dead_grants: Queue,
}

/// Reads the settings and bindings. The error names everything that is invalid or missing.
fn read(env: &Env) -> Result<(Settings, Bindings), InvalidSettings> {
    // The crate's own accessors throw, outside of any Result, where a value is null.
    let value = |name: &str| Reflect::get(env, &name.into()).ok();
    let is_object = |name| value(name).is_some_and(|value| value.is_object());
    let queue = |name| if is_object(name) { env.queue(name).ok().map(Queue::new) } else { None };
    let settings = Settings::read(|name| value(name)?.as_string());
    let tenants = if is_object("TENANTS") { env.kv("TENANTS").ok().map(Namespace) } else { None };
    match (settings, tenants, queue("GRANTS"), queue("DEAD_GRANTS")) {
        (Ok(settings), Some(tenants), Some(grants), Some(dead_grants)) => {
            Ok((settings, Bindings { tenants, grants, dead_grants }))
        }
        (settings, tenants, grants, dead_grants) => {
            let mut problems = settings.err().map(|invalid| invalid.problems).unwrap_or_default();
            let bindings = [
                ("TENANTS", "is no KV namespace: bind one", tenants.is_some()),
                ("GRANTS", "is no queue: bind one to send to", grants.is_some()),
                ("DEAD_GRANTS", "is no queue: bind one to send to", dead_grants.is_some()),
            ];
            let missing = bindings.into_iter().filter(|(.., is_bound)| !is_bound);
            problems.extend(missing.map(|(name, reason, _)| (name, reason.to_owned())));
            Err(InvalidSettings { problems })
        }
    }
}

fn timestamp(millis: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of the host's clock")]
    Timestamp::from_unix_millis(millis as i64)
}

/// The runtime's clock. In production it does not advance while code computes.
struct RuntimeClock;

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        timestamp(js_sys::Date::now())
    }
}
