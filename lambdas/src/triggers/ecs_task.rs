//! ECS task state changes, delivered by EventBridge
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>). They are delivered at least once and
//! in any order; of two states of a task, the one with the higher `detail.version` is the later. The version is not used here,
//! because only the last state of a task matters.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_core::reactions::tasks::{ContainerEnd, TaskChange};
use streamio_events::timestamp::Timestamp;

use super::{UnexpectedEvent, text};

const EXPECTED: &str = "task state change of ECS";

/// The environment variable of a container with its job.
pub(crate) const JOB_VARIABLE: &str = "STREAMIO_JOB";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    task_arn: String,
    cluster_arn: String,
    last_status: String,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    overrides: Overrides,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    name: String,
    exit_code: Option<i64>,
    reason: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Overrides {
    container_overrides: Vec<ContainerOverride>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerOverride {
    environment: Vec<Variable>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: String,
}

/// Reads the event.
pub fn read(event: Value) -> Result<Record<TaskChange>, UnexpectedEvent> {
    let kind = text(EXPECTED, &event, "/detail-type")?;
    if kind != "ECS Task State Change" {
        return Err(UnexpectedEvent { expected: EXPECTED, found: format!("its type is {kind}") });
    }
    let id = text(EXPECTED, &event, "/id")?.to_owned();
    let payload = event.to_string();
    let (arrived_at, content) = match serde_json::from_value::<EventBridgeEvent<Detail>>(event) {
        Ok(event) => {
            let arrived_at = event.time.map(|time| Timestamp::from_unix_millis(time.timestamp_millis()));
            (arrived_at.unwrap_or_default(), Ok(change(event.detail)))
        }
        Err(error) => (Timestamp::default(), Err(AdapterError::from(error))),
    };
    Ok(Record { sequence: id.clone(), id, arrived_at, payload, content })
}

fn change(detail: Detail) -> TaskChange {
    let variables = detail.overrides.container_overrides.into_iter().flat_map(|one| one.environment);
    let job = variables.into_iter().find(|variable| variable.name == JOB_VARIABLE);
    let containers = detail.containers.into_iter();
    TaskChange {
        task: detail.task_arn,
        cluster: detail.cluster_arn,
        stopped: detail.last_status == "STOPPED",
        stop_code: detail.stop_code,
        stopped_reason: detail.stopped_reason,
        job: job.map(|variable| variable.value),
        containers: containers
            .map(|Container { name, exit_code, reason }| ContainerEnd { name, exit_code, reason })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use streamio_events::job::Job;

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/ecs_task_stopped.json")).unwrap()
    }

    #[test]
    fn a_stopped_task_is_read_with_its_job() {
        let record = read(example()).unwrap();
        assert_eq!(record.arrived_at.to_string(), "2026-01-02T03:14:17.000Z");
        let change = record.content.unwrap();
        assert!(change.stopped);
        assert_eq!(change.stop_code.as_deref(), Some("EssentialContainerExited"));
        assert!(change.task.ends_with(":task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad"));
        let [worker] = &change.containers[..] else { panic!("{change:?}") };
        assert_eq!((worker.name.as_str(), worker.exit_code), ("worker", Some(137)));
        let job: Job = serde_json::from_str(&change.job.unwrap()).unwrap();
        assert_eq!((job.project_id.as_str(), job.generation, job.attempt), ("acme", 1, 1));
    }

    #[test]
    fn a_task_that_is_stopping_has_not_stopped() {
        for status in ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "DEPROVISIONING"] {
            let mut event = example();
            // The desired status is STOPPED in all of them.
            event["detail"]["lastStatus"] = json!(status);
            assert!(!read(event).unwrap().content.unwrap().stopped, "{status}");
        }
    }

    #[test]
    fn a_task_without_overrides_or_containers_is_read_too() {
        let mut event = example();
        for field in ["overrides", "containers", "stopCode", "stoppedReason"] {
            event["detail"].as_object_mut().unwrap().remove(field);
        }
        let change = read(event).unwrap().content.unwrap();
        assert_eq!((change.job, change.containers.len()), (None, 0));
    }

    #[test]
    fn a_malformed_change_is_a_poison_record_and_another_event_is_an_error() {
        let mut event = example();
        event["detail"]["taskArn"] = json!(7);
        let record = read(event).unwrap();
        assert!(record.content.is_err() && record.payload.contains("containers"));
        let mut event = example();
        event["detail-type"] = json!("ECS Container Instance State Change");
        assert_eq!(
            read(event).unwrap_err().to_string(),
            "the event is not of the expected kind (task state change of ECS): its type is ECS Container Instance State Change"
        );
    }
}
