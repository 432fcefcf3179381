//! Calls about jobs that send messages again.

use std::sync::Arc;

use streamio_events::commit::NewCommit;
use streamio_events::event::EventBody;
use streamio_events::home::{HomeError, WebhookOutcome, WebhookResult};
use streamio_events::id::{CommitId, ReplayId, WebhookId};
use streamio_events::log::{AppendError, Expected};
use streamio_events::stream::StreamId;
use streamio_events::webhook::replay::decide::ReplayRefusal;
use streamio_events::webhook::replay::{FeedBound, MAX_RATE, Replay, ReplayRequest, ReplayStatus, Replays};

use super::valid::{invalid, valid_types};
use super::{MAX_CONFLICTS, Webhooks};
use crate::home_region::unavailable;

/// How many jobs are listed, the latest ones.
const MAX_LISTED: usize = 100;

/// The largest place that a request may state: the largest integer that every JSON parser reads exactly.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// A part of a project's feed: from the first place until before the second.
type Part = (u64, u64);

impl Webhooks<'_> {
    pub(super) async fn start_replay(
        &self,
        webhook_id: &WebhookId,
        commit_id: &CommitId,
        request: &ReplayRequest,
    ) -> Result<WebhookOutcome, HomeError> {
        let request = valid(request)?;
        let replay_id =
            ReplayId::derived_from(&[self.project_id.as_str(), webhook_id.as_str(), commit_id.as_str()]);
        let mut replays = self.replays(webhook_id).await?;
        if let Some(job) = replays.get(&replay_id) {
            return if job.request == request {
                Ok(outcome(&replays, job, true))
            } else {
                Err(HomeError::KeyReused)
            };
        }
        self.check_enabled(webhook_id).await?;
        // The part of the feed is looked up only for a job that may start.
        if let Some(active) = replays.active() {
            return Err(refused(ReplayRefusal::Active(active.replay_id.clone())));
        }
        let (start, end) = self.part(&request).await?;
        let decide = |replays: &Replays| replays.start(&replay_id, request.clone(), start, end);
        let repeated = self.decide_replay(&mut replays, commit_id, decide).await?;
        let job = replays.get(&replay_id).ok_or(HomeError::NotFound)?;
        Ok(outcome(&replays, job, repeated))
    }

    /// The latest jobs of the endpoint, also if it was removed.
    pub(super) async fn list_replays(&self, webhook_id: &WebhookId) -> Result<Vec<ReplayStatus>, HomeError> {
        let replays = self.replays(webhook_id).await?;
        if replays.version == 0 {
            self.endpoints().await?.get(webhook_id).map_err(super::refused)?;
        }
        Ok(replays.jobs.iter().rev().take(MAX_LISTED).map(|job| replays.status(job)).collect())
    }

    pub(super) async fn show_replay(
        &self,
        webhook_id: &WebhookId,
        replay_id: &ReplayId,
    ) -> Result<ReplayStatus, HomeError> {
        let replays = self.replays(webhook_id).await?;
        replays.get(replay_id).map(|job| replays.status(job)).ok_or(HomeError::NotFound)
    }

    pub(super) async fn cancel_replay(
        &self,
        webhook_id: &WebhookId,
        replay_id: &ReplayId,
        commit_id: &CommitId,
    ) -> Result<WebhookOutcome, HomeError> {
        let mut replays = self.replays(webhook_id).await?;
        let known = self.log.find(&replays.stream(), commit_id).await.map_err(HomeError::because_of)?;
        let decide = |replays: &Replays| replays.cancel(replay_id);
        let repeated = match known {
            Some(_) => true,
            None => self.decide_replay(&mut replays, commit_id, decide).await?,
        };
        let job = replays.get(replay_id).ok_or(HomeError::NotFound)?;
        Ok(outcome(&replays, job, repeated))
    }

    async fn replays(&self, webhook_id: &WebhookId) -> Result<Arc<Replays>, HomeError> {
        let key = (self.project_id.clone(), webhook_id.clone());
        self.replays.current(self.log, &key).await.map_err(HomeError::because_of)
    }

    /// Records a decision about the jobs of an endpoint as `commit_id`. Returns whether it was recorded before.
    async fn decide_replay(
        &self,
        replays: &mut Arc<Replays>,
        commit_id: &CommitId,
        decide: impl Fn(&Replays) -> Result<Vec<EventBody>, ReplayRefusal> + Send + Sync,
    ) -> Result<bool, HomeError> {
        let webhook_id = replays.webhook_id.clone();
        let mut conflicts = 0;
        loop {
            let events = decide(replays).map_err(refused)?;
            if events.is_empty() {
                return Ok(false);
            }
            let commit = NewCommit::new(commit_id.clone(), self.now, events);
            let expected = Expected::Exactly(replays.version);
            let appended = self.log.append(&replays.stream(), expected, commit).await;
            *replays = self.replays(&webhook_id).await?;
            match appended {
                Ok(appended) => {
                    let stored = self.ports.deliveries.put_replays(replays).await;
                    stored.map_err(unavailable)?;
                    return Ok(appended.repeated);
                }
                Err(AppendError::Conflict { .. }) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(error) => return Err(HomeError::because_of(error)),
            }
        }
    }

    /// The part of the project's feed that the request is about. It ends where the feed ends now: what happens later is sent when it
    /// happens.
    async fn part(&self, request: &ReplayRequest) -> Result<Part, HomeError> {
        self.place_endpoints().await?;
        let feed = &self.ports.feed;
        let feed_end = feed.end(self.project_id).await.map_err(HomeError::because_of)?;
        let start = match request.from {
            FeedBound::Seq(seq) => Ok(seq),
            FeedBound::Time(time) => feed.first_since(self.project_id, time).await,
        };
        let end = match request.to {
            None => Ok(feed_end),
            Some(FeedBound::Seq(seq)) => Ok(seq),
            Some(FeedBound::Time(time)) => feed.end_before(self.project_id, time).await,
        };
        let end = end.map_err(HomeError::because_of)?.min(feed_end);
        Ok((start.map_err(HomeError::because_of)?, end))
    }

    /// Gives the last change of the project's endpoints its place. Where the log itself does not give places, an event before it that has none
    /// yet then gets a later one, so that it is sent when it gets it, and not missing both there and in the part of the feed.
    async fn place_endpoints(&self) -> Result<(), HomeError> {
        let version = self.endpoints().await?.version;
        let stream = StreamId::Webhooks(self.project_id.clone());
        let page = self.log.read(&stream, version, 1).await.map_err(HomeError::because_of)?;
        if let Some(last) = page.commits.first() {
            self.ports.places.place(last).await.map_err(HomeError::because_of)?;
        }
        Ok(())
    }
}

fn valid(request: &ReplayRequest) -> Result<ReplayRequest, HomeError> {
    if !(1..=MAX_RATE).contains(&request.rate) {
        return Err(invalid("rate", format!("must be 1 to {MAX_RATE} messages a second")));
    }
    for (field, bound) in [("from", Some(request.from)), ("to", request.to)] {
        if matches!(bound, Some(FeedBound::Seq(seq)) if seq > MAX_SEQ) {
            return Err(invalid(field, format!("must be at most {MAX_SEQ}")));
        }
    }
    let is_reversed = match (request.from, request.to) {
        (FeedBound::Seq(from), Some(FeedBound::Seq(to))) => to <= from,
        (FeedBound::Time(from), Some(FeedBound::Time(to))) => to <= from,
        _ => false,
    };
    if is_reversed {
        return Err(invalid("to", "must be later than `from`"));
    }
    let types = request.types.as_deref().map(valid_types).transpose()?;
    Ok(ReplayRequest { types, ..request.clone() })
}

fn outcome(replays: &Replays, job: &Replay, repeated: bool) -> WebhookOutcome {
    WebhookOutcome { result: WebhookResult::Replay(replays.status(job)), repeated }
}

fn refused(refusal: ReplayRefusal) -> HomeError {
    match refusal {
        ReplayRefusal::NotFound(_) => HomeError::NotFound,
        ReplayRefusal::Active(active) => {
            let text = format!(
                "The replay {active} of the webhook is in progress; wait until it has ended, or cancel it."
            );
            HomeError::Conflict { text }
        }
    }
}
