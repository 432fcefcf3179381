use serde::{Deserialize, Serialize};

use super::{AuditResult, Commanded, FeedPage, Page, WebhookOutcome};
use crate::cloud_event::CloudEvent;
use crate::event::RecordedEvent;
use crate::tenant::Tenant;
use crate::usage::UsageReport;
use crate::video::VideoStatus;

/// The response to a call. On the wire `{"ok": …}` or `{"error": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "short-lived, and never kept in a list")]
pub enum HomeReply {
    /// The call was done.
    Ok(HomeResult),
    /// The call was not done.
    Error(ReplyError),
}

/// The result of a call. On the wire an object with one field, which names the kind: `{"tenant": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HomeResult {
    /// The API key's tenant; `None` for a key that was never created.
    Tenant(Option<Tenant>),
    /// The video's status; `None` when the project has, or had, no such video.
    Video(Option<VideoStatus>),
    /// A page of the project's videos.
    Videos(Page<VideoStatus>),
    /// A page of the video's events; `None` when the project has no such video.
    VideoEvents(Option<Page<CloudEvent>>),
    /// A page of the project's events.
    Feed(FeedPage),
    /// What the project used and may use.
    Usage(UsageReport),
    /// The outcome of the command.
    Command(Commanded),
    /// The result of a call about webhooks.
    Webhooks(WebhookOutcome),
    /// The result of a call about the transparency log.
    Audit(AuditResult),
    /// The first event of the commit that existed before under the same id; `None` when the fact is new.
    Recorded(Option<RecordedEvent>),
    /// The first event of the commit; `None` when the stream has no such commit.
    Recalled(Option<RecordedEvent>),
}

/// Why a call was not done. On the wire an object whose field `kind` names the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum ReplyError {
    /// `after` is not a cursor of this list.
    #[error("not a cursor of this list")]
    InvalidCursor,
    /// The project does not have what the call is about.
    #[error("the project has no such video, webhook or tile")]
    NotFound,
    /// The video's state does not allow the command.
    #[error("{text}")]
    Conflict {
        /// A sentence for the tenant: why not, and what to do.
        text: String,
    },
    /// The command was recorded before under the same id, with other parameters.
    #[error("the id of the command is that of another command")]
    KeyReused,
    /// A value of the call is not valid.
    #[error("{field} {text}")]
    Invalid {
        /// The field of the request.
        field: String,
        /// What is wrong and what to do.
        text: String,
    },
    /// The log or a view is unavailable. A write may have happened.
    #[error("the log or a view is not available")]
    Unavailable,
    /// Not a call, too large, or not signed correctly.
    #[error("{text}")]
    Refused {
        /// What is wrong and how to correct it, for the operator. Never a secret.
        text: String,
    },
}

impl HomeResult {
    /// The field's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Video(_) => "video",
            Self::Videos(_) => "videos",
            Self::VideoEvents(_) => "videoEvents",
            Self::Feed(_) => "feed",
            Self::Usage(_) => "usage",
            Self::Command(_) => "command",
            Self::Webhooks(_) => "webhooks",
            Self::Audit(_) => "audit",
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
