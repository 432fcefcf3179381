//! Makes the attempts that are due, and records how they ended.

use http::{HeaderValue, header};
use streamio_events::clock::Clock;
use streamio_events::commit::NewCommit;
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{AppendError, EventLog, Expected};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use streamio_events::webhook::delivery::decide::{Step, attempted, next_step};
use streamio_events::webhook::delivery::{self, Attempt, DeliveryStoreError as LogError};
use streamio_events::webhook::endpoint_url::{EndpointUrl, InvalidEndpointUrl, Rules};
use streamio_events::webhook::exchange::{ErrorClass, Exchange, ExchangeError, ExchangeResult};
use streamio_events::webhook::message::id_of_deletion;
use streamio_events::webhook::schedule::DISABLED_AFTER;
use streamio_events::webhook::{Delivery, DisabledReason, Endpoint};

use super::keys::WebhookKeys;
use crate::fold_cache::{EndpointCache, FoldError};
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore, DeliveryStoreError};
use crate::ports::view_store::ViewStore;
use crate::ports::webhook_sender::{WebhookRequest, WebhookSender};
use crate::views::status::{self, ViewError};

/// How often it is tried to disable an endpoint whose stream others change at the same time.
const MAX_CONFLICTS: u32 = 32;

/// What is sent in the header `user-agent`.
const USER_AGENT: &str = concat!("Streamio-Webhooks/", env!("CARGO_PKG_VERSION"));

/// The ports of delivering.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The projects' endpoints.
    pub endpoints: &'a EndpointCache,
    /// Status views.
    pub views: &'a dyn ViewStore,
    /// The views of deliveries.
    pub deliveries: &'a dyn DeliveryStore,
    /// Sends requests.
    pub sender: &'a dyn WebhookSender,
    /// Signs them.
    pub keys: &'a WebhookKeys,
    /// Which URLs are allowed.
    pub urls: &'a Rules,
    /// The deployment's policy, for status views.
    pub policy: &'a Policy,
    /// Returns the current time.
    pub clock: &'a dyn Clock,
}

/// Why a delivery was not continued.
#[derive(Debug, thiserror::Error)]
pub enum DeliveringError {
    /// The delivery's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Delivery(#[from] LogError),
    /// The project's endpoints are not known.
    #[error("the webhook endpoints of the project cannot be read")]
    Endpoints(#[from] FoldError),
    /// It is not known whether the video was deleted.
    #[error("it is not known whether the video was deleted")]
    Video {
        /// The video.
        video_id: VideoId,
        /// Why not.
        source: ViewError,
    },
    /// The store of deliveries failed.
    #[error(transparent)]
    Store(#[from] DeliveryStoreError),
    /// The platform is so busy that no attempt was made.
    #[error("the platform is too busy to make the attempt")]
    Busy,
    /// An endpoint cannot be disabled.
    #[error("an endpoint cannot be disabled")]
    Disable(#[from] AppendError),
}

impl Retryable for DeliveringError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Delivery(error) => error.is_retryable(),
            Self::Endpoints(error) => error.is_retryable(),
            Self::Video { source, .. } => source.is_retryable(),
            Self::Store(_) | Self::Busy => true,
            Self::Disable(error) => error.is_retryable() || matches!(error, AppendError::Conflict { .. }),
        }
    }
}

/// Makes the attempt of a delivery if one is due, or ends the delivery if there is a reason to. Returns the delivery afterwards.
///
/// If the process ends between the answer and its record, the attempt is made again. Two processes may make the same attempt at the same
/// time; one of them records it.
pub async fn deliver(ports: Ports<'_>, key: &DeliveryKey) -> Result<Delivery, DeliveringError> {
    let DeliveryKey { project_id, webhook_id, message_id } = key;
    let mut delivery = delivery::load(ports.log, project_id, webhook_id, message_id).await?;
    let endpoints = ports.endpoints.current(ports.log, project_id).await?;
    let endpoint = endpoints.endpoints.get(webhook_id);
    let deleted = deleted(ports, &delivery).await?;
    let step = next_step(&delivery, endpoint, deleted, ports.clock.now());
    let attempt = match (step, endpoint) {
        (Step::End(commit), _) => {
            delivery::append(ports.log, &mut delivery, commit).await?;
            None
        }
        (Step::Send { .. }, Some(endpoint)) => send(ports, &mut delivery, endpoint).await?,
        (Step::Send { .. } | Step::Wait(_) | Step::Nothing, _) => None,
    };
    if delivery.version > 0 {
        ports.deliveries.put_delivery(&delivery).await?;
    }
    if let (Some(attempt), Some(endpoint)) = (attempt, endpoint) {
        judge(ports, endpoint, &delivery, &attempt).await?;
    }
    Ok(delivery)
}

/// The version of the video's stream that records the latest deletion after which nothing is to be sent about what was deleted before.
///
/// A replay that sends the message about that deletion again, too, may send what came before it, until the message about the first
/// deletion has arrived.
async fn deleted(ports: Ports<'_>, delivery: &Delivery) -> Result<Option<u64>, DeliveringError> {
    let Delivery { project_id, webhook_id, scheduled, last_round, .. } = delivery;
    let Some(video_id) = scheduled.as_ref().and_then(|scheduled| scheduled.video_id.as_ref()) else {
        return Ok(None);
    };
    let row = status::refresh(ports.log, ports.views, ports.policy, project_id, video_id).await;
    let row = row.map_err(|source| DeliveringError::Video { video_id: video_id.clone(), source })?;
    let latest = row.video.deleted_version;
    let is_sent_again = latest.is_some_and(|latest| last_round.deletions.contains(&latest));
    let (true, Some(first)) = (is_sent_again, last_round.deletions.first()) else { return Ok(latest) };
    let message_id = id_of_deletion(project_id, video_id, *first);
    let about_deletion = delivery::load(ports.log, project_id, webhook_id, &message_id).await?;
    // A replay schedules it at least a millisecond later, so that one that arrived at the same time was sent before.
    let has_arrived = |attempt: &Attempt| attempt.error.is_none() && attempt.at > last_round.at;
    Ok(latest.filter(|_| about_deletion.attempts.iter().any(has_arrived)))
}

/// Sends the message and records the attempt. Returns it, unless another process has recorded the same attempt.
async fn send(
    ports: Ports<'_>,
    delivery: &mut Delivery,
    endpoint: &Endpoint,
) -> Result<Option<Attempt>, DeliveringError> {
    let body = delivery.scheduled.as_ref().map(|it| it.body.clone()).unwrap_or_default();
    let now = ports.clock.now();
    let mut headers = ports.keys.headers(&delivery.project_id, endpoint, &delivery.message_id, now, &body);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let exchange = match EndpointUrl::parse(&endpoint.url, ports.urls) {
        Ok(url) => {
            let project_id = delivery.project_id.clone();
            let request = WebhookRequest { project_id, url, headers, body: body.into() };
            ports.sender.send_soon(request).await.ok_or(DeliveringError::Busy)?
        }
        Err(refused) => not_sent(&refused),
    };
    let commit = attempted(delivery, exchange, ports.clock.now());
    let is_recorded = delivery::append(ports.log, delivery, commit).await?;
    Ok(delivery.attempts.last().filter(|_| is_recorded).cloned())
}

/// The outcome of an attempt to an endpoint whose URL the operator's rules do not allow any more.
fn not_sent(refused: &InvalidEndpointUrl) -> Exchange {
    let message = format!("{refused}; then update the endpoint");
    let result = ExchangeResult::Error(ExchangeError::new(ErrorClass::UrlRefused, message));
    Exchange { duration_milliseconds: 0, result }
}

/// Disables the endpoint if it answered that it is gone, or if it has failed for too long.
async fn judge(
    ports: Ports<'_>,
    endpoint: &Endpoint,
    delivery: &Delivery,
    attempt: &Attempt,
) -> Result<(), DeliveringError> {
    let (project_id, webhook_id) = (&delivery.project_id, &delivery.webhook_id);
    // The view may not have this attempt yet.
    let mut health = ports.deliveries.health(project_id, webhook_id).await?;
    health.add(attempt.at, attempt.error.as_ref());
    let failing_since = health.failing_since.map(|since| since.max(endpoint.enabled_at));
    let reason = if attempt.error.as_ref().is_some_and(|error| error.code == "gone") {
        Some((DisabledReason::Gone, None))
    } else {
        failing_since
            .filter(|since| attempt.error.is_some() && attempt.at.since(*since) >= DISABLED_AFTER)
            .map(|since| (DisabledReason::Failing, Some(since)))
    };
    let Some((reason, failing_since)) = reason else { return Ok(()) };
    disable(ports, endpoint, delivery, reason, failing_since).await
}

/// Disables `endpoint`, as it was when the attempt was made, unless it was disabled or removed meanwhile, or was enabled again or got
/// another URL: then the attempt says nothing about it any more.
async fn disable(
    ports: Ports<'_>,
    endpoint: &Endpoint,
    delivery: &Delivery,
    reason: DisabledReason,
    failing_since: Option<Timestamp>,
) -> Result<(), DeliveringError> {
    let (project_id, webhook_id, message_id) =
        (&delivery.project_id, &delivery.webhook_id, &delivery.message_id);
    let stream = StreamId::Webhooks(project_id.clone());
    let mut conflicts = 0;
    loop {
        let endpoints = ports.endpoints.current(ports.log, project_id).await?;
        let is_same =
            |current: &Endpoint| (&current.url, current.enabled_at) == (&endpoint.url, endpoint.enabled_at);
        if !endpoints.endpoints.get(webhook_id).is_some_and(is_same) {
            return Ok(());
        }
        let events = endpoints.disable(webhook_id, reason, failing_since, message_id);
        if events.is_empty() {
            return Ok(());
        }
        let version = endpoints.version.to_string();
        let id =
            CommitId::derived_from(&["webhook.disabled", webhook_id.as_str(), message_id.as_str(), &version]);
        let commit = NewCommit::new(id, ports.clock.now(), events);
        match ports.log.append(&stream, Expected::Exactly(endpoints.version), commit).await {
            Ok(_) => {
                tracing::warn!(%project_id, webhook.id = %webhook_id, reason = reason.as_str(), "a webhook endpoint is disabled");
                return Ok(());
            }
            Err(AppendError::Conflict { .. }) if conflicts < MAX_CONFLICTS => conflicts += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
