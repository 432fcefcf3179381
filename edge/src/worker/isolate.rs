//! The API of this isolate, made once from the Worker's settings.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use js_sys::Reflect;
use streamio_events::api_key::ApiKey;
use streamio_events::home::Home as _;
use streamio_events::timestamp::Timestamp;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::fetch::FetchOutbound;
use super::grants::{Queue, QueueJournal, WaitUntilJournal};
use super::invocation::{Invocation, WaitUntil};
use super::random::Random;
use super::signer::HostSigner;
use super::tenants::{LoggedFailures, Namespace};
use super::{exchange, grants, host, log};
use crate::context::Context;
use crate::directory::{DirectoryConfig, DirectoryPorts, ReplicatedDirectory, StoredTenants};
use crate::edge::{Edge, Served};
use crate::home::{HomeClient, HomeJournal, HomeTenants};
use crate::kinesis::{Backoff, Feeder, KinesisConfig};
use crate::ports::journal::Journal;
use crate::ports::{Background, Clock, Pause, Ports};
use crate::settings::{InvalidSettings, JournalMode, LogMode, Settings};
use crate::sign::key::{HashAlgorithm, SharedSigner, UrlSigner};

thread_local! {
    static ISOLATE: RefCell<Option<Rc<Isolate>>> = const { RefCell::new(None) };
}

/// The objects that an isolate works with, and what is said where one is not there.
const BINDINGS: [(&str, &str); 3] = [
    ("TENANTS", "is missing: bind a KV namespace"),
    ("GRANTS", "is missing: bind a queue to send to"),
    ("DEAD_GRANTS", "is missing: bind a queue to send to"),
];

/// What lives as long as the isolate.
pub(super) struct Isolate {
    edge: Edge,
    feeder: OnceCell<Feeder>,
    kinesis: KinesisConfig,
    /// Where messages go that will never be facts.
    pub(super) dead_grants: Queue,
    tenants_at_home: Arc<HomeClient>,
    url_signer: Arc<dyn UrlSigner>,
    log: LogMode,
    random: RefCell<Random>,
}

impl Isolate {
    /// The isolate's own, made of the settings in `env` when it is asked for the first time.
    pub(super) fn get(env: &JsValue) -> Result<Rc<Self>, InvalidSettings> {
        if let Some(isolate) = ISOLATE.with_borrow(Clone::clone) {
            return Ok(isolate);
        }
        let isolate = Rc::new(Self::new(env)?);
        ISOLATE.set(Some(Rc::clone(&isolate)));
        Ok(isolate)
    }

    fn new(env: &JsValue) -> Result<Self, InvalidSettings> {
        let settings = Settings::read(|name| Reflect::get(env, &name.into()).ok()?.as_string());
        let bindings =
            BINDINGS.map(|(name, _)| Reflect::get(env, &name.into()).ok().filter(JsValue::is_object));
        let (settings, tenants, grants, dead_grants) = match (settings, bindings) {
            (Ok(settings), [Some(tenants), Some(grants), Some(dead_grants)]) => (
                settings,
                Namespace(tenants.unchecked_into()),
                Queue::new(grants.unchecked_into()),
                Queue::new(dead_grants.unchecked_into()),
            ),
            (settings, bindings) => return Err(incomplete(settings.err(), &bindings)),
        };
        let outbound = Arc::new(FetchOutbound::PATIENT);
        let background: Arc<dyn Background> = Arc::new(WaitUntil);
        let home = |outbound| {
            HomeClient::new(settings.home.clone(), outbound, Arc::new(HostClock))
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
        let signer = HostSigner::new(settings.key_pair.id, settings.key_pair.private_key.reveal().to_owned());
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

    /// What puts the queue's grants into the stream: made for the first batch, because most isolates never see one.
    pub(super) fn feeder(&self) -> Result<&Feeder, InvalidSettings> {
        if let Some(feeder) = self.feeder.get() {
            return Ok(feeder);
        }
        let feeder = Feeder::new(
            self.kinesis.clone(),
            Backoff::default(),
            Arc::new(FetchOutbound::PATIENT),
            Arc::new(HostClock),
            Arc::new(HostPause),
        )
        .map_err(|error| InvalidSettings::of("KINESIS_ENDPOINT", error))?;
        Ok(self.feeder.get_or_init(|| feeder))
    }

    /// Answers `request`. `now` is in milliseconds of the Unix epoch.
    pub(super) async fn answer(&self, request: Request<Bytes>, now: f64, invocation: &Invocation) -> JsValue {
        let context = Context { now: timestamp(now), random: self.random() };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        #[cfg(feature = "probes")]
        super::probes::panic_if_asked(uri.path()).await;
        let response = self.edge.handle(context, request).await;
        log::served(self.log, &method, uri.path(), &response, now);
        exchange::response(&response, invocation.take_acceptance())
    }

    /// The answer to a request that was under way when the instance of this module ended.
    pub(super) fn failed(&self, request: &Request<Bytes>) -> JsValue {
        self.told(request, &self.edge.failed(self.random(), request))
    }

    /// The answer in place of one whose grant the queue has not accepted.
    pub(super) fn not_recorded(&self, request: &Request<Bytes>) -> JsValue {
        self.told(request, &self.edge.not_recorded(self.random(), request, grants::not_accepted()))
    }

    fn told(&self, request: &Request<Bytes>, response: &Response<Bytes>) -> JsValue {
        log::served(self.log, request.method(), request.uri().path(), response, js_sys::Date::now());
        exchange::response(response, None)
    }

    /// 32 random bytes, never handed out before.
    pub(super) fn random(&self) -> [u8; 32] {
        self.random.borrow_mut().take()
    }

    /// What a viewer and a tenant need all the time, tried once: a signature, and the home region.
    pub(super) async fn check_roads(&self) {
        if let Err(invalid) = self.feeder() {
            log::misconfigured(&invalid.problems, None);
        }
        if let Err(error) = self.url_signer.sign(HashAlgorithm::Sha256, b"a check").await {
            log::failed("URLs of the CDN cannot be signed", &error);
        }
        // No key has this hash; that there is an answer is all that counts.
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

/// The answer of a Worker that has no settings to work with. What is wrong is for its operator, in the log.
pub(super) fn misconfigured(invalid: InvalidSettings, request: &Request<Bytes>) -> JsValue {
    let problems = invalid.problems.clone();
    let response = crate::misconfigured(Random::new().take(), request, invalid);
    let request_id = response.extensions().get::<Served>().map(|served| served.request_id.as_str());
    log::misconfigured(&problems, request_id);
    exchange::response(&response, None)
}

/// All that is wrong with the settings, and the bindings that are not there.
#[cold]
fn incomplete(settings: Option<InvalidSettings>, bindings: &[Option<JsValue>]) -> InvalidSettings {
    let mut problems = settings.map(|it| it.problems).unwrap_or_default();
    for ((name, missing), binding) in BINDINGS.into_iter().zip(bindings) {
        if binding.is_none() {
            problems.push((name, missing.to_owned()));
        }
    }
    InvalidSettings { problems }
}

fn timestamp(millis: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of the host's clock")]
    Timestamp::from_unix_millis(millis as i64)
}

/// The host's clock. In production it stands still while this code computes.
struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        timestamp(js_sys::Date::now())
    }
}

/// The host's timers.
struct HostPause;

#[async_trait(?Send)]
impl Pause for HostPause {
    async fn pause(&self, duration: Duration) {
        let milliseconds = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        // A timer is never refused.
        let _ = JsFuture::from(host::pause(milliseconds)).await;
    }
}
