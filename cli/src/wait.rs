//! Waiting for what becomes of an upload.
//!
//! A view follows the log after a short while, so right after an upload it may still show the generation before. What
//! belongs to this upload is told by its events: the `upload.completed` or `upload.rejected` with the object's entity tag.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::Value;
use streamio_events::media::VideoError;
use streamio_events::video::{VideoState, VideoStatus};

use crate::client::Client;
use crate::client::retry::Patience;
use crate::client::wire::VideoAnswer;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::transfer::{Baseline, Stored};

/// The platform notices a stored object at once; after this long something is wrong with it.
const NOTICED_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks at a video that takes its time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The most that the API gives at once.
const EVENTS_A_PAGE: u32 = 100;

/// How a video's processing ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It can be played.
    Ready(VideoAnswer),
    /// Nothing playable could be made of the upload.
    Errored(VideoAnswer, VideoError),
    /// Somebody deleted it meanwhile.
    Deleted(VideoAnswer),
}

/// Polls the video until the upload's processing has ended.
pub(crate) async fn until_done(
    client: &Client,
    output: Output,
    stored: &Stored,
    limit: Option<Duration>,
) -> Result<Outcome, Failure> {
    let name = stored.s3_key.rest().rsplit('/').next().unwrap_or_default();
    let progress = Progress::new(output, &format!("Processing {name}"), Unit::Percent, 100);
    let outcome = poll(client, stored, limit, &progress).await;
    progress.end();
    outcome
}

async fn poll(
    client: &Client,
    stored: &Stored,
    limit: Option<Duration>,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let id = &stored.video_id;
    let begun = Instant::now();
    let mut waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_PAUSE)
        .with_factor(1.3)
        .without_max_times()
        .build();
    let mut arrival = Arrival::new(stored);
    loop {
        match client.video(id, None, Patience::Long).await {
            Ok(answer) => {
                if let Some(outcome) = arrival.judge(client, answer, progress).await? {
                    return Ok(outcome);
                }
            }
            // The view has not seen its first event yet.
            Err(crate::client::error::ClientError::Problem(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
        let passed = begun.elapsed();
        if limit.is_some_and(|limit| passed >= limit) {
            return Err(still_going(id.as_str(), "the video is not done within --wait-timeout"));
        }
        if !arrival.is_noticed() && passed >= NOTICED_WITHIN {
            return Err(still_going(
                id.as_str(),
                "the file is stored, but the platform has not taken notice of it",
            ));
        }
        let wait = waits.next().unwrap_or(LONGEST_PAUSE);
        tokio::time::sleep(limit.map_or(wait, |limit| wait.min(limit.saturating_sub(passed)))).await;
    }
}

fn still_going(id: &str, what: &str) -> Failure {
    Failure::new(Exit::Unavailable, what, format!("look again with `streamio video show {id}`"))
        .with("videoId", id)
}

/// Which generation the upload became, as far as it is known.
struct Arrival<'a> {
    stored: &'a Stored,
    baseline: Baseline,
    generation: Option<u32>,
    /// The version up to which the events have been looked through.
    searched: u64,
}

impl<'a> Arrival<'a> {
    fn new(stored: &'a Stored) -> Self {
        let baseline = stored.baseline.unwrap_or_default();
        Self { stored, baseline, generation: None, searched: baseline.version }
    }

    fn is_noticed(&self) -> bool {
        self.generation.is_some()
    }

    /// The outcome, if `answer` shows one of this upload.
    async fn judge(
        &mut self,
        client: &Client,
        answer: VideoAnswer,
        progress: &Progress,
    ) -> Result<Option<Outcome>, Failure> {
        if self.generation.is_none() && answer.status.version > self.searched {
            match &self.stored.etag {
                None if answer.status.generation > self.baseline.generation => {
                    self.generation = Some(answer.status.generation);
                }
                None => {}
                Some(etag) => {
                    if let Some(error) = self.search(client, &answer.status, etag).await? {
                        return Ok(Some(Outcome::Errored(answer, error)));
                    }
                }
            }
        }
        let status = &answer.status;
        let Some(_) = self.generation.filter(|generation| status.generation >= *generation) else {
            progress.stage("waiting for its turn");
            return Ok(None);
        };
        progress.stage(status.state.as_str());
        progress.set(status.progress.into());
        Ok(match status.state {
            VideoState::Ready => Some(Outcome::Ready(answer)),
            VideoState::Deleted => Some(Outcome::Deleted(answer)),
            VideoState::Errored => {
                let error = status.error.clone().unwrap_or_else(|| {
                    VideoError::permanent("unknown", "the video is errored, and the API does not say why")
                });
                Some(Outcome::Errored(answer, error))
            }
            VideoState::Waiting | VideoState::Uploaded | VideoState::Processing => None,
        })
    }

    /// Looks for the upload among the video's events; an error is the reason for which it was rejected.
    async fn search(
        &mut self,
        client: &Client,
        status: &VideoStatus,
        etag: &str,
    ) -> Result<Option<VideoError>, Failure> {
        let mut after: Option<String> = None;
        loop {
            let page =
                client.video_events(&self.stored.video_id, Some(EVENTS_A_PAGE), after.as_deref()).await?;
            for event in page.data.iter().filter(|event| event["data"]["etag"] == etag) {
                if event["streamversion"].as_u64().unwrap_or(0) <= self.baseline.version {
                    continue;
                }
                match event["type"].as_str() {
                    Some("upload.completed") => {
                        let generation = event["data"]["generation"].as_u64();
                        self.generation = generation.and_then(|generation| u32::try_from(generation).ok());
                    }
                    Some("upload.rejected") => return Ok(Some(rejection(&event["data"]["error"]))),
                    _ => {}
                }
            }
            match page.next_cursor {
                Some(cursor) if !page.data.is_empty() => after = Some(cursor),
                _ => break,
            }
        }
        // As long as the generation is the old one, the next look waits for something new. A new one that is not found
        // among the events is somebody else's, or the events lag behind the view.
        if status.generation <= self.baseline.generation {
            self.searched = status.version;
        }
        Ok(None)
    }
}

fn rejection(error: &Value) -> VideoError {
    serde_json::from_value(error.clone())
        .unwrap_or_else(|_| VideoError::permanent("upload_rejected", "the upload was rejected"))
}
