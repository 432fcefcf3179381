//! The task metadata endpoint, at `ECS_CONTAINER_METADATA_URI_V4`:
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html>.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::shared::Shared;
use super::task::{State, rfc3339};

/// Returns the URI of a task's container. The task is at `/task` below it.
pub(super) fn uri(endpoint: &str, id: &str) -> String {
    format!("{endpoint}/v4/{id}")
}

/// Returns the response to a GET request of `path`.
pub(super) fn respond(shared: &Shared, path: &str) -> Response<Bytes> {
    let (id, of_task) = match path.strip_prefix("/v4/").map(|rest| rest.split_once('/')) {
        Some(Some((id, "task"))) => (id, true),
        Some(None) => (path.trim_start_matches("/v4/"), false),
        _ => ("", false),
    };
    let (status, body) = match shared.tasks().find(id) {
        Some(state) if of_task => (StatusCode::OK, task(shared, state)),
        Some(state) => (StatusCode::OK, container(shared, state)),
        None => (StatusCode::NOT_FOUND, json!({ "error": "the task does not exist" })),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn task(shared: &Shared, state: &State) -> Value {
    json!({
        "Cluster": shared.config.cluster,
        "TaskARN": state.arn,
        "Family": shared.config.definition.family,
        "Revision": "1",
        "DesiredStatus": state.desired.to_string(),
        "KnownStatus": state.status.to_string(),
        "Limits": { "CPU": 1, "Memory": 3072 },
        "AvailabilityZone": "us-east-1a",
        "Containers": [container(shared, state)],
        "LaunchType": "FARGATE",
        "ClockDrift": { "ClockErrorBound": 0.5, "ReferenceTimestamp": rfc3339(state.created), "ClockSynchronizationStatus": "SYNCHRONIZED" },
    })
}

fn container(shared: &Shared, state: &State) -> Value {
    let definition = &shared.config.definition;
    json!({
        "DockerId": state.id(),
        "Name": definition.container,
        "DockerName": definition.container,
        "Image": format!("{}:latest", definition.container),
        "Labels": {
            "com.amazonaws.ecs.cluster": shared.cluster_arn(),
            "com.amazonaws.ecs.container-name": definition.container,
            "com.amazonaws.ecs.task-arn": state.arn,
            "com.amazonaws.ecs.task-definition-family": definition.family,
            "com.amazonaws.ecs.task-definition-version": "1",
        },
        "DesiredStatus": state.desired.to_string(),
        "KnownStatus": state.status.to_string(),
        "CreatedAt": rfc3339(state.created),
        "Type": "NORMAL",
    })
}
