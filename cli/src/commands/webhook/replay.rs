//! `streamio webhook recover`, `replay`, `replays` and `cancel-replay`.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use clap::Args;
use serde_json::Value;
use streamio_events::id::{ReplayId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::TypePattern;
use streamio_events::webhook::replay::{FeedBound, MAX_RATE};

use super::service::Service;
use super::target::Target;
use super::text::{describe_replay, replay_progress};
use crate::args::Approval;
use crate::client::webhooks::{RecoverFields, ReplayFields};
use crate::commands::confirm::Change;
use crate::commands::paging::text;
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};
use crate::progress::{Progress, Unit};

pub(super) const RECOVER_EXAMPLES: &str = "\
Examples:
  streamio webhook recover whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --since 2026-01-02T03:00:00Z
  streamio webhook recover whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --since 2026-01-02T03:00:00Z --type video.ready --wait

Use it after your server was out of order. `streamio webhook deliveries --state failed` lists what has failed. The messages have the same \
ids and the same bytes as before, so that your server recognises those that it has processed. Messages about videos that were deleted \
since are left out.";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  streamio webhook replay whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --from 41 --wait          # from this `seq` on
  streamio webhook replay whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z
  streamio webhook replay whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --from 0 --rate 5         # everything, slowly

Use it when your server has lost data, or for a new endpoint: the messages about all events in this part of the project's feed that the \
endpoint receives are sent, whether they were sent before or not. They have the ids that they had or would have had. What happens \
meanwhile is sent as usual. Of deleted videos, messages are sent only if video.deleted follows in the same part.";

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// Messages whose delivery failed at this time or later, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// The first event: its `seq`, or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "SEQ|TIME")]
    from: FeedBound,
    /// The end, itself excluded (default: what has happened until now)
    #[arg(long, value_name = "SEQ|TIME")]
    to: Option<FeedBound>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

/// What both kinds of jobs have.
#[derive(Debug, Args)]
struct Pace {
    /// Only messages of this type, such as video.ready (repeatable)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<TypePattern>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RATE)),
        help = format!("The most messages in a second, 1 to {MAX_RATE} (default: 50)"))]
    rate: Option<u32>,
    /// Wait until all messages are scheduled, and show the progress; Ctrl-C ends the wait, not the job
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replays {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct CancelReplay {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// The job's id (default: the one that is in progress)
    #[arg(value_name = "REPLAY")]
    replay: Option<ReplayId>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

impl Pace {
    fn types(&self) -> Option<Vec<TypePattern>> {
        Some(self.types.clone()).filter(|types| !types.is_empty())
    }
}

/// What starting a job does to an endpoint.
fn sending<'a>(id: &'a WebhookId, question: &'a str) -> Change<'a> {
    Change { subject: id.as_str(), verb: "send to", participle: "sent anything", question }
}

/// Runs `streamio webhook recover`.
pub(super) async fn recover(arguments: Recover, output: Output) -> Result<(), Failure> {
    let Recover { id, since, pace, target, approval } = arguments;
    let question = format!("Send all messages to {id} again that failed since {since}?");
    let service = target.open_to_change(&approval, &sending(&id, &question), output).await?;
    let fields = RecoverFields { since, types: pace.types(), rate: pace.rate };
    let job = service.recover(&id, &fields).await?;
    started(&service, &id, job, pace.wait, output).await
}

/// Runs `streamio webhook replay`.
pub(super) async fn replay(arguments: Replay, output: Output) -> Result<(), Failure> {
    let Replay { id, from, to, pace, target, approval } = arguments;
    let question = format!("Send everything from {from} on to {id} again?");
    let service = target.open_to_change(&approval, &sending(&id, &question), output).await?;
    let fields = ReplayFields { from, to, types: pace.types(), rate: pace.rate };
    let job = service.replay(&id, &fields).await?;
    started(&service, &id, job, pace.wait, output).await
}

/// Runs `streamio webhook replays`.
pub(super) async fn list(arguments: Replays, output: Output) -> Result<(), Failure> {
    let page = arguments.target.open(output).await?.jobs(&arguments.id).await?;
    output.result(&page, || {
        if page.data.is_empty() {
            return "Nothing was sent again. See `streamio webhook recover` and `streamio webhook replay`."
                .to_owned();
        }
        let rows = page.data.iter().map(|job| {
            [
                text(job, "startedAt"),
                text(job, "kind"),
                text(job, "from"),
                text(job, "to"),
                if job["reason"].is_string() { text(job, "reason") } else { text(job, "state") },
                replay_progress(job),
                text(job, "scheduled"),
                text(job, "skipped"),
                text(job, "replayId"),
            ]
        });
        table(["STARTED", "KIND", "FROM", "TO", "STATE", "PROGRESS", "SCHEDULED", "SKIPPED", "REPLAY"], rows)
    })
}

/// Runs `streamio webhook cancel-replay`.
pub(super) async fn cancel(arguments: CancelReplay, output: Output) -> Result<(), Failure> {
    let CancelReplay { id, replay, target, approval } = arguments;
    let question = format!("Send nothing more to {id} again than what is scheduled?");
    let subject = format!("the replay of {id}");
    let change = Change { subject: &subject, verb: "cancel", participle: "cancelled", question: &question };
    let service = target.open_to_change(&approval, &change, output).await?;
    let replay = if let Some(replay) = replay {
        replay.to_string()
    } else {
        let page = service.jobs(&id).await?;
        let running = page.data.iter().find(|job| job["state"] == "running");
        running.map(|job| text(job, "replayId")).ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!("no messages are being sent to {id} again"),
                format!("see `streamio webhook replays {id}`"),
            )
        })?
    };
    let job = service.cancel(&id, &replay).await?;
    output.result(&job, || describe_replay(&job))
}

/// Writes the job that was started, after its end if it is waited for.
async fn started(
    service: &Service,
    id: &WebhookId,
    job: Value,
    wait: bool,
    output: Output,
) -> Result<(), Failure> {
    let job = if wait { until_ended(service, id, job, output).await? } else { job };
    if wait && job["reason"] != "completed" {
        let replay_id = text(&job, "replayId");
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "the replay {replay_id} has ended before all messages were scheduled: {}",
                text(&job, "reason")
            ),
            format!("see `streamio webhook replays {id}`; start another one for the rest"),
        )
        .with("replayId", replay_id));
    }
    output.result(&job, || {
        let next = format!("\n\nSee its progress with `streamio webhook replays {id}`.");
        format!("{}{}", describe_replay(&job), output.guidance(if wait { String::new() } else { next }))
    })
}

/// Polls the job until it has ended, and shows its progress.
async fn until_ended(
    service: &Service,
    id: &WebhookId,
    mut job: Value,
    output: Output,
) -> Result<Value, Failure> {
    let replay_id = text(&job, "replayId");
    let place = |job: &Value, name: &str| job[name].as_u64().unwrap_or(0);
    let (start, end) = (place(&job, "startSeq"), place(&job, "endSeq"));
    let label = format!("Sending again to {id}");
    let progress = Progress::new(output, &label, Unit::Percent, end.saturating_sub(start));
    let mut intervals = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .build();
    while job["state"] == "running" {
        tokio::time::sleep(intervals.next().unwrap_or(Duration::from_secs(2))).await;
        job = service.job(id, &replay_id).await?;
        progress.step(&format!("{} messages", text(&job, "scheduled")));
        progress.set(place(&job, "nextSeq").saturating_sub(start));
    }
    progress.finish();
    Ok(job)
}
