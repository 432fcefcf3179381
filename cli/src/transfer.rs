//! Uploads a file to the object store, with one request or in parts.

pub(crate) mod baseline;
mod body;
mod multipart;
pub(crate) mod resume;
mod single;
pub(crate) mod source;
pub(crate) mod stage;
mod storage;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use streamio_events::id::{GrantId, VideoId};
use streamio_events::object_key::SourceKey;
use streamio_events::video::VideoStatus;

use self::baseline::Baseline;
use self::source::Source;
use self::stage::StageTracker;
use crate::client::Client;
use crate::client::error::ClientError;
use crate::client::retry::RetryPolicy;
use crate::client::wire::{UploadGrant, UploadRequest};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Files of at least this size are uploaded in parts, so that an interrupted connection costs only one part.
pub(crate) const MULTIPART_FROM: u64 = 64 * 1024 * 1024;

/// The upload of one file.
pub(crate) struct Transfer {
    pub(crate) client: Client,
    pub(crate) output: Output,
    pub(crate) source: Source,
    /// The request for the upload URL.
    pub(crate) request: UploadRequest,
    /// Whether to send checksums, so that the store rejects corrupted bytes.
    pub(crate) checksum: bool,
    /// Number of concurrent part uploads.
    pub(crate) parallel: NonZeroUsize,
    /// Directory with the state of unfinished uploads.
    pub(crate) state_directory: PathBuf,
    /// Whether a key that may not read the video's status is an error.
    pub(crate) needs_baseline: bool,
    /// The current stage, for the message after an interruption.
    pub(crate) stage: StageTracker,
}

/// A file in the object store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) video_id: VideoId,
    pub(crate) s3_key: SourceKey,
    pub(crate) grant_id: GrantId,
    /// The object's entity tag without quotes, if the store returned it.
    pub(crate) etag: Option<String>,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// The video before the upload; `None` if the key may not read it.
    pub(crate) baseline: Option<Baseline>,
    /// Bytes that an earlier, interrupted run has stored.
    pub(crate) resumed_bytes: u64,
}

/// What to do if there is a file with the same key already.
pub(crate) const REPLACE_HINT: &str = "use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name";

/// The failure of an upload whose key has a video in `state`.
fn already_uploaded(key: &SourceKey, state: &str) -> Failure {
    let message = format!("nothing was uploaded: {key} already has a video ({state})");
    Failure::new(Exit::Refused, message, REPLACE_HINT).with("code", "already_uploaded")
}

impl Transfer {
    /// Uploads the file.
    pub(crate) async fn run(&self) -> Result<Stored, Failure> {
        if self.request.multipart == Some(true) {
            multipart::run(self).await
        } else {
            single::run(self).await
        }
    }

    /// Reads the video's state before the upload.
    async fn baseline(&self, video_id: &VideoId) -> Result<Option<Baseline>, ClientError> {
        match self.client.video(video_id, None, RetryPolicy::Brief).await {
            Ok(video) => {
                let VideoStatus { generation, version, state, .. } = video.status;
                Ok(Some(Baseline { generation, version, state: Some(state) }))
            }
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(Some(Baseline::default())),
            // A key without the scope `read` is an error only if the command has to wait for the result.
            Err(ClientError::Problem(problem)) if problem.status == 403 && !self.needs_baseline => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fails if the upload would replace a video's file without `--overwrite`. Nothing has been sent then.
    fn check_replaced(&self, grant: &UploadGrant, baseline: Option<Baseline>) -> Result<(), Failure> {
        match baseline.and_then(|baseline| baseline.replaced()) {
            Some(state) if self.request.overwrite != Some(true) => {
                Err(already_uploaded(&grant.s3_key, state.as_str()).with("videoId", grant.video_id.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the upload is recorded although its last request failed. A lost response looks like a failure.
    async fn has_arrived(&self, video_id: &VideoId, baseline: Option<Baseline>) -> bool {
        let Some(baseline) = baseline else { return false };
        let polls =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(6);
        for wait in polls.build() {
            if let Ok(video) = self.client.video(video_id, None, RetryPolicy::Brief).await
                && video.status.generation > baseline.generation
            {
                return true;
            }
            tokio::time::sleep(wait).await;
        }
        false
    }
}
