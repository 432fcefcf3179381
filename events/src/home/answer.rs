use serde::{Deserialize, Serialize};

use crate::cloud_event::CloudEvent;
use crate::event::RecordedEvent;
use crate::tenant::Tenant;
use crate::video::VideoStatus;

/// What comes back. On the wire `{"ok": …}` or `{"error": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "there is one for a short while, and no list of them")]
pub enum HomeReply {
    /// The call was done.
    Ok(HomeAnswer),
    /// It was not.
    Error(HomeError),
}

/// What a call leads to. On the wire an object with one field, which names it: `{"tenant": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HomeAnswer {
    /// Whose the API key is; `None` for one that was never made.
    Tenant(Option<Tenant>),
    /// The status; `None` when the project has, or had, no such video.
    Video(Option<VideoStatus>),
    /// Some of the project's videos.
    Videos(HomePage<VideoStatus>),
    /// Some of the video's events; `None` when the project has no such video.
    VideoEvents(Option<HomePage<CloudEvent>>),
    /// Some of the project's events.
    Feed(HomePage<CloudEvent>),
    /// The status that follows from the command.
    Command(VideoStatus),
    /// The first event of the commit that was there before under the same id; `None` when the fact is new.
    Recorded(Option<RecordedEvent>),
    /// The first event of the commit; `None` when the stream has no such commit.
    Recalled(Option<RecordedEvent>),
}

/// Some of a longer list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HomePage<T> {
    /// In order.
    pub data: Vec<T>,
    /// The cursor from which to read on; `None` at the end.
    pub next: Option<String>,
}

/// Why a call was not done. On the wire an object whose field `kind` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum HomeError {
    /// `after` is no cursor that this list gave.
    #[error("not a cursor of this list")]
    InvalidCursor,
    /// The project has no such video.
    #[error("the project has no such video")]
    NotFound,
    /// The video's state does not allow it.
    #[error("{text}")]
    Conflict {
        /// A sentence for the tenant: what is in the way and what to do.
        text: String,
    },
    /// The log or a view did not answer. What was to be written may have been.
    #[error("the log or a view did not answer")]
    Unavailable,
    /// Not a call, too large, or not signed as it must be.
    #[error("{text}")]
    Refused {
        /// What is wrong and what would be right, for the operator. Never a secret.
        text: String,
    },
}

impl HomeAnswer {
    /// The field's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Video(_) => "video",
            Self::Videos(_) => "videos",
            Self::VideoEvents(_) => "videoEvents",
            Self::Feed(_) => "feed",
            Self::Command(_) => "command",
            Self::Recorded(_) => "recorded",
            Self::Recalled(_) => "recalled",
        }
    }
}

impl HomeReply {
    /// The reply as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a reply is plain data with text keys")
    }
}
