//! The port to what is computed from the log: a tenant's videos and events.

use async_trait::async_trait;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use crate::port::{Cause, ThreadSafe};

/// Reads views. They follow the log after a short while: what was just recorded may not be seen yet. Every method looks
/// only at what belongs to `project`.
///
/// Cursors are the adapter's own words: up to 512 letters, digits and `-._~`. The API hands them out and back as they are.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Views: ThreadSafe {
    /// The status of a video; `None` when the project has no such video. Waiting videos (a granted URL, nothing
    /// uploaded) and deleted ones are there too.
    async fn video(&self, project: &ProjectId, id: &VideoId) -> Result<Option<VideoStatus>, ViewError>;

    /// The status as it followed from all events recorded up to and including `at`; `None` when there were none.
    async fn video_as_of(
        &self,
        project: &ProjectId,
        id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, ViewError>;

    /// At most `limit` videos that pass `filter`, those created last first, after the cursor `after`.
    async fn list(
        &self,
        project: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, ViewError>;

    /// At most `limit` events of a video, the first event first, after the cursor `after`; `None` when the project has
    /// no such video.
    async fn video_events(
        &self,
        project: &ProjectId,
        id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, ViewError>;

    /// At most `limit` events of the project, in an order that never changes once seen, after the cursor `after`. Here
    /// [`Page::next`] is the place after the last event of the page, also when no more events are there yet: whoever
    /// polls goes on from it. It is `None` only on an empty page.
    async fn feed(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CloudEvent>, ViewError>;
}

/// Which videos are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// Only those in this state.
    pub state: Option<VideoState>,
}

/// Some of a longer list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub data: Vec<T>,
    /// The cursor from which to read on; `None` at the end.
    pub next: Option<String>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// `after` is no cursor that this list gave.
    #[error("not a cursor of this list")]
    InvalidCursor,
    /// The view did not answer. The caller may try again.
    #[error("the view is not available")]
    Unavailable(#[source] Cause),
}
