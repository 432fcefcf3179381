//! A region in memory whose webhooks are sent to a receiver in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::fold_cache::{EndpointCache, ReplayCache, WebhookFolds};
use streamio_core::home_region::{HomePorts, HomeRegion, WebhookPorts};
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_core::ports::project_feed::{FeedPage, FeedPlaces, ProjectFeed, ProjectFeedError};
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_core::ports::webhook_sender::{WebhookRequest, WebhookSender};
use streamio_core::reactions::batch::react_batch;
use streamio_core::testing::{CountedUsage, MemoryDeliveries, MemoryFeed, TestRegion, start_time};
use streamio_core::webhooks::delivering::{self, DeliveringError, deliver};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_core::webhooks::replaying::{self, Next, ReplayingError, step};
use streamio_core::webhooks::scheduling::{self, schedule_messages};
use streamio_core::webhooks::view;
use streamio_events::api_key::KeyHash;
use streamio_events::commit::Commit;
use streamio_events::home::{
    EndpointWithSecret, Home as _, HomeError, WebhookCall, WebhookOutcome, WebhookResult,
};
use streamio_events::id::{CommitId, ProjectId, WebhookId};
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::exchange::{Answer, ErrorClass, Exchange, ExchangeError, ExchangeResult};

/// The secret from which all keys are derived.
pub(crate) const SECRET: [u8; 32] = [7; 32];

/// A request that the receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) at: Timestamp,
    pub(crate) url: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn message_type(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Status(u16),
    RetryAfter(u16, u64),
    Unreachable,
    Error(ErrorClass),
}

/// What is done while an attempt is in progress.
type Hook = Box<dyn FnOnce() + Send>;

/// The receivers of all URLs.
#[derive(Clone)]
pub(crate) struct Receivers {
    clock: Arc<AtomicI64>,
    received: Arc<Mutex<Vec<Received>>>,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    in_next_attempt: Arc<Mutex<Option<Hook>>>,
}

#[async_trait]
impl WebhookSender for Receivers {
    async fn send(&self, request: WebhookRequest) -> Exchange {
        let url = request.url.as_str().to_owned();
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let at = Timestamp::from_unix_millis(self.clock.load(Ordering::SeqCst));
        let reply = self.replies.lock().unwrap().get(&url).copied().unwrap_or(Reply::Status(200));
        if let Some(hook) = self.in_next_attempt.lock().unwrap().take() {
            hook();
        }
        self.received.lock().unwrap().push(Received { at, url, headers: request.headers, body });
        let result = match reply {
            Reply::Status(status) => ExchangeResult::Answer(Answer::new(status, None, b"answer")),
            Reply::RetryAfter(status, seconds) => {
                ExchangeResult::Answer(Answer::new(status, Some(seconds), b"busy"))
            }
            Reply::Unreachable => {
                ExchangeResult::Error(ExchangeError::new(ErrorClass::ConnectFailed, "refused"))
            }
            Reply::Error(class) => ExchangeResult::Error(ExchangeError::new(class, "failed")),
        };
        Exchange { duration_milliseconds: 20, result }
    }
}

/// Parts of the home region that calls about webhooks do not need.
struct Unused;

#[async_trait]
impl ProjectFeed for Unused {
    async fn page(&self, _: &ProjectId, _: Option<&str>, _: usize) -> Result<FeedPage, ProjectFeedError> {
        Err(ProjectFeedError::Unavailable("not used".into()))
    }
}

#[async_trait]
impl TenantStore for Unused {
    async fn get(&self, _: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        Err(TenantStoreError("not used".into()))
    }

    async fn put(&self, _: &KeyHash, _: &Tenant) -> Result<bool, TenantStoreError> {
        Err(TenantStoreError("not used".into()))
    }
}

/// A region with the project `acme`.
pub(crate) struct Harness {
    pub(crate) region: TestRegion,
    pub(crate) deliveries: MemoryDeliveries,
    receivers: Receivers,
    endpoints: Arc<EndpointCache>,
    replays: ReplayCache,
    folds: WebhookFolds,
    feed: MemoryFeed,
    home: HomeRegion,
    clock: Arc<AtomicI64>,
    position: u64,
    requests: u32,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let region = TestRegion::with_project().await;
        let clock = Arc::new(AtomicI64::new(start_time().unix_millis()));
        let receivers = Receivers {
            clock: Arc::clone(&clock),
            received: Arc::default(),
            replies: Arc::default(),
            in_next_attempt: Arc::default(),
        };
        let deliveries = MemoryDeliveries::default();
        let endpoints: Arc<EndpointCache> = Arc::default();
        let home = HomeRegion::new(HomePorts {
            log: Arc::new(region.log.clone()),
            views: Arc::clone(&region.store) as _,
            feed: Arc::new(Unused),
            tenants: Arc::new(Unused),
            usage: Arc::new(CountedUsage(region.log.clone())),
            webhooks: WebhookPorts {
                endpoints: Arc::clone(&endpoints),
                deliveries: Arc::new(deliveries.clone()),
                keys: WebhookKeys::new(&SECRET).unwrap(),
                urls: Rules::default(),
                feed: Arc::new(MemoryFeed(region.log.clone())),
                places: Arc::new(MemoryFeed(region.log.clone())),
            },
            audit: None,
            policy: region.policy.clone(),
            clock: {
                let clock = Arc::clone(&clock);
                Arc::new(move || Timestamp::from_unix_millis(clock.load(Ordering::SeqCst)))
            },
        });
        let feed = MemoryFeed(region.log.clone());
        let (replays, folds) = (ReplayCache::default(), WebhookFolds::default());
        Self {
            region,
            deliveries,
            receivers,
            endpoints,
            replays,
            folds,
            feed,
            home,
            clock,
            position: 0,
            requests: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.load(Ordering::SeqCst))
    }

    /// Sets the clock.
    pub(crate) fn set(&mut self, now: Timestamp) {
        self.clock.store(now.unix_millis(), Ordering::SeqCst);
        self.region.now = now;
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.set(self.now().plus(time));
    }

    /// Sets how the receiver at `url` answers from now on.
    pub(crate) fn reply(&self, url: &str, reply: Reply) {
        self.receivers.replies.lock().unwrap().insert(url.to_owned(), reply);
    }

    /// Has `hook` called while the next attempt is in progress.
    pub(crate) fn in_next_attempt(&self, hook: impl FnOnce() + Send + 'static) {
        *self.receivers.in_next_attempt.lock().unwrap() = Some(Box::new(hook));
    }

    /// The places of commits.
    pub(crate) fn places(&self) -> &dyn FeedPlaces {
        &self.feed
    }

    /// What the receivers got so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.receivers.received.lock().unwrap().clone()
    }

    /// Makes a call of the project.
    pub(crate) async fn call(&self, call: WebhookCall) -> Result<WebhookResult, HomeError> {
        Ok(self.outcome(call).await?.result)
    }

    /// Makes a call of the project. Returns also whether it was a repeated one.
    pub(crate) async fn outcome(&self, call: WebhookCall) -> Result<WebhookOutcome, HomeError> {
        self.home.webhooks(&acme(), &call).await
    }

    pub(crate) fn request(&mut self) -> CommitId {
        self.requests += 1;
        CommitId::derived_from(&["request", &self.requests.to_string()])
    }

    /// Registers an endpoint for these types.
    pub(crate) async fn endpoint(&mut self, url: &str, types: &[&str]) -> EndpointWithSecret {
        let call = WebhookCall::Create {
            commit_id: self.request(),
            url: url.to_owned(),
            types: types.iter().map(|text| text.parse().unwrap()).collect(),
            description: None,
            rate_limit: None,
        };
        match self.call(call).await.unwrap() {
            WebhookResult::Created(created) => created,
            other => panic!("{other:?}"),
        }
    }

    /// Does all that is due now, and what follows from it.
    pub(crate) async fn settle(&mut self) {
        loop {
            self.consume().await;
            let due = self.deliveries.due_deliveries(self.now(), 100, 1000).await.unwrap();
            if due.is_empty() {
                return;
            }
            for key in due {
                self.deliver(&self.region.log, &key).await.unwrap();
            }
        }
    }

    /// Settles, then sets the clock to each time at which something is due, and settles, until `end`.
    pub(crate) async fn run_until(&mut self, end: Timestamp) {
        self.settle().await;
        while let Some(next) = self.deliveries.next_due(self.now()).await.unwrap().filter(|at| *at <= end) {
            self.set(next);
            self.settle().await;
        }
        self.set(end);
    }

    /// Delivers with `log` in place of the region's own.
    pub(crate) async fn deliver(
        &self,
        log: &dyn EventLog,
        key: &DeliveryKey,
    ) -> Result<Delivery, DeliveringError> {
        let clock = || self.now();
        let keys = WebhookKeys::new(&SECRET).unwrap();
        let urls = Rules::default();
        let ports = delivering::Ports {
            log,
            endpoints: &self.endpoints,
            views: &*self.region.store,
            deliveries: &self.deliveries,
            sender: &self.receivers,
            keys: &keys,
            urls: &urls,
            policy: &self.region.policy,
            clock: &clock,
        };
        deliver(ports, key).await
    }

    /// Makes a step of the endpoint's replay, with `log` in place of the region's own.
    pub(crate) async fn step(
        &self,
        log: &dyn EventLog,
        webhook_id: &WebhookId,
    ) -> Result<Next, ReplayingError> {
        let clock = || self.now();
        let (endpoints, feed, deliveries) = (&self.endpoints, &self.feed, &self.deliveries);
        let replays = &self.replays;
        let ports =
            replaying::Ports { log, endpoints, replays, places: feed, feed, deliveries, clock: &clock };
        step(ports, &acme(), webhook_id).await
    }

    /// Delivers the log's changes to scheduling and to the views.
    pub(crate) async fn consume(&mut self) {
        loop {
            let changes = self.region.log.changes_after(self.position, 100).await.unwrap();
            let Some((last, _)) = changes.last() else { return };
            self.position = *last;
            for (_, commit) in &changes {
                self.consume_one(commit).await;
            }
        }
    }

    /// Delivers `commits` to the reactions, which schedule messages and take the steps of videos.
    pub(crate) async fn react(&self, commits: Vec<Commit>) -> Report {
        let region = &self.region;
        let messages = scheduling::Ports { log: &region.log, endpoints: &self.endpoints, places: &self.feed };
        let retry_policy = RetryPolicy::since_first_failure(Duration::MAX);
        let batch =
            Batch { function: "react", dead_letters: &*region.dead_letters, retry_policy: &retry_policy };
        let record = |(index, commit): (usize, Commit)| Record {
            sequence: index.to_string(),
            id: index.to_string(),
            arrived_at: self.now(),
            payload: String::new(),
            content: Ok(commit),
        };
        let records: Vec<_> = commits.into_iter().enumerate().map(record).collect();
        react_batch(batch, region.ports(), Some(messages), None, &records, &|| self.now()).await
    }

    pub(crate) async fn consume_one(&self, commit: &Commit) {
        let ports =
            scheduling::Ports { log: &self.region.log, endpoints: &self.endpoints, places: &self.feed };
        schedule_messages(ports, self.now(), &commit.stream, &[commit]).await.unwrap();
        if let Some(key) = DeliveryKey::of_stream(&commit.stream) {
            let store = &self.deliveries;
            view::refresh(&self.region.log, store, &key, commit.last()).await.unwrap();
            view::add_attempts(store, &key.project_id, &key.webhook_id, &[commit]).await.unwrap();
        }
        if let StreamId::Webhooks(project_id) = &commit.stream {
            let (log, store) = (&self.region.log, &self.deliveries);
            view::refresh_endpoints(log, &self.folds, store, project_id, &[commit]).await.unwrap();
        }
        if let StreamId::Replays(project_id, webhook_id) = &commit.stream {
            let (log, store) = (&self.region.log, &self.deliveries);
            view::refresh_replays(log, &self.folds, store, project_id, webhook_id).await.unwrap();
        }
    }

    /// All deliveries to the endpoint, those that were scheduled last first.
    pub(crate) async fn deliveries_to(&self, webhook_id: &WebhookId) -> Vec<Delivery> {
        let filter = streamio_events::home::DeliveryFilter {
            webhook_id: Some(webhook_id.clone()),
            ..Default::default()
        };
        self.deliveries.list_deliveries(&acme(), &filter, None, 1000).await.unwrap().deliveries
    }
}

pub(crate) fn acme() -> ProjectId {
    "acme".parse().unwrap()
}
