//! Endpoints and deliveries as text.

use std::io::{self, IsTerminal as _};

use serde_json::Value;

use crate::commands::paging::text;
use crate::output::{Output, fields, printable, table};

/// The help of `--type` for endpoints.
pub(super) const TYPES_HELP: &str = "Only messages of this type: `*` (all but video.progress), `video.*`, or one such as video.ready \
    (repeatable; default of a new endpoint: `*`)";

/// Whether messages are sent to the endpoint and arrive, in one word.
pub(super) fn short_state(webhook: &Value) -> &'static str {
    if webhook["enabled"] == false {
        "disabled"
    } else if webhook["misconfiguration"].is_object() {
        "misconfigured"
    } else if webhook["health"]["failingSince"].is_string() {
        "failing"
    } else {
        "enabled"
    }
}

/// The types that the endpoint receives.
pub(super) fn types(webhook: &Value) -> String {
    let types = webhook["types"].as_array().into_iter().flatten().filter_map(Value::as_str);
    types.collect::<Vec<_>>().join(",")
}

/// An endpoint.
pub(super) fn describe(webhook: &Value) -> String {
    let health = &webhook["health"];
    let error = health["error"]["message"].as_str().map(|message| {
        format!("{}: {message} ({})", text(health, "failedAt"), text(&health["error"], "code"))
    });
    let rate_limit = webhook["rateLimit"].as_u64().map(|limit| format!("{limit} messages a second"));
    let previous = member(webhook, "previousSecretUntil")
        .map(|until| format!("messages are also signed with it until {until}"));
    fields(&[
        ("Webhook", member(webhook, "webhookId")),
        ("URL", member(webhook, "url")),
        ("State", Some(state(webhook))),
        ("Types", Some(types(webhook))),
        ("Description", member(webhook, "description")),
        ("Rate limit", rate_limit),
        ("Last success", member(health, "succeededAt")),
        ("Failing since", member(health, "failingSince")),
        ("Last error", error),
        ("Old secret", previous),
        ("Created", member(webhook, "createdAt")),
        ("Updated", member(webhook, "updatedAt")),
    ])
}

/// Whether messages are sent to the endpoint and arrive, and if not, why and since when.
fn state(webhook: &Value) -> String {
    let (disabled, misconfiguration) = (&webhook["disabled"], &webhook["misconfiguration"]);
    if !disabled.is_object() && misconfiguration.is_object() {
        return format!(
            "misconfigured since {}: {}",
            text(misconfiguration, "since"),
            text(misconfiguration, "message")
        );
    }
    if !disabled.is_object() {
        return short_state(webhook).to_owned();
    }
    let reason = match disabled["reason"].as_str() {
        Some("requested") => "on request".to_owned(),
        Some("failing") => format!("no attempt had succeeded since {}", text(disabled, "failingSince")),
        Some("gone") => "the endpoint answered 410 (gone)".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    format!("disabled since {}: {reason}", text(disabled, "at"))
}

/// The secret of `webhook` after `headline`, and `next`. The secret alone with `--quiet` and where standard output is not a terminal.
pub(super) fn secret(webhook: &Value, headline: &str, next: &str, output: Output) -> String {
    let secret = printable(&text(webhook, "secret"));
    if output.quiet || !io::stdout().is_terminal() {
        return secret;
    }
    let headline = printable(headline);
    format!(
        "{headline}\n\nSecret (shown only once; store it where your server verifies messages):\n  {secret}\n\n{next}"
    )
}

/// What is sent, after `headline`. The delivery's id alone with `--quiet` and where standard output is not a terminal.
pub(super) fn scheduled(delivery: &Value, headline: &str, output: Output) -> String {
    let id = printable(&text(delivery, "deliveryId"));
    if output.quiet || !io::stdout().is_terminal() {
        return id;
    }
    format!("{}\n\nSee how the endpoint answers:\n  streamio webhook deliveries {id}", printable(headline))
}

/// Why the last attempt failed; empty if it succeeded or none was made.
pub(super) fn last_error(delivery: &Value) -> String {
    let attempts = delivery["attempts"].as_array();
    let error = attempts.and_then(|attempts| attempts.last()).map(|attempt| &attempt["error"]["message"]);
    error.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A delivery with its attempts and its body.
pub(super) fn describe_delivery(delivery: &Value) -> String {
    let facts = fields(&[
        ("Delivery", member(delivery, "deliveryId")),
        ("Type", member(delivery, "type")),
        ("Video", member(delivery, "videoId")),
        ("State", member(delivery, "state")),
        ("Cause", member(delivery, "cause")),
        ("Scheduled", member(delivery, "scheduledAt")),
        ("Next attempt", member(delivery, "nextAttemptAt")),
        ("Attempts", member(delivery, "attemptsMade")),
    ]);
    let attempts: Vec<&Value> = delivery["attempts"].as_array().into_iter().flatten().collect();
    let mut parts = vec![facts];
    if !attempts.is_empty() {
        let rows = attempts.into_iter().map(|attempt| {
            let duration = attempt["durationMilliseconds"].as_u64().map(|duration| format!("{duration} ms"));
            let result = match attempt["error"]["message"].as_str() {
                Some(message) => format!("{message} ({})", text(&attempt["error"], "code")),
                None => "delivered".to_owned(),
            };
            [
                text(attempt, "number"),
                text(attempt, "at"),
                duration.unwrap_or_default(),
                text(attempt, "status"),
                result,
                text(attempt, "answer"),
            ]
        });
        parts.push(table(["#", "ENDED", "TOOK", "STATUS", "RESULT", "ANSWER"], rows));
    }
    if let Some(body) = delivery["body"].as_str() {
        parts.push(format!("Body:\n{}", printable(body)));
    }
    parts.join("\n\n")
}

/// A job that sends messages again.
pub(super) fn describe_replay(job: &Value) -> String {
    let types = job["types"].as_array().map(|_| types(job));
    let state = match member(job, "reason") {
        Some(reason) => Some(format!("ended: {reason}")),
        None => member(job, "state"),
    };
    fields(&[
        ("Replay", member(job, "replayId")),
        ("Webhook", member(job, "webhookId")),
        ("Kind", member(job, "kind")),
        ("From", member(job, "from")),
        ("To", member(job, "to")),
        ("Types", types),
        ("Rate", job["rate"].as_u64().map(|rate| format!("{rate} messages a second"))),
        ("State", state),
        ("Progress", Some(replay_progress(job))),
        ("Scheduled", member(job, "scheduled")),
        ("Skipped", member(job, "skipped")),
        ("Started", member(job, "startedAt")),
        ("Updated", member(job, "updatedAt")),
    ])
}

/// How far a job has come in its part of the project's feed, in percent.
pub(super) fn replay_progress(job: &Value) -> String {
    let place = |name: &str| job[name].as_u64().unwrap_or(0);
    let (start, next) = (place("startSeq"), place("nextSeq"));
    let total = place("endSeq").saturating_sub(start);
    let percent = next.saturating_sub(start).saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("{percent} %")
}

fn member(value: &Value, name: &str) -> Option<String> {
    Some(text(value, name)).filter(|text| !text.is_empty())
}
