//! Calls about webhooks.

mod replays;
mod valid;

use std::sync::Arc;
use std::time::Duration;

use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{EventBody, RecordedEvent, WebhookUpdated};
use streamio_events::home::{
    DeliveryFilter, EndpointWithSecret, HomeError, Page, WebhookCall, WebhookOutcome, WebhookResult,
};
use streamio_events::id::{CommitId, MessageId, ProjectId, WebhookId};
use streamio_events::log::{AppendError, EventLog, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::decide::{resend, schedule, schedule_again_id};
use streamio_events::webhook::delivery::{self, Round};
use streamio_events::webhook::endpoint::{
    EndpointChanges, EndpointRefusal, MAX_CHANGES_OF_DAY, MAX_ENDPOINTS, NewEndpoint,
};
use streamio_events::webhook::endpoint_url::{EndpointUrl, Rules};
use streamio_events::webhook::status::{DeliveryStatus, EndpointStatus};
use streamio_events::webhook::{Delivery, Endpoint, Endpoints, Message, MessageType, ScheduleCause};

use self::valid::{invalid, valid_description, valid_rate_limit, valid_types};
use super::unavailable;
use crate::fold_cache::{EndpointCache, ReplayCache};
use crate::ports::delivery_store::{DeliveryStore, DeliveryStoreError};
use crate::ports::project_feed::{FeedCommits, FeedPlaces};
use crate::webhooks::keys::WebhookKeys;

/// How often a decision is made again after a conflict.
const MAX_CONFLICTS: u32 = 32;

/// The longest time for which a secret that was replaced is used beside the new one.
const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// What the home region needs for webhooks.
#[derive(Clone)]
pub struct WebhookPorts {
    /// The projects' endpoints.
    pub endpoints: Arc<EndpointCache>,
    /// The views of deliveries.
    pub deliveries: Arc<dyn DeliveryStore>,
    /// The keys with which messages are signed.
    pub keys: WebhookKeys,
    /// Which URLs are allowed.
    pub urls: Rules,
    /// The commits of projects.
    pub feed: Arc<dyn FeedCommits>,
    /// The places of commits in their project's feed.
    pub places: Arc<dyn FeedPlaces>,
}

/// The outcome of a decision about endpoints.
struct Decided {
    /// The endpoints afterwards.
    endpoints: Arc<Endpoints>,
    /// Whether it was recorded before.
    repeated: bool,
}

/// Serves a call of a project without the other parts of a home region, as for an operator.
pub async fn serve(
    log: &dyn EventLog,
    ports: &WebhookPorts,
    project_id: &ProjectId,
    now: Timestamp,
    call: &WebhookCall,
) -> Result<WebhookOutcome, HomeError> {
    let replays = &ReplayCache::default();
    Webhooks { log, ports, replays, project_id, now }.serve(call).await
}

/// Serves the calls of one project.
pub(super) struct Webhooks<'a> {
    pub(super) log: &'a dyn EventLog,
    pub(super) ports: &'a WebhookPorts,
    pub(super) replays: &'a ReplayCache,
    pub(super) project_id: &'a ProjectId,
    pub(super) now: Timestamp,
}

impl Webhooks<'_> {
    pub(super) async fn serve(&self, call: &WebhookCall) -> Result<WebhookOutcome, HomeError> {
        let read = |result| WebhookOutcome { result, repeated: false };
        match call {
            WebhookCall::Create { commit_id, url, types, description, rate_limit } => {
                let new = NewEndpoint {
                    url: self.valid_url(url)?,
                    types: valid_types(types)?,
                    description: valid_description(description.as_deref())?.filter(|text| !text.is_empty()),
                    rate_limit: valid_rate_limit(*rate_limit)?.filter(|limit| *limit > 0),
                };
                self.create(commit_id, new).await
            }
            WebhookCall::List => Ok(read(WebhookResult::Endpoints(self.list().await?))),
            WebhookCall::Show { webhook_id } => {
                let endpoints = self.endpoints().await?;
                let status = self.status(endpoints.get(webhook_id).map_err(refused)?).await?;
                Ok(read(WebhookResult::Endpoint(status)))
            }
            WebhookCall::Update { webhook_id, commit_id, changes } => {
                let changes = self.valid_changes(changes)?;
                let decide = |endpoints: &Endpoints| endpoints.update_remembered(webhook_id, changes.clone());
                let Decided { endpoints, repeated } = self.decide(commit_id, decide).await?;
                let status = self.status(endpoints.get(webhook_id).map_err(refused)?).await?;
                Ok(WebhookOutcome { result: WebhookResult::Endpoint(status), repeated })
            }
            WebhookCall::Remove { webhook_id, commit_id } => {
                let Decided { repeated, .. } =
                    self.decide(commit_id, |endpoints| endpoints.remove(webhook_id)).await?;
                Ok(WebhookOutcome { result: WebhookResult::Removed(webhook_id.clone()), repeated })
            }
            WebhookCall::RotateSecret { webhook_id, commit_id, overlap_seconds } => {
                self.rotate_secret(webhook_id, commit_id, *overlap_seconds).await
            }
            WebhookCall::Test { webhook_id, commit_id, message_type } => {
                self.test(webhook_id, commit_id, *message_type).await
            }
            WebhookCall::PublicKey => {
                Ok(read(WebhookResult::PublicKey(self.ports.keys.public_key(self.project_id))))
            }
            WebhookCall::ListDeliveries { filter, after, limit } => {
                let page = self.list_deliveries(filter, after.as_deref(), usize::from(*limit)).await?;
                Ok(read(WebhookResult::Deliveries(page)))
            }
            WebhookCall::ShowDelivery { webhook_id, message_id } => {
                let delivery = self.delivery(webhook_id, message_id).await?;
                Ok(read(WebhookResult::Delivery(shown(&delivery)?)))
            }
            WebhookCall::Resend { webhook_id, message_id, commit_id } => {
                self.resend(webhook_id, message_id, commit_id).await
            }
            WebhookCall::StartReplay { webhook_id, commit_id, request } => {
                self.start_replay(webhook_id, commit_id, request).await
            }
            WebhookCall::ListReplays { webhook_id } => {
                Ok(read(WebhookResult::Replays(self.list_replays(webhook_id).await?)))
            }
            WebhookCall::ShowReplay { webhook_id, replay_id } => {
                Ok(read(WebhookResult::Replay(self.show_replay(webhook_id, replay_id).await?)))
            }
            WebhookCall::CancelReplay { webhook_id, replay_id, commit_id } => {
                self.cancel_replay(webhook_id, replay_id, commit_id).await
            }
        }
    }

    async fn endpoints(&self) -> Result<Arc<Endpoints>, HomeError> {
        self.ports.endpoints.current(self.log, self.project_id).await.map_err(HomeError::because_of)
    }

    async fn create(&self, commit_id: &CommitId, new: NewEndpoint) -> Result<WebhookOutcome, HomeError> {
        let webhook_id =
            WebhookId::derived_from(&[self.project_id.as_str().as_bytes(), commit_id.as_str().as_bytes()]);
        let decide = |endpoints: &Endpoints| endpoints.register(&webhook_id, new.clone());
        let Decided { endpoints, repeated } = self.decide(commit_id, decide).await?;
        let Ok(endpoint) = endpoints.get(&webhook_id) else {
            let text = "The webhook that this request registered was removed; send a new Idempotency-Key to register it again.";
            return Err(HomeError::Conflict { text: text.to_owned() });
        };
        let created = self.with_secret(endpoint).await?;
        Ok(WebhookOutcome { result: WebhookResult::Created(created), repeated })
    }

    async fn rotate_secret(
        &self,
        webhook_id: &WebhookId,
        commit_id: &CommitId,
        overlap_seconds: u32,
    ) -> Result<WebhookOutcome, HomeError> {
        let overlap = Duration::from_secs(u64::from(overlap_seconds));
        if overlap > LONGEST_OVERLAP {
            return Err(invalid("overlapSeconds", format!("must be at most {}", LONGEST_OVERLAP.as_secs())));
        }
        let decide = |endpoints: &Endpoints| endpoints.rotate_secret(webhook_id, self.now, overlap);
        let Decided { endpoints, repeated } = self.decide(commit_id, decide).await?;
        let created = self.with_secret(endpoints.get(webhook_id).map_err(refused)?).await?;
        Ok(WebhookOutcome { result: WebhookResult::Created(created), repeated })
    }

    async fn list(&self) -> Result<Vec<EndpointStatus>, HomeError> {
        let endpoints = self.endpoints().await?;
        let mut statuses = Vec::new();
        for endpoint in endpoints.endpoints.values() {
            statuses.push(self.status(endpoint).await?);
        }
        statuses.sort_by(|one, other| {
            (one.created_at, &one.webhook_id).cmp(&(other.created_at, &other.webhook_id))
        });
        Ok(statuses)
    }

    async fn status(&self, endpoint: &Endpoint) -> Result<EndpointStatus, HomeError> {
        let health = self.ports.deliveries.health(self.project_id, &endpoint.webhook_id).await;
        Ok(EndpointStatus::of(self.project_id, endpoint, health.map_err(failed)?, self.now))
    }

    async fn with_secret(&self, endpoint: &Endpoint) -> Result<EndpointWithSecret, HomeError> {
        let secret = self.ports.keys.secret(self.project_id, &endpoint.webhook_id, endpoint.secret_version);
        Ok(EndpointWithSecret { endpoint: self.status(endpoint).await?, secret: secret.reveal().to_owned() })
    }

    /// Decides about the project's endpoints, and records the decision as `commit_id`. Returns the endpoints afterwards. If `commit_id`
    /// is recorded already, `decide` is not called, and its refusal does not matter.
    async fn decide(
        &self,
        commit_id: &CommitId,
        decide: impl Fn(&Endpoints) -> Result<Vec<EventBody>, EndpointRefusal> + Send + Sync,
    ) -> Result<Decided, HomeError> {
        let stream = StreamId::Webhooks(self.project_id.clone());
        if let Some(commit) = self.log.find(&stream, commit_id).await.map_err(HomeError::because_of)? {
            return self.repeated(&commit, &decide).await;
        }
        let mut conflicts = 0;
        loop {
            let endpoints = self.endpoints().await?;
            let events = decide(&endpoints).map_err(refused)?;
            if events.is_empty() {
                return Ok(Decided { endpoints, repeated: false });
            }
            endpoints.check_changes(&events, self.now).map_err(refused)?;
            let commit = NewCommit::new(commit_id.clone(), self.now, events);
            match self.log.append(&stream, Expected::Exactly(endpoints.version), commit).await {
                Ok(appended) => {
                    let repeated = appended.repeated;
                    return Ok(Decided { endpoints: self.endpoints().await?, repeated });
                }
                Err(AppendError::Conflict { .. }) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(error) => return Err(HomeError::because_of(error)),
            }
        }
    }

    /// The endpoints after a request that is recorded as `commit`. It must be the same request: the same decision from the state before.
    async fn repeated(
        &self,
        commit: &Commit,
        decide: &(impl Fn(&Endpoints) -> Result<Vec<EventBody>, EndpointRefusal> + Send + Sync),
    ) -> Result<Decided, HomeError> {
        let before = self.ports.endpoints.at_version(self.log, self.project_id, commit.first - 1).await;
        let before = before.map_err(HomeError::because_of)?;
        let recorded: Result<Vec<EventBody>, _> = commit.events.iter().map(RecordedEvent::body).collect();
        let recorded = recorded.map_err(super::failed)?;
        let is_same = decide(&before).is_ok_and(|decided| {
            let decided = decided.into_iter().map(|body| relative(body, self.now));
            decided.eq(recorded.into_iter().zip(&commit.events).map(|(body, event)| relative(body, event.at)))
        });
        if is_same {
            Ok(Decided { endpoints: self.endpoints().await?, repeated: true })
        } else {
            Err(HomeError::KeyReused)
        }
    }

    async fn test(
        &self,
        webhook_id: &WebhookId,
        commit_id: &CommitId,
        message_type: MessageType,
    ) -> Result<WebhookOutcome, HomeError> {
        let message_id = MessageId::derived_from(&["test", self.project_id.as_str(), commit_id.as_str()]);
        let message = Message::example(self.project_id, message_id, message_type, self.now);
        let mut delivery = self.delivery(webhook_id, &message.id).await?;
        if delivery.version > 0 {
            let is_same = delivery.scheduled.as_ref().is_some_and(|it| it.message_type == message_type);
            return if is_same { outcome(&delivery, true) } else { Err(HomeError::KeyReused) };
        }
        self.check_enabled(webhook_id).await?;
        let commit = schedule(&message, webhook_id, Round::new(ScheduleCause::Test, self.now), self.now);
        self.record(&mut delivery, commit).await?;
        outcome(&delivery, false)
    }

    async fn resend(
        &self,
        webhook_id: &WebhookId,
        message_id: &MessageId,
        commit_id: &CommitId,
    ) -> Result<WebhookOutcome, HomeError> {
        let mut delivery = self.delivery(webhook_id, message_id).await?;
        let id = schedule_again_id(commit_id.as_str());
        if self.log.find(&delivery.stream(), &id).await.map_err(HomeError::because_of)?.is_some() {
            return outcome(&delivery, true);
        }
        self.check_enabled(webhook_id).await?;
        if delivery.version == 0 {
            return Err(HomeError::NotFound);
        }
        let round = Round::new(ScheduleCause::Resend, self.now);
        let due_at = delivery.due_at.map_or(self.now, |due_at| due_at.min(self.now));
        let Some(commit) = resend(&delivery, round, due_at, commit_id.as_str()) else {
            return outcome(&delivery, false);
        };
        self.record(&mut delivery, commit).await?;
        outcome(&delivery, false)
    }

    /// Refuses an endpoint that does not exist or is disabled.
    async fn check_enabled(&self, webhook_id: &WebhookId) -> Result<(), HomeError> {
        let endpoints = self.endpoints().await?;
        if endpoints.get(webhook_id).map_err(refused)?.disabled.is_some() {
            let text = "The webhook is disabled; enable it first.".to_owned();
            return Err(HomeError::Conflict { text });
        }
        Ok(())
    }

    /// Records a decision about a delivery, and brings its view up to date.
    async fn record(&self, delivery: &mut Delivery, commit: NewCommit) -> Result<(), HomeError> {
        delivery::append(self.log, delivery, commit).await.map_err(HomeError::because_of)?;
        self.ports.deliveries.put_delivery(delivery).await.map_err(failed)?;
        Ok(())
    }

    async fn delivery(&self, webhook_id: &WebhookId, message_id: &MessageId) -> Result<Delivery, HomeError> {
        let loaded = delivery::load(self.log, self.project_id, webhook_id, message_id).await;
        loaded.map_err(HomeError::because_of)
    }

    async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeliveryStatus>, HomeError> {
        // A store examines a bounded number of deliveries, so that a page of a filtered list may have fewer, and even none, before the end.
        let page = self.ports.deliveries.list_deliveries(self.project_id, filter, after, limit).await;
        let page = page.map_err(failed)?;
        let data = page.deliveries.iter().filter_map(Delivery::status).collect();
        Ok(Page { data, next: page.next })
    }

    fn valid_url(&self, url: &str) -> Result<String, HomeError> {
        EndpointUrl::parse(url, &self.ports.urls)
            .map(|url| url.as_str().to_owned())
            .map_err(|error| invalid("url", format!("cannot be used: {error}")))
    }

    fn valid_changes(&self, changes: &EndpointChanges) -> Result<EndpointChanges, HomeError> {
        let EndpointChanges { url, types, description, rate_limit, enabled } = changes;
        Ok(EndpointChanges {
            url: url.as_deref().map(|url| self.valid_url(url)).transpose()?,
            types: types.as_deref().map(valid_types).transpose()?,
            description: valid_description(description.as_deref())?,
            rate_limit: valid_rate_limit(*rate_limit)?,
            enabled: *enabled,
        })
    }
}

fn shown(delivery: &Delivery) -> Result<DeliveryStatus, HomeError> {
    delivery.status().ok_or(HomeError::NotFound)
}

fn outcome(delivery: &Delivery, repeated: bool) -> Result<WebhookOutcome, HomeError> {
    Ok(WebhookOutcome { result: WebhookResult::Delivery(shown(delivery)?), repeated })
}

/// What is the same in a repetition of a request: the decision, with times relative to `at`, when it was made.
fn relative(body: EventBody, at: Timestamp) -> EventBody {
    match body {
        EventBody::WebhookUpdated(updated) => {
            let since =
                |until: Timestamp| Timestamp::from_unix_millis(until.unix_millis() - at.unix_millis());
            let previous_secret_until = updated.previous_secret_until.map(since);
            WebhookUpdated { previous_secret_until, ..updated }.into()
        }
        other => other,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err needs")]
fn refused(refusal: EndpointRefusal) -> HomeError {
    match refusal {
        EndpointRefusal::NotFound(_) => HomeError::NotFound,
        EndpointRefusal::TooMany => HomeError::Conflict {
            text: format!("A project may have {MAX_ENDPOINTS} webhooks; remove one first."),
        },
        EndpointRefusal::TooManyChanges => HomeError::Conflict {
            text: format!(
                "A project may change its webhooks {MAX_CHANGES_OF_DAY} times a day (UTC); try again tomorrow."
            ),
        },
    }
}

fn failed(error: DeliveryStoreError) -> HomeError {
    match error {
        DeliveryStoreError::InvalidCursor => HomeError::InvalidCursor,
        DeliveryStoreError::Unavailable(_) => unavailable(error),
    }
}
