//! Reacts to changes of a video: appends the next decision, launches workers, removes deleted objects.

use std::borrow::Cow;
use std::convert::Infallible;

use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::EventBody;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{
    Decision, Removal, Step, bucket_check, due_removals, grants_expired, step_of_attempt, undecided,
    versions_removed,
};
use streamio_events::video::{
    NULL_VERSION, Phase, Policy, Video, VideoStoreError, catch_up, decide_and_append, load,
};

use crate::fold_cache::{FoldError, ProjectCache};
use crate::ports::AdapterError;
use crate::ports::encode_slots::{EncodeSlots, EncodeSlotsError, SlotHolder};
use crate::ports::object_store::ObjectStore;
use crate::ports::task_launcher::{LaunchError, TaskLauncher};
use crate::ports::usage_store::UsageStore;
use crate::reactions::cleanup::{self, CleanupError};
use crate::reactions::launch::{Outcome, launch};
use crate::reactions::project_settings::ProjectSettings;
use crate::reactions::slots::{self, SlotState};
use crate::uploads::{self, UploadError};

/// The maximum number of decisions about attempts in one call. More mean that a decision does not change the state from which it was
/// made.
const MAX_DECISIONS: u32 = 16;

/// How often all kinds of steps are taken in one call. The sweep continues.
const MAX_ROUNDS: u32 = 16;

/// The maximum number of decisions about objects in one round.
const MAX_OBJECTS: u32 = 256;

/// How many removals are recorded in one commit.
const REMOVALS: usize = 100;

/// The ports of a reaction.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Launches workers.
    pub launcher: &'a dyn TaskLauncher,
    /// The object store.
    pub objects: &'a dyn ObjectStore,
    /// What projects used.
    pub usage: &'a dyn UsageStore,
    /// Limits a project's concurrent encodes; `None` if the launcher does so by itself.
    pub slots: Option<&'a dyn EncodeSlots>,
    /// The projects' settings and keys.
    pub projects: &'a ProjectCache,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: &'a Policy,
}

impl<'a> Ports<'a> {
    /// The ports for upload ingestion.
    pub fn uploads(self) -> uploads::Ports<'a> {
        let Self { log, objects, usage, projects, policy, .. } = self;
        uploads::Ports { log, objects, usage, projects, policy }
    }
}

/// Whether a reaction to `commit` may have something to do. `false` for progress, starts, quarantine, and records of outputs that were
/// removed.
pub fn calls_for_action(commit: &Commit) -> bool {
    !commit.events.iter().all(|event| {
        matches!(
            event.kind.as_str(),
            "processing.progressed" | "processing.started" | "stream.quarantined" | "outputs.removed"
        )
    })
}

/// Why a reaction failed.
#[derive(Debug, thiserror::Error)]
pub enum ReactError {
    /// The video's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The settings of the video's project cannot be read at present.
    #[error(transparent)]
    Project(#[from] FoldError),
    /// It is not known whether the attempt may run.
    #[error(transparent)]
    Slots(#[from] EncodeSlotsError),
    /// The worker cannot be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The objects of a deleted or replaced video cannot be removed.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The bucket cannot be checked for an upload without an event notification.
    #[error(transparent)]
    BucketCheck(#[from] UploadError),
    /// A decision changes nothing: a fault in the decisions.
    #[error("the decisions about video {0} do not end")]
    Endless(VideoId),
}

impl Retryable for ReactError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Project(error) => error.is_retryable(),
            Self::Launch(error) => error.is_retryable(),
            Self::Slots(_) => true,
            Self::BucketCheck(error) => error.is_retryable(),
            Self::Cleanup(error) => error.is_retryable(),
            Self::Endless(_) => false,
        }
    }
}

/// The kinds of steps, in the order in which they are taken in a round.
const KINDS: [Kind; 5] = [Kind::Objects, Kind::Attempts, Kind::Slots, Kind::Versions, Kind::Grants];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Decide about objects that the log knows.
    Objects,
    /// Dispatch, launch, expire or give up attempts.
    Attempts,
    /// Release the slot of an attempt that has ended.
    Slots,
    /// Remove the outputs of a deleted or replaced video, then versions that are not kept.
    Versions,
    /// Check the bucket and record grants as expired.
    Grants,
}

/// Takes the steps of a video that are due at `now`, and those that follow from them. Returns the video's state afterwards.
///
/// A kind of steps that fails stops no other kind: an object that cannot be read does not delay the attempts of another, nor does a
/// missing capacity for workers delay removals. The first error is returned at the end.
///
/// Steps that were recorded before a crash are not repeated; a launch may be repeated with the same job.
///
/// If an attempt of the video has ended, other attempts of the project that wait for its slot are launched.
pub async fn react(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<Video, ReactError> {
    let reacted = react_alone(ports, now, project_id, video_id).await;
    if reacted.has_released_slot
        && let Err(error) = slots::launch_waiting(ports, now, project_id).await
    {
        tracing::warn!(%project_id, error = chain(&error), "the attempts that wait for a slot are left to the sweep");
    }
    reacted.result
}

/// The outcome of [`react_alone`].
pub(super) struct Reacted {
    pub(super) result: Result<Video, ReactError>,
    pub(super) slot: SlotState,
    pub(super) has_released_slot: bool,
}

/// Takes the steps of a video, and none of others that follow from them.
pub(super) async fn react_alone(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Reacted {
    let video = match load(ports.log, project_id, video_id).await {
        Ok(video) => video,
        Err(error) => {
            let (result, slot) = (Err(error.into()), SlotState::Unknown);
            return Reacted { result, slot, has_released_slot: false };
        }
    };
    let mut reaction = Reaction {
        ports,
        now,
        video,
        launched: None,
        slot: SlotState::Unknown,
        has_released_slot: false,
        settings: None,
    };
    let mut failed: Vec<(Kind, ReactError)> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let before = reaction.video.version;
        for kind in KINDS {
            if failed.iter().all(|(other, _)| *other != kind)
                && let Err(error) = reaction.take(kind).await
            {
                failed.push((kind, error));
            }
        }
        if reaction.video.version == before {
            break;
        }
    }
    let Reaction { video, slot, has_released_slot, .. } = reaction;
    let result = failed.into_iter().next().map_or(Ok(video), |(_, error)| Err(error));
    Reacted { result, slot, has_released_slot }
}

struct Reaction<'a> {
    ports: Ports<'a>,
    now: Timestamp,
    video: Video,
    /// The job that has a worker.
    launched: Option<Job>,
    /// Whether the current attempt may run.
    slot: SlotState,
    has_released_slot: bool,
    /// `None` until they are needed.
    settings: Option<ProjectSettings>,
}

impl<'a> Reaction<'a> {
    async fn take(&mut self, kind: Kind) -> Result<(), ReactError> {
        match kind {
            Kind::Objects => self.decide_objects().await,
            Kind::Attempts => self.advance_attempts().await,
            Kind::Slots => self.release_slot().await,
            Kind::Versions => {
                cleanup::remove_and_record(self.ports, self.now, &mut self.video).await?;
                self.remove_versions().await
            }
            Kind::Grants => self.end_grants().await,
        }
    }

    /// Decides about the objects that are due, in S3's order: one that cannot be decided delays the later ones.
    async fn decide_objects(&mut self) -> Result<(), ReactError> {
        let Self { ports, now, ref mut video, .. } = *self;
        for _ in 0..MAX_OBJECTS {
            let Some(object) = undecided(video, now, ports.policy) else { break };
            let before = video.version;
            uploads::decide_known(ports.uploads(), now, video, object).await?;
            if video.version == before {
                break;
            }
        }
        Ok(())
    }

    async fn advance_attempts(&mut self) -> Result<(), ReactError> {
        for _ in 0..MAX_DECISIONS {
            if self.waits_for_slot().await? {
                return Ok(());
            }
            let (ports, now) = (self.ports, self.now);
            match step_of_attempt(&self.video, now, ports.policy) {
                Step::Append(decision) => {
                    let policy = self.policy_for(&decision).await?;
                    let Video { project_id, video_id, .. } = &self.video;
                    let decided = decide_and_append(ports.log, project_id, video_id, now, |video| {
                        Ok::<_, Infallible>(match step_of_attempt(video, now, &policy) {
                            Step::Append(decision) => Some(decision),
                            _ => None,
                        })
                    })
                    .await?;
                    let Ok(decided) = decided;
                    self.video = decided.video;
                }
                Step::Launch(job) if self.launched.as_ref() == Some(&job) => return Ok(()),
                Step::Launch(job) => {
                    if launch(ports, now, &mut self.video, job.clone()).await? == Outcome::Present {
                        self.launched = Some(job);
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
        Err(ReactError::Endless(self.video.video_id.clone()))
    }

    /// Whether the current attempt waits for a slot. Takes one for it if there is one.
    async fn waits_for_slot(&mut self) -> Result<bool, ReactError> {
        let current = SlotHolder::current_of(&self.video);
        if !matches!(self.video.phase, Phase::Dispatched { .. }) || self.ports.slots.is_none() {
            self.slot = SlotState::NotNeeded;
        } else if self.slot != SlotState::Has(current.clone()) {
            self.slot = SlotState::Unknown;
            let limit = self.settings().await?.concurrent_encodes;
            let has_slot = slots::take(self.ports, &self.video, limit).await?;
            self.slot = if has_slot { SlotState::Has(current) } else { SlotState::Waits };
        }
        Ok(self.slot == SlotState::Waits)
    }

    async fn release_slot(&mut self) -> Result<(), ReactError> {
        if self.ports.slots.is_some() && slots::needs_none(&self.video) {
            let limit = self.settings().await?.concurrent_encodes;
            self.has_released_slot |= slots::release(self.ports, &self.video, limit).await?;
        }
        Ok(())
    }

    /// The settings of the project. They are read once in a reaction.
    async fn settings(&mut self) -> Result<&ProjectSettings, FoldError> {
        let settings = match self.settings.take() {
            Some(settings) => settings,
            None => ProjectSettings::read(self.ports, &self.video.project_id).await?,
        };
        Ok(self.settings.insert(settings))
    }

    /// The policy for a decision. An attempt gets the limits of its project, which only a dispatch needs.
    async fn policy_for(&mut self, decision: &Decision) -> Result<Cow<'a, Policy>, ReactError> {
        let policy = self.ports.policy;
        if !decision.events.iter().any(|event| matches!(event, EventBody::ProcessingDispatched(_))) {
            return Ok(Cow::Borrowed(policy));
        }
        let limits = self.settings().await?.media_limits.clone();
        Ok(Cow::Owned(Policy { limits, ..policy.clone() }))
    }

    /// Removes the versions that are due, and records those that were removed. Fails at the end if some could not be.
    async fn remove_versions(&mut self) -> Result<(), ReactError> {
        let Self { ports, now, ref mut video, .. } = *self;
        let Some(s3_key) = video.s3_key.clone() else { return Ok(()) };
        let mut failed = None;
        for removals in due_removals(video, now, ports.policy).chunks(REMOVALS) {
            let mut removed = Vec::new();
            for removal in removals {
                match remove(ports, s3_key.as_str(), removal).await {
                    Ok(()) => removed.push(removal.clone()),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(decision) = versions_removed(video, &removed) {
                // After a conflict the next round removes them again.
                uploads::append_decision(ports.log, now, video, decision).await?;
            }
            catch_up(ports.log, video).await?;
        }
        failed.map_or(Ok(()), |error| Err(CleanupError::from(error).into()))
    }

    async fn end_grants(&mut self) -> Result<(), ReactError> {
        let Self { ports, now, ref mut video, .. } = *self;
        let Some(s3_key) = bucket_check(video, now, ports.policy) else { return Ok(()) };
        uploads::check_bucket(ports.uploads(), now, video, &s3_key).await?;
        if let Some(decision) = grants_expired(video, now, ports.policy) {
            // After a conflict the next round decides from the new state.
            uploads::append_decision(ports.log, now, video, decision).await?;
        }
        catch_up(ports.log, video).await?;
        Ok(())
    }
}

async fn remove(ports: Ports<'_>, s3_key: &str, removal: &Removal) -> Result<(), AdapterError> {
    let Removal { version_id, etag, .. } = removal;
    let bucket = &ports.policy.raw_bucket;
    if version_id == NULL_VERSION {
        // Unlike others, this version may have been replaced.
        ports.objects.delete(bucket, s3_key, etag).await
    } else {
        ports.objects.delete_version(bucket, s3_key, version_id).await
    }
}
