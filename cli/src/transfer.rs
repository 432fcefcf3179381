//! Bringing a file to the object store, in one piece or in parts.

pub(crate) mod body;
pub(crate) mod multipart;
pub(crate) mod single;
pub(crate) mod source;
pub(crate) mod standing;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use streamio_events::id::{GrantId, VideoId};
use streamio_events::object_key::SourceKey;

use self::source::Source;
use self::standing::Standing;
use crate::client::Client;
use crate::client::error::ClientError;
use crate::client::retry::Patience;
use crate::client::wire::UploadRequest;
use crate::exit::Failure;
use crate::output::Output;

/// From this size on a file goes in parts: a broken connection then costs one part and not the whole.
pub(crate) const MULTIPART_FROM: u64 = 64 * 1024 * 1024;

/// One file on its way.
pub(crate) struct Transfer {
    pub(crate) client: Client,
    pub(crate) output: Output,
    pub(crate) source: Source,
    /// Where it goes and what is announced of it.
    pub(crate) request: UploadRequest,
    /// Whether checksums are computed before sending, so that the store refuses bytes that changed on the way.
    pub(crate) checksum: bool,
    /// Parts under way at the same time.
    pub(crate) parallel: NonZeroUsize,
    /// Where unfinished uploads are remembered.
    pub(crate) state_directory: PathBuf,
    /// Whether the video's status must be readable.
    pub(crate) needs_baseline: bool,
    /// How far it is, for whoever interrupts it.
    pub(crate) standing: Standing,
}

/// A file that is in the object store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) video_id: VideoId,
    pub(crate) s3_key: SourceKey,
    pub(crate) grant_id: GrantId,
    /// The object's entity tag without quotes, where the store named it.
    pub(crate) etag: Option<String>,
    /// The video before the upload; `None` when the key may not read.
    pub(crate) baseline: Option<Baseline>,
    /// Bytes that an earlier, interrupted run had stored.
    pub(crate) resumed_bytes: u64,
}

/// What was known of the video before the upload: what is newer than this is the upload's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) generation: u32,
    pub(crate) version: u64,
}

impl Transfer {
    /// Brings the file to the store.
    pub(crate) async fn run(&self) -> Result<Stored, Failure> {
        if self.request.multipart == Some(true) {
            multipart::run(self).await
        } else {
            single::run(self).await
        }
    }

    /// The video before the upload.
    async fn baseline(&self, video_id: &VideoId) -> Result<Option<Baseline>, ClientError> {
        match self.client.video(video_id, None, Patience::Brief).await {
            Ok(answer) => {
                Ok(Some(Baseline { generation: answer.status.generation, version: answer.status.version }))
            }
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(Some(Baseline::default())),
            // A key for uploads only: all is well unless somebody wants to wait for the outcome.
            Err(ClientError::Problem(problem)) if problem.status == 403 && !self.needs_baseline => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the upload arrived although its last request failed: a lost answer looks like a failure.
    async fn has_arrived(&self, video_id: &VideoId, baseline: Option<Baseline>) -> bool {
        let Some(baseline) = baseline else { return false };
        let polls =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(6);
        for wait in polls.build() {
            if let Ok(answer) = self.client.video(video_id, None, Patience::Brief).await
                && answer.status.generation > baseline.generation
            {
                return true;
            }
            tokio::time::sleep(wait).await;
        }
        false
    }
}
