//! What the home region of these tests answers to calls about webhooks: one endpoint and one delivery, as documented.

use streamio_events::home::{
    EndpointWithSecret, HomeError, Page, WebhookCall, WebhookOutcome, WebhookResult,
};
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::Attempt;
use streamio_events::webhook::replay::{
    DEFAULT_RATE, FeedBound, ReplayEnd, ReplayKind, ReplayRequest, ReplayState, ReplayStatus,
};
use streamio_events::webhook::status::{DeliveryStatus, EndpointHealth, EndpointStatus};
use streamio_events::webhook::{DeliveryState, MessageType, ScheduleCause};

/// The id of the endpoint.
const WEBHOOK: &str = "whk_tbkj5m62dvafwldlqbvftya3f3";
/// The id of the message.
const MESSAGE: &str = "msg_vzupqv3n6bto4qbxksyw62q3re";
/// The id of the job that sends messages again.
const REPLAY: &str = "rpl_vzupqv3n6bto4qbxksyw62q3re";
const VIDEO: &str = "vid_tbkj5m62dvafwldlqbvftya3f3";

fn webhook_id() -> WebhookId {
    WEBHOOK.parse().unwrap()
}

fn message_id() -> MessageId {
    MESSAGE.parse().unwrap()
}

fn endpoint(project_id: &ProjectId, now: Timestamp) -> EndpointStatus {
    EndpointStatus {
        webhook_id: webhook_id(),
        project_id: project_id.clone(),
        url: "https://example.com/webhooks".to_owned(),
        types: vec!["video.ready".parse().unwrap(), "video.errored".parse().unwrap()],
        description: Some("The backend".to_owned()),
        rate_limit: Some(50),
        enabled: true,
        disabled: None,
        health: EndpointHealth::default(),
        misconfiguration: None,
        previous_secret_until: None,
        created_at: now,
        updated_at: now,
    }
}

fn with_secret(endpoint: EndpointStatus) -> WebhookResult {
    let secret = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned();
    WebhookResult::Created(EndpointWithSecret { endpoint, secret })
}

fn delivery(project_id: &ProjectId, now: Timestamp, body: Option<&str>) -> DeliveryStatus {
    DeliveryStatus {
        delivery_id: format!("{WEBHOOK}.{MESSAGE}"),
        project_id: project_id.clone(),
        webhook_id: webhook_id(),
        message_id: message_id(),
        message_type: MessageType::VideoReady,
        video_id: Some(VIDEO.parse().unwrap()),
        cause: ScheduleCause::Event,
        state: DeliveryState::Delivered,
        scheduled_at: now,
        next_attempt_at: None,
        attempts_made: 1,
        attempts: vec![Attempt {
            number: Some(1),
            at: now,
            duration_milliseconds: Some(35),
            status: Some(204),
            answer: None,
            error: None,
            retry_at: None,
        }],
        body: body.map(str::to_owned),
    }
}

/// A job that is in progress.
fn replay(project_id: &ProjectId, now: Timestamp, request: ReplayRequest) -> ReplayStatus {
    ReplayStatus {
        replay_id: REPLAY.parse().unwrap(),
        webhook_id: webhook_id(),
        project_id: project_id.clone(),
        request,
        state: ReplayState::Running,
        reason: None,
        start_seq: 12,
        end_seq: 41,
        next_seq: 30,
        scheduled: 9,
        skipped: 1,
        started_at: now,
        updated_at: now,
    }
}

fn replay_from_twelve() -> ReplayRequest {
    let (kind, from) = (ReplayKind::Replay, FeedBound::Seq(12));
    ReplayRequest { kind, from, to: None, types: None, rate: DEFAULT_RATE }
}

/// The answer to `call` at `now`.
pub(crate) fn answer(
    project_id: &ProjectId,
    call: &WebhookCall,
    now: Timestamp,
) -> Result<WebhookOutcome, HomeError> {
    let (of_webhook, of_message) = match call {
        WebhookCall::Show { webhook_id }
        | WebhookCall::Update { webhook_id, .. }
        | WebhookCall::Remove { webhook_id, .. }
        | WebhookCall::RotateSecret { webhook_id, .. }
        | WebhookCall::Test { webhook_id, .. }
        | WebhookCall::StartReplay { webhook_id, .. }
        | WebhookCall::ListReplays { webhook_id }
        | WebhookCall::ShowReplay { webhook_id, .. }
        | WebhookCall::CancelReplay { webhook_id, .. } => (Some(webhook_id), None),
        WebhookCall::ShowDelivery { webhook_id, message_id }
        | WebhookCall::Resend { webhook_id, message_id, .. } => (Some(webhook_id), Some(message_id)),
        _ => (None, None),
    };
    let is_known = of_webhook.is_none_or(|it| *it == webhook_id());
    if !is_known || of_message.is_some_and(|it| *it != message_id()) {
        return Err(HomeError::NotFound);
    }
    if let WebhookCall::ShowReplay { replay_id, .. } | WebhookCall::CancelReplay { replay_id, .. } = call
        && replay_id.as_str() != REPLAY
    {
        return Err(HomeError::NotFound);
    }
    let body = Some(r#"{"type":"video.ready"}"#);
    let result = match call {
        WebhookCall::Create { url, types, description, rate_limit, .. } => {
            if !url.starts_with("https://") {
                let (field, text) = ("url".to_owned(), "must begin with https://".to_owned());
                return Err(HomeError::Invalid { field, text });
            }
            with_secret(EndpointStatus {
                url: url.clone(),
                types: types.clone(),
                description: description.clone(),
                rate_limit: *rate_limit,
                ..endpoint(project_id, now)
            })
        }
        WebhookCall::List => WebhookResult::Endpoints(vec![endpoint(project_id, now)]),
        WebhookCall::Show { .. } => WebhookResult::Endpoint(endpoint(project_id, now)),
        WebhookCall::Update { changes, .. } => {
            let before = endpoint(project_id, now);
            WebhookResult::Endpoint(EndpointStatus {
                url: changes.url.clone().unwrap_or_else(|| before.url.clone()),
                rate_limit: changes.rate_limit.map_or(before.rate_limit, |it| Some(it).filter(|it| *it > 0)),
                ..before
            })
        }
        WebhookCall::Remove { webhook_id, .. } => WebhookResult::Removed(webhook_id.clone()),
        WebhookCall::RotateSecret { overlap_seconds, .. } => with_secret(EndpointStatus {
            previous_secret_until: Some(
                now.plus(std::time::Duration::from_secs(u64::from(*overlap_seconds))),
            ),
            ..endpoint(project_id, now)
        }),
        WebhookCall::PublicKey => {
            WebhookResult::PublicKey("whpk_AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=".to_owned())
        }
        WebhookCall::ListDeliveries { .. } => {
            WebhookResult::Deliveries(Page { data: vec![delivery(project_id, now, None)], next: None })
        }
        WebhookCall::Test { .. } | WebhookCall::ShowDelivery { .. } | WebhookCall::Resend { .. } => {
            WebhookResult::Delivery(delivery(project_id, now, body))
        }
        WebhookCall::StartReplay { request, .. } => {
            WebhookResult::Replay(replay(project_id, now, request.clone()))
        }
        WebhookCall::ListReplays { .. } => {
            WebhookResult::Replays(vec![replay(project_id, now, replay_from_twelve())])
        }
        WebhookCall::ShowReplay { .. } => {
            WebhookResult::Replay(replay(project_id, now, replay_from_twelve()))
        }
        WebhookCall::CancelReplay { .. } => {
            let (state, reason) = (ReplayState::Ended, Some(ReplayEnd::Cancelled));
            WebhookResult::Replay(ReplayStatus {
                state,
                reason,
                ..replay(project_id, now, replay_from_twelve())
            })
        }
    };
    Ok(WebhookOutcome { result, repeated: false })
}
