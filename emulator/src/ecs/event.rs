//! The event "ECS Task State Change":
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::task::{State, rfc3339};
use crate::arn::{ACCOUNT, REGION};
use crate::request_id::request_id;

/// Returns the event for the current state of a task.
pub(super) fn state_change(state: &State) -> Value {
    let now = OffsetDateTime::now_utc();
    let mut detail = state.json(rfc3339);
    detail["updatedAt"] = rfc3339(now);
    json!({
        "version": "0",
        "id": request_id(),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": ACCOUNT,
        "time": rfc3339(now.replace_millisecond(0).unwrap_or(now)),
        "region": REGION,
        "resources": [state.arn],
        "detail": detail,
    })
}
