//! The decisions about a delivery.

use std::time::Duration;

use super::{Delivery, DeliveryState, Round, ScheduleCause};
use crate::commit::NewCommit;
use crate::event::{EventBody, WebhookDelivered, WebhookFailed, WebhookScheduled};
use crate::id::{CommitId, WebhookId};
use crate::timestamp::Timestamp;
use crate::webhook::exchange::{ErrorClass, Exchange, ExchangeResult};
use crate::webhook::message::Message;
use crate::webhook::{Endpoint, MessageType, schedule};

/// The status with which an endpoint states that it wants no further messages.
const GONE: u16 = 410;

/// What is to be done for a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The message is sent: the attempt with this number.
    Send {
        /// Counted from 1.
        attempt: u32,
    },
    /// The delivery ends without a further attempt.
    End(NewCommit),
    /// Nothing, before this time.
    Wait(Timestamp),
    /// Nothing any more.
    Nothing,
}

/// Why a delivery ends without a further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Removed,
    Disabled,
    VideoDeleted,
}

impl Obstacle {
    fn code(self) -> &'static str {
        match self {
            Self::Removed => "webhook_removed",
            Self::Disabled => "webhook_disabled",
            Self::VideoDeleted => "video_deleted",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Removed => "the webhook was removed",
            Self::Disabled => "the webhook is disabled; enable it, then send the message again",
            Self::VideoDeleted => {
                "the video was deleted before the message was delivered; video.deleted is the last message about it"
            }
        }
    }
}

/// The first event of a delivery: `message` is sent to `webhook_id` in the round `round`, from `due_at` on.
pub fn schedule(message: &Message, webhook_id: &WebhookId, round: Round, due_at: Timestamp) -> NewCommit {
    let scheduled = WebhookScheduled {
        webhook_id: webhook_id.clone(),
        message_id: message.id.clone(),
        message_type: message.message_type,
        video_id: message.video_id.clone(),
        video_version: message.video_version,
        cause: round.cause,
        due_at,
        body: Some(message.body.clone()),
        deletions: round.deletions,
    };
    let id = CommitId::derived_from(&["webhook.scheduled", webhook_id.as_str(), message.id.as_str()]);
    NewCommit::new(id, round.at, [scheduled.into()])
}

/// Sends the message of `delivery` again in the round `round`, from `due_at` on; `None` if an attempt is due by then anyway, or if nothing was ever scheduled.
/// `request` identifies the request: repeated, it has the same commit.
pub fn schedule_again(
    delivery: &Delivery,
    round: Round,
    due_at: Timestamp,
    request: &str,
) -> Option<NewCommit> {
    let is_due = delivery.due_at.is_some_and(|due| due <= due_at);
    if is_due { None } else { resend(delivery, round, due_at, request) }
}

/// Sends the message of `delivery` again in the round `round`, from `due_at` on, also if an attempt is due anyway: the request is then
/// recorded, and known when it is repeated after that attempt. `None` if nothing was ever scheduled.
pub fn resend(delivery: &Delivery, round: Round, due_at: Timestamp, request: &str) -> Option<NewCommit> {
    let scheduled = delivery.scheduled.as_ref()?;
    let again = WebhookScheduled {
        webhook_id: delivery.webhook_id.clone(),
        message_id: delivery.message_id.clone(),
        message_type: scheduled.message_type,
        video_id: scheduled.video_id.clone(),
        video_version: scheduled.video_version,
        cause: round.cause,
        due_at,
        body: None,
        deletions: round.deletions,
    };
    let id = schedule_again_id(request);
    Some(NewCommit::new(id, round.at, [again.into()]))
}

/// The id of the commit with which `request` schedules a message again.
pub fn schedule_again_id(request: &str) -> CommitId {
    CommitId::derived_from(&["webhook.scheduled again", request])
}

/// What is to be done for `delivery` at `now`. `endpoint` is absent if it was removed. `deleted` is the version of the video's stream
/// that records the latest deletion after which nothing is to be sent about what was deleted before.
///
/// After a deletion nothing follows about what was deleted: an attempt that is still due is not made. A single message that is sent again
/// on request, or as an example, is sent whatever happened to the video.
pub fn next_step(
    delivery: &Delivery,
    endpoint: Option<&Endpoint>,
    deleted: Option<u64>,
    now: Timestamp,
) -> Step {
    let (Some(scheduled), DeliveryState::Pending, Some(due_at)) =
        (&delivery.scheduled, delivery.state, delivery.due_at)
    else {
        return Step::Nothing;
    };
    let obstacle = match endpoint {
        None => Some(Obstacle::Removed),
        Some(endpoint) if endpoint.disabled.is_some() => Some(Obstacle::Disabled),
        Some(_) => {
            let is_before_deletion = scheduled.video_version < deleted
                && scheduled.video_version.is_some()
                && scheduled.message_type != MessageType::VideoDeleted;
            let is_by_itself =
                matches!(delivery.last_round.cause, ScheduleCause::Resend | ScheduleCause::Test);
            (is_before_deletion && !is_by_itself).then_some(Obstacle::VideoDeleted)
        }
    };
    match obstacle {
        Some(obstacle) => Step::End(end(delivery, obstacle, now)),
        None if due_at > now => Step::Wait(due_at),
        None => Step::Send { attempt: delivery.attempts_made + 1 },
    }
}

fn end(delivery: &Delivery, obstacle: Obstacle, now: Timestamp) -> NewCommit {
    let failed = WebhookFailed {
        webhook_id: delivery.webhook_id.clone(),
        message_id: delivery.message_id.clone(),
        attempt: None,
        code: obstacle.code().to_owned(),
        message: obstacle.message().to_owned(),
        status: None,
        duration_milliseconds: None,
        answer: None,
        retry_at: None,
    };
    NewCommit::new(commit_id(delivery), now, [failed.into()])
}

/// The commit that records the current attempt of `delivery`, which ended at `now` with `exchange`.
///
/// A status of 200 to 299 is success. Everything else is a failure, also a redirection, which is not followed. The next attempt is made
/// after the [pause of the schedule](crate::webhook::schedule), or later if a status of 429 or 503 came with `Retry-After`. After 410
/// there is none.
pub fn attempted(delivery: &Delivery, exchange: Exchange, now: Timestamp) -> NewCommit {
    let (webhook_id, message_id) = (delivery.webhook_id.clone(), delivery.message_id.clone());
    let attempt = delivery.attempts_made + 1;
    let Exchange { duration_milliseconds, result } = exchange;
    let mut status = None;
    let mut answer = None;
    let (mut retry_after, mut is_final) = (None, false);
    let failure = match result {
        ExchangeResult::Error(error) => Some((code_of(error.class), error.message)),
        ExchangeResult::Answer(it) => {
            status = Some(it.status);
            answer = Some(it.body).filter(|body| !body.is_empty());
            retry_after = it.retry_after_seconds.filter(|_| matches!(it.status, 429 | 503));
            is_final = it.status == GONE;
            failure_of(it.status).map(|(code, message)| (code.to_owned(), message))
        }
    };
    let body: EventBody = match (failure, status) {
        (None, Some(status)) => {
            WebhookDelivered { webhook_id, message_id, attempt, status, duration_milliseconds, answer }.into()
        }
        (failure, status) => {
            let (code, message) = failure.unwrap_or_default();
            let number = delivery.attempts_of_round + 1;
            let pause = schedule::pause(
                &delivery.webhook_id,
                &delivery.message_id,
                delivery.round,
                number,
                retry_after.map(Duration::from_secs),
            );
            WebhookFailed {
                webhook_id,
                message_id,
                attempt: Some(attempt),
                code,
                message,
                status,
                duration_milliseconds: Some(duration_milliseconds),
                answer,
                retry_at: pause.filter(|_| !is_final).map(|pause| now.plus(pause)),
            }
            .into()
        }
    };
    NewCommit::new(commit_id(delivery), now, [body])
}

/// The code of an attempt without an answer.
fn code_of(class: ErrorClass) -> String {
    let code = serde_json::to_value(class).ok();
    code.and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Why an answer with this status is a failure; `None` if it is none.
fn failure_of(status: u16) -> Option<(&'static str, String)> {
    match status {
        200..=299 => None,
        300..=303 | 307 | 308 => Some((
            "redirect",
            format!(
                "the endpoint redirected with status {status}, which is not followed; set the webhook's URL to the target"
            ),
        )),
        GONE => Some(("gone", "the endpoint answered 410: it wants no further messages".to_owned())),
        _ => Some(("status", format!("the endpoint answered with status {status}"))),
    }
}

/// The id of the commit that ends the current attempt, or the delivery: one for each version of the delivery.
fn commit_id(delivery: &Delivery) -> CommitId {
    let stream = delivery.stream().to_string();
    CommitId::derived_from(&["attempt", &stream, &delivery.version.to_string()])
}
