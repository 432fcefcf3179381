//! Which attempt may be published under the stable keys of its video.

use serde::{Deserialize, Serialize};

use super::{Phase, Video};
use crate::event::VideoReady;
use crate::job::Job;
use crate::media::{MediaSource, Outputs};
use crate::object_key::ProcessedKey;
use crate::timestamp::Timestamp;

/// A completed attempt that ended before it was published: a newer upload arrived, or its publication took too long.
///
/// Its worker may have replaced some of the stable keys, and what they held before is gone. So, if no later upload is published, the
/// publication is continued: after it all stable keys hold one attempt again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpublished {
    /// When the attempt was completed.
    pub at: Timestamp,
    /// The attempt's work.
    pub job: Job,
    /// The source as probed.
    pub source: MediaSource,
    /// What is to be published.
    pub outputs: Outputs,
}

impl Unpublished {
    fn is_of(&self, generation: u32, attempt: u32) -> bool {
        (self.job.generation, self.job.attempt) == (generation, attempt)
    }
}

impl Video {
    /// The completed attempt whose publication must be continued now: no upload is being processed that could replace it.
    pub fn publication_to_continue(&self) -> Option<&Unpublished> {
        self.unpublished.as_ref().filter(|_| !self.is_occupied())
    }

    /// The source and the outputs of the attempt of `job`, if it may be published now. `None`: its worker is fenced off.
    pub fn publishable(&self, job: &Job) -> Option<(&MediaSource, &Outputs)> {
        match &self.phase {
            Phase::Completed { source, outputs, .. } if self.is_current(job.generation, job.attempt) => {
                Some((source, outputs))
            }
            _ => {
                let unpublished = self.publication_to_continue()?;
                unpublished
                    .is_of(job.generation, job.attempt)
                    .then_some((&unpublished.source, &unpublished.outputs))
            }
        }
    }

    /// Whether the files of this attempt are or may be needed: it is published, may be published, or is being processed.
    pub fn needs_files_of(&self, generation: u32, attempt: u32) -> bool {
        let is_running = matches!(self.phase, Phase::Started { .. } | Phase::Completed { .. } | Phase::Ready);
        self.published == Some((generation, attempt))
            || self.unpublished.as_ref().is_some_and(|it| it.is_of(generation, attempt))
            || (is_running && self.is_current(generation, attempt))
    }

    /// The stable keys that hold nothing but deleted or replaced content: what is published has nothing for them, such as a poster of
    /// sound, and nothing is about to be published.
    ///
    /// These are the keys of a deleted video, and those that earlier attempts had outputs for according to the log.
    pub fn unused_stable_keys(&self) -> Vec<ProcessedKey> {
        let Some(s3_key) = self.s3_key.as_ref() else { return Vec::new() };
        if self.is_about_to_publish() {
            return Vec::new();
        }
        let mut keys = match (&self.deleted, &self.outputs) {
            (Some(_), _) => {
                let stable = s3_key.processed();
                vec![stable.hls_master(), stable.poster(), stable]
            }
            (None, Some(_)) => self.stable_keys.iter().cloned().collect(),
            (None, None) => Vec::new(),
        };
        keys.retain(|key| self.outputs.iter().flat_map(Outputs::keys).all(|used| used != key));
        keys
    }

    /// Whether a completed attempt is about to be published: its worker may write the stable keys at any time.
    pub(super) fn is_about_to_publish(&self) -> bool {
        self.unpublished.is_some() || matches!(self.phase, Phase::Completed { .. })
    }

    /// Notes that the current attempt ends. If it is completed, its publication may have to be continued.
    pub(super) fn set_completed_aside(&mut self) {
        if let Phase::Completed { at, source, outputs } = &self.phase
            && let Some(job) = &self.job
        {
            let (job, source, outputs) = (job.clone(), source.clone(), outputs.clone());
            self.unpublished = Some(Unpublished { at: *at, job, source, outputs });
        }
    }

    pub(super) fn video_ready(&mut self, at: Timestamp, ready: VideoReady) {
        let VideoReady { generation, attempt, source, outputs } = ready;
        let is_current =
            self.is_current(generation, attempt) && matches!(self.phase, Phase::Completed { .. });
        if !is_current && !self.publication_to_continue().is_some_and(|it| it.is_of(generation, attempt)) {
            return;
        }
        self.published = Some((generation, attempt));
        self.source = Some(source);
        self.outputs = Some(outputs);
        self.unpublished = None;
        self.publication_leaves_outputs(at, generation);
        // Another state is that of a later upload.
        if is_current || (generation == self.generation && matches!(self.phase, Phase::Errored { .. })) {
            self.progress = 100;
            self.phase = Phase::Ready;
        }
    }
}
