//! Folds events into a video's state.

mod grants;
mod uploads;

use super::{Phase, Video};
use crate::commit::Commit;
use crate::event::{EventBody, RecordedEvent, UnreadableEvent};
use crate::id::{ProjectId, VideoId};
use crate::media::VideoError;
use crate::metadata;
use crate::timestamp::Timestamp;

impl Video {
    /// The video after all of `commits`, its stream from the beginning.
    pub fn fold<'a>(
        project_id: ProjectId,
        video_id: VideoId,
        commits: impl IntoIterator<Item = &'a Commit>,
    ) -> Result<Self, UnreadableEvent> {
        let mut video = Self::new(project_id, video_id);
        for commit in commits {
            video.apply_commit(commit)?;
        }
        Ok(video)
    }

    /// Applies a commit of this stream. Events up to [`Video::version`] are skipped.
    pub fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        for (version, event) in commit.numbered() {
            if version > self.version {
                self.apply(version, event)?;
            }
        }
        Ok(())
    }

    /// Applies the event of `version`, which must be the one after [`Video::version`].
    pub fn apply(&mut self, version: u64, event: &RecordedEvent) -> Result<(), UnreadableEvent> {
        self.apply_decoded(version, event.at, event.body()?);
        Ok(())
    }

    /// [`Self::apply`] of an event whose data is decoded.
    pub fn apply_decoded(&mut self, version: u64, at: Timestamp, body: EventBody) {
        if self.version == 0 {
            self.created_at = at;
        }
        self.version = version;
        self.updated_at = self.updated_at.max(at);
        self.apply_body(at, body);
    }

    fn apply_body(&mut self, at: Timestamp, body: EventBody) {
        match body {
            EventBody::UploadGranted(granted) => self.upload_granted(at, granted),
            EventBody::UploadCompleted(completed) => self.upload_completed(at, completed),
            EventBody::UploadReceived(received) => self.upload_received(at, received),
            EventBody::UploadRejected(rejected) => self.upload_rejected(at, rejected),
            EventBody::UploadRemoved(removed) => self.upload_removed(&removed),
            EventBody::UploadExpired(expired) => self.upload_expired(&expired),
            EventBody::ProcessingRequested(requested) => self.begin_generation(requested.generation, at),
            EventBody::ProcessingDispatched(dispatched) => {
                let job = dispatched.job;
                if job.generation == self.generation && job.attempt > self.attempt {
                    self.attempt = job.attempt;
                    self.progress = 0;
                    self.job = Some(job);
                    self.phase = Phase::Dispatched { at };
                }
            }
            EventBody::ProcessingStarted(started) => {
                if self.is_current(started.generation, started.attempt)
                    && matches!(self.phase, Phase::Dispatched { .. })
                {
                    self.phase = Phase::Started { task: started.task, last_heartbeat_at: at };
                }
            }
            EventBody::ProcessingProgressed(progressed) => {
                if self.is_current(progressed.generation, progressed.attempt)
                    && let Phase::Started { last_heartbeat_at, .. } = &mut self.phase
                {
                    *last_heartbeat_at = at.max(*last_heartbeat_at);
                    self.progress = self.progress.max(progressed.percent.min(100));
                }
            }
            EventBody::ProcessingCompleted(completed) => {
                if self.is_current(completed.generation, completed.attempt)
                    && matches!(self.phase, Phase::Started { .. })
                {
                    self.stable_keys.extend(completed.outputs.keys().cloned());
                    self.removed_keys.retain(|key| completed.outputs.keys().all(|written| written != key));
                    self.interrupted_since = None;
                    self.phase =
                        Phase::Completed { at, source: completed.source, outputs: completed.outputs };
                }
            }
            EventBody::ProcessingFailed(failed) => {
                self.end_attempt(
                    failed.generation,
                    failed.attempt,
                    true,
                    Phase::Failed { at, error: failed.error },
                );
            }
            EventBody::ProcessingExpired(expired) => {
                let error = VideoError::retryable("worker_lost", expired.reason);
                self.end_attempt(expired.generation, expired.attempt, true, Phase::Failed { at, error });
            }
            EventBody::ProcessingInterrupted(interrupted) => {
                self.end_attempt(
                    interrupted.generation,
                    interrupted.attempt,
                    false,
                    Phase::Interrupted { at, stopped: interrupted.stopped },
                );
            }
            EventBody::VideoReady(ready) => self.video_ready(at, ready),
            EventBody::OutputsRemoved(removed) => self.outputs_removed(&removed),
            EventBody::VideoErrored(errored) => {
                if errored.generation == self.generation {
                    self.phase = Phase::Errored { error: errored.error };
                }
            }
            EventBody::VideoUpdated(updated) => {
                metadata::apply(&mut self.metadata, &updated.metadata);
                self.metadata_updated_at = self.metadata_updated_at.max(Some(at));
            }
            EventBody::VideoDeleted(deleted) => {
                if deleted.generation >= self.generation {
                    self.phase = Phase::Deleted;
                    self.deleted_version = Some(self.version);
                    self.interrupted_since = None;
                    self.delete_uploads(at);
                    self.published = None;
                    self.unpublished = None;
                    self.source = None;
                    self.outputs = None;
                    self.progress = 0;
                    self.deletion_leaves_outputs();
                }
            }
            EventBody::ProjectCreated(_)
            | EventBody::ProjectUpdated(_)
            | EventBody::ProjectMeasured(_)
            | EventBody::ProjectSuspended(_)
            | EventBody::ProjectResumed(_)
            | EventBody::KeyCreated(_)
            | EventBody::KeyRevoked(_)
            | EventBody::PlaybackGranted(_)
            | EventBody::WebhookRegistered(_)
            | EventBody::WebhookUpdated(_)
            | EventBody::WebhookRemoved(_)
            | EventBody::WebhookDisabled(_)
            | EventBody::AuditCheckpointed(_)
            | EventBody::WebhookScheduled(_)
            | EventBody::WebhookDelivered(_)
            | EventBody::WebhookFailed(_)
            | EventBody::ReplayStarted(_)
            | EventBody::ReplayProgressed(_)
            | EventBody::ReplayEnded(_)
            | EventBody::StreamQuarantined(_)
            | EventBody::Unknown { .. } => {}
        }
    }

    pub(super) fn begin_generation(&mut self, generation: u32, at: Timestamp) {
        if generation > self.generation {
            self.set_completed_aside();
            self.generation = generation;
            self.attempt = 0;
            self.failures = 0;
            self.interrupted_since = None;
            self.progress = 0;
            self.stops = 0;
            self.job = None;
            self.phase = Phase::Uploaded { at };
        }
    }

    fn end_attempt(&mut self, generation: u32, attempt: u32, is_failure: bool, phase: Phase) {
        let running =
            matches!(self.phase, Phase::Dispatched { .. } | Phase::Started { .. } | Phase::Completed { .. });
        if self.is_current(generation, attempt) && running {
            self.set_completed_aside();
            self.failures += u32::from(is_failure);
            self.stops += u32::from(matches!(phase, Phase::Interrupted { stopped: true, .. }));
            self.interrupted_since = match phase {
                Phase::Interrupted { at, stopped: false } => self.interrupted_since.or(Some(at)),
                // A worker that is stopped from outside is no sign of an outage, nor of its end.
                Phase::Interrupted { stopped: true, .. } => self.interrupted_since,
                _ => None,
            };
            self.phase = phase;
        }
    }
}

/// The video as it was recorded at `as_of`: folded from the commits recorded until then. `None` if there were none.
pub fn fold_as_of(
    project_id: ProjectId,
    video_id: VideoId,
    commits: &[Commit],
    as_of: Timestamp,
) -> Result<Option<Video>, UnreadableEvent> {
    let known = commits.iter().take_while(|commit| commit.recorded_at <= as_of);
    let video = Video::fold(project_id, video_id, known)?;
    Ok((video.version > 0).then_some(video))
}
