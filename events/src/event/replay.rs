//! Events of jobs that send messages to an endpoint again.

use serde::{Deserialize, Serialize};

use crate::id::{ReplayId, WebhookId};
use crate::webhook::replay::{ReplayEnd, ReplayRequest};

event_body! {
    /// Messages about a part of the project's feed are to be sent to an endpoint again.
    ReplayStarted {
        /// The job.
        replay_id: ReplayId,
        /// The endpoint.
        webhook_id: WebhookId,
        /// What was requested.
        #[serde(flatten)]
        request: ReplayRequest,
        /// The first place in the project's feed that it is about.
        start: u64,
        /// The place after the last one that it is about.
        end: u64,
    }
}

event_body! {
    /// The messages about the feed before a place are scheduled.
    ReplayProgressed {
        /// The job.
        replay_id: ReplayId,
        /// The endpoint.
        webhook_id: WebhookId,
        /// The next place in the project's feed.
        next: u64,
        /// How many messages the job has scheduled since its start.
        scheduled: u64,
        /// How many messages it has left out since its start.
        skipped: u64,
    }
}

event_body! {
    /// A job has ended: it schedules no further messages.
    ReplayEnded {
        /// The job.
        replay_id: ReplayId,
        /// The endpoint.
        webhook_id: WebhookId,
        /// Why.
        reason: ReplayEnd,
    }
}
