//! Waits for the result of an upload.
//!
//! The status view is updated shortly after the log, so right after an upload it may still show the previous generation. The
//! upload is identified by its event: `upload.completed` or `upload.rejected` with the object's entity tag, or with its size if the
//! store returned no entity tag.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::Value;
use streamio_events::media::VideoError;
use streamio_events::video::{VideoState, VideoStatus};

use crate::client::Client;
use crate::client::retry::RetryPolicy;
use crate::client::wire::VideoResponse;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::transfer::Stored;
use crate::transfer::baseline::Baseline;

/// The platform normally records an upload within seconds. After this time the command gives up.
const ARRIVAL_TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum time between two polls.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum page size of the API.
const EVENTS_PER_PAGE: u32 = 100;

/// The result of an upload.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The video can be played.
    Ready(VideoResponse),
    /// The upload was rejected.
    Rejected(VideoResponse, VideoError),
    /// Its processing failed.
    Errored(VideoResponse, VideoError),
    /// The video was deleted during the wait.
    Deleted(VideoResponse),
}

/// Polls the video until the upload's processing has ended, for at most `limit`.
pub(crate) async fn until_done(
    client: &Client,
    output: Output,
    stored: &Stored,
    limit: Option<Duration>,
) -> Result<Outcome, Failure> {
    let name = stored.s3_key.rest().rsplit('/').next().unwrap_or_default();
    let progress = Progress::new(output, &format!("Processing {name}"), Unit::Percent, 100);
    let outcome = poll(client, stored, limit, &progress).await;
    progress.finish();
    outcome
}

async fn poll(
    client: &Client,
    stored: &Stored,
    limit: Option<Duration>,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let id = &stored.video_id;
    let started_at = Instant::now();
    let mut intervals = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(MAX_POLL_INTERVAL)
        .with_factor(1.3)
        .without_max_times()
        .build();
    let mut arrival = Arrival::new(stored);
    loop {
        match client.video(id, None, RetryPolicy::Long).await {
            Ok(video) => {
                if let Some(outcome) = arrival.outcome(client, video, progress).await? {
                    return Ok(outcome);
                }
            }
            // The view has no event of the video yet.
            Err(crate::client::error::ClientError::Problem(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
        let elapsed = started_at.elapsed();
        if limit.is_some_and(|limit| elapsed >= limit) {
            return Err(not_done(id.as_str(), "processing did not end within --wait-timeout"));
        }
        if !arrival.is_known() && elapsed >= ARRIVAL_TIMEOUT {
            return Err(not_done(id.as_str(), "the file is stored, but the platform has not recorded it"));
        }
        let wait = intervals.next().unwrap_or(MAX_POLL_INTERVAL);
        tokio::time::sleep(limit.map_or(wait, |limit| wait.min(limit.saturating_sub(elapsed)))).await;
    }
}

fn not_done(id: &str, message: &str) -> Failure {
    Failure::new(Exit::Unavailable, message, format!("check it later with `streamio video show {id}`"))
        .with("videoId", id)
}

/// Finds the generation that the upload became.
struct Arrival<'a> {
    stored: &'a Stored,
    baseline: Baseline,
    generation: Option<u32>,
    /// Whether the platform has the file and waits for the record of its grant.
    is_received: bool,
    /// The version of the view up to which the events were searched.
    searched_version: u64,
}

impl<'a> Arrival<'a> {
    fn new(stored: &'a Stored) -> Self {
        let baseline = stored.baseline.unwrap_or_default();
        Self { stored, baseline, generation: None, is_received: false, searched_version: baseline.version }
    }

    /// Whether the platform has recorded the upload.
    fn is_known(&self) -> bool {
        self.generation.is_some() || self.is_received
    }

    /// Whether `event` is about this upload: it is newer, and its object has the same entity tag or, if the store returned none,
    /// the same size.
    fn is_of_upload(&self, event: &Value) -> bool {
        let is_newer = event["streamversion"].as_u64().unwrap_or(0) > self.baseline.version;
        let data = &event["data"];
        is_newer
            && match &self.stored.etag {
                Some(etag) => data["etag"] == etag.as_str(),
                None => data["bytes"] == self.stored.bytes,
            }
    }

    /// The outcome of this upload, if `video` shows it.
    async fn outcome(
        &mut self,
        client: &Client,
        video: VideoResponse,
        progress: &Progress,
    ) -> Result<Option<Outcome>, Failure> {
        if self.generation.is_none()
            && video.status.version > self.searched_version
            && let Some(error) = self.search_events(client, &video.status).await?
        {
            return Ok(Some(Outcome::Rejected(video, error)));
        }
        let status = &video.status;
        let Some(_) = self.generation.filter(|generation| status.generation >= *generation) else {
            progress.step("waiting to be processed");
            return Ok(None);
        };
        progress.step(status.state.as_str());
        progress.set(status.progress.into());
        Ok(match status.state {
            VideoState::Ready => Some(Outcome::Ready(video)),
            VideoState::Deleted => Some(Outcome::Deleted(video)),
            VideoState::Errored => {
                let error = status
                    .error
                    .clone()
                    .unwrap_or_else(|| VideoError::permanent("unknown", "the API reports no reason"));
                Some(Outcome::Errored(video, error))
            }
            VideoState::Waiting | VideoState::Expired | VideoState::Uploaded | VideoState::Processing => None,
        })
    }

    /// Searches the video's events for the upload. Returns the reason if it was rejected.
    async fn search_events(
        &mut self,
        client: &Client,
        status: &VideoStatus,
    ) -> Result<Option<VideoError>, Failure> {
        let mut after: Option<String> = None;
        let mut rejected = None;
        loop {
            let page =
                client.video_events(&self.stored.video_id, Some(EVENTS_PER_PAGE), after.as_deref()).await?;
            for event in &page.data {
                if !self.is_of_upload(event) {
                    continue;
                }
                match event["type"].as_str() {
                    Some("upload.completed") => {
                        let generation = event["data"]["generation"].as_u64();
                        self.generation = generation.and_then(|generation| u32::try_from(generation).ok());
                    }
                    Some("upload.rejected") => rejected = Some(rejection(&event["data"]["error"])),
                    Some("upload.received") => self.is_received = true,
                    _ => {}
                }
            }
            match page.next_cursor {
                Some(cursor) if !page.data.is_empty() => after = Some(cursor),
                _ => break,
            }
        }
        // If the response of a request was lost, the file was sent twice. The grant accepts one of both, and the other is rejected.
        if self.generation.is_none() && rejected.is_some() {
            return Ok(rejected);
        }
        // While the view shows the old generation, search again only after it has changed. If it shows a new generation that
        // the events do not explain, it is from another upload or the events lag behind the view: search again.
        if status.generation <= self.baseline.generation {
            self.searched_version = status.version;
        }
        Ok(None)
    }
}

fn rejection(error: &Value) -> VideoError {
    serde_json::from_value(error.clone())
        .unwrap_or_else(|_| VideoError::permanent("upload_rejected", "the upload was rejected"))
}
