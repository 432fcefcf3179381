use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair, NetworkConfiguration,
    TaskOverride,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::event_channel::EventChannel;

/// A cluster with one task definition, and a client of it.
struct TestCluster {
    ecs: Ecs,
    client: aws_sdk_ecs::Client,
    events: UnboundedReceiver<Value>,
    folder: tempfile::TempDir,
}

impl TestCluster {
    /// Starts a cluster whose tasks run the shell script `script`, with the path of the test's folder in `$FOLDER`.
    async fn start(script: &str) -> Self {
        Self::start_command(&["sh", "-c", script]).await
    }

    async fn start_command(command: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (channel, events) = EventChannel::new();
        let definition = TaskDefinition {
            family: "streamio-worker".to_owned(),
            container: "worker".to_owned(),
            command: command.iter().map(OsString::from).collect(),
            environment: vec![
                ("FOLDER".to_owned(), folder.path().display().to_string()),
                ("SIZE".to_owned(), "small".to_owned()),
            ],
            stop_timeout: Duration::from_secs(2),
        };
        let config = EcsConfig {
            cluster: "streamio".to_owned(),
            definition,
            start_delay: Duration::ZERO,
            events: channel,
            logs: folder.path().join("logs"),
        };
        let ecs = Ecs::start(config).await.unwrap();
        let config = aws_sdk_ecs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(ecs.endpoint())
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new("a", "b", None, None, "test"));
        let client = aws_sdk_ecs::Client::from_conf(config.build());
        Self { ecs, client, events, folder }
    }

    fn run_request(&self, token: &str, job: &str) -> RunTaskFluentBuilder {
        let variable = KeyValuePair::builder().name("STREAMIO_JOB").value(job).build();
        let container = ContainerOverride::builder().name("worker").environment(variable).build();
        let network = AwsVpcConfiguration::builder().subnets("subnet-1").build().unwrap();
        let spot = CapacityProviderStrategyItem::builder().capacity_provider("FARGATE_SPOT").build().unwrap();
        self.client
            .run_task()
            .cluster("streamio")
            .task_definition("streamio-worker")
            .client_token(token)
            .capacity_provider_strategy(spot)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .overrides(TaskOverride::builder().container_overrides(container).build())
    }

    async fn run_task(&self, token: &str, job: &str) -> String {
        let response = self.run_request(token, job).send().await.unwrap();
        assert!(response.failures().is_empty(), "{response:?}");
        response.tasks()[0].task_arn().unwrap().to_owned()
    }

    async fn wait_until_stopped(&self) -> Vec<Task> {
        self.ecs.wait_for_tasks(|tasks| tasks.iter().all(|task| task.status == Status::Stopped)).await
    }

    async fn wait_until_running(&self) {
        self.ecs.wait_for_tasks(|tasks| tasks.iter().all(|task| task.status == Status::Running)).await;
        // Each task writes a line to `ready` when its signal handlers are set.
        let ready = || std::fs::read_to_string(self.file("ready")).unwrap_or_default().lines().count();
        while ready() < self.ecs.tasks().len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the last status and the version of each published event.
    fn state_changes(&mut self) -> Vec<(String, u64)> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| {
                let detail = &event["detail"];
                (detail["lastStatus"].as_str().unwrap().to_owned(), detail["version"].as_u64().unwrap())
            })
            .collect()
    }
}

/// A script that appends the job to the file `lines`, and then runs until SIGTERM.
const RUNS_UNTIL_SIGTERM: &str = r#"echo "$STREAMIO_JOB" >> "$FOLDER/lines"; trap 'exit 4' TERM; echo >> "$FOLDER/ready"; while :; do sleep 0.02; done"#;

#[tokio::test]
async fn a_task_runs_with_its_environment_and_publishes_its_state_changes() {
    let script = r#"printf '%s|%s|%s|%s' "$STREAMIO_JOB" "$SIZE" "$CARGO_PKG_NAME" "$ECS_CONTAINER_METADATA_URI_V4" > "$FOLDER/seen"; exit 3"#;
    let mut cluster = TestCluster::start(script).await;
    let arn = cluster.run_task("token", "the job").await;
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!(tasks[0].exit_code, Some(3));
    assert_eq!(tasks[0].stop_code, Some(StopCode::EssentialContainerExited));
    let states = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEPROVISIONING", "STOPPED"];
    let expected: Vec<(String, u64)> = states.map(str::to_owned).into_iter().zip(1..).collect();
    assert_eq!(cluster.state_changes(), expected);
    let seen = std::fs::read_to_string(cluster.file("seen")).unwrap();
    let [job, size, leaked, uri] = seen.split('|').collect::<Vec<_>>()[..] else { panic!("{seen}") };
    assert_eq!((job, size, leaked), ("the job", "small", ""));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let about: Value = http.get(format!("{uri}/task")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&about["TaskARN"], &about["KnownStatus"]), (&json!(arn), &json!("STOPPED")));
}

#[tokio::test]
async fn concurrent_calls_with_one_token_run_one_task() {
    let cluster = TestCluster::start(RUNS_UNTIL_SIGTERM).await;
    let arns = futures::future::join_all((0..8).map(|_| cluster.run_task("token", "job"))).await;
    assert!(arns.iter().all(|arn| *arn == arns[0]), "{arns:?}");
    assert_eq!(cluster.ecs.tasks().len(), 1);
    let error = cluster.run_request("token", "another job").send().await.unwrap_err().into_service_error();
    let aws_sdk_ecs::operation::run_task::RunTaskError::ConflictException(conflict) = error else {
        panic!("{error:?}")
    };
    assert_eq!(conflict.resource_ids(), &arns[..1]);
    assert_ne!(cluster.run_task("other-token", "job").await, arns[0]);
    cluster.wait_until_running().await;
    cluster.ecs.stop().await;
    let lines = std::fs::read_to_string(cluster.file("lines")).unwrap();
    assert_eq!(lines, "job\njob\n");
}

#[tokio::test]
async fn a_task_that_cannot_be_placed_is_reported_in_failures_and_does_not_use_the_token() {
    let cluster = TestCluster::start("exit 0").await;
    let reason =
        "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    cluster.ecs.fail_placements(1, reason);
    let response = cluster.run_request("token", "job").send().await.unwrap();
    assert!(response.tasks().is_empty());
    assert_eq!(response.failures()[0].reason(), Some(reason));
    cluster.run_task("token", "job").await;
    cluster.wait_until_stopped().await;
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let cluster = TestCluster::start("exit 0").await;
    let invalid = [
        (cluster.run_request("t", "j").cluster("other"), "ClusterNotFoundException"),
        (cluster.run_request("t", "j").task_definition("other"), "ClientException"),
        (
            cluster.run_request("t", "j").launch_type(aws_sdk_ecs::types::LaunchType::Fargate),
            "InvalidParameterException",
        ),
        (cluster.run_request("t", "j").set_network_configuration(None), "InvalidParameterException"),
        (cluster.run_request(&"t".repeat(65), "j"), "InvalidParameterException"),
        (cluster.run_request("t", &"j".repeat(9000)), "InvalidParameterException"),
        (cluster.run_request("t", "j").count(11), "InvalidParameterException"),
    ];
    for (request, code) in invalid {
        let error = request.send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some(code), "{error:?}");
    }
    assert!(cluster.ecs.tasks().is_empty());
}

#[tokio::test]
async fn tasks_are_described_listed_and_stopped() {
    let cluster = TestCluster::start(RUNS_UNTIL_SIGTERM).await;
    let arn = cluster.run_task("token", "job").await;
    cluster.wait_until_running().await;
    let listed = cluster.client.list_tasks().cluster("streamio").send().await.unwrap();
    assert_eq!(listed.task_arns(), std::slice::from_ref(&arn));
    let described =
        cluster.client.describe_tasks().cluster("streamio").tasks(&arn).tasks("none").send().await.unwrap();
    let task = &described.tasks()[0];
    assert_eq!((task.last_status(), task.desired_status()), (Some("RUNNING"), Some("RUNNING")));
    assert_eq!(task.capacity_provider_name(), Some("FARGATE_SPOT"));
    assert!(task.started_at() >= task.created_at());
    assert_eq!(described.failures()[0].reason(), Some("MISSING"));
    cluster.client.stop_task().cluster("streamio").task(&arn).reason("enough").send().await.unwrap();
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (Some(4), Some(StopCode::UserInitiated)));
    let described = cluster.client.describe_tasks().cluster("streamio").tasks(&arn).send().await.unwrap();
    let task = &described.tasks()[0];
    assert_eq!((task.stopped_reason(), task.containers()[0].exit_code()), (Some("enough"), Some(4)));
    assert!(cluster.client.list_tasks().cluster("streamio").send().await.unwrap().task_arns().is_empty());
}

#[tokio::test]
async fn a_spot_interruption_is_published_before_the_task_ends() {
    let mut cluster = TestCluster::start(RUNS_UNTIL_SIGTERM).await;
    let arn = cluster.run_task("token", "job").await;
    cluster.wait_until_running().await;
    cluster.state_changes();
    cluster.ecs.interrupt_spot(&arn).unwrap();
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (Some(4), Some(StopCode::SpotInterruption)));
    let events = std::iter::from_fn(|| cluster.events.try_recv().ok()).collect::<Vec<_>>();
    let of = |index: usize, name: &str| events[index]["detail"][name].clone();
    assert_eq!((of(0, "lastStatus"), of(0, "desiredStatus")), (json!("RUNNING"), json!("STOPPED")));
    assert_eq!((of(0, "stopCode"), of(2, "lastStatus")), (json!("SpotInterruption"), json!("STOPPED")));
    assert_eq!(of(2, "containers")[0]["exitCode"], 4);
}

#[tokio::test]
async fn a_task_that_ignores_sigterm_is_killed_with_its_child_processes() {
    let script = r#"trap '' TERM; sleep 100 & echo $! > "$FOLDER/child"; echo >> "$FOLDER/ready"; while :; do sleep 100; done"#;
    let cluster = TestCluster::start(script).await;
    let arn = cluster.run_task("token", "job").await;
    cluster.wait_until_running().await;
    cluster.client.stop_task().cluster("streamio").task(&arn).send().await.unwrap();
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!(tasks[0].exit_code, Some(137));
    wait_until_child_ended(&cluster).await;
}

/// Waits until the process whose id is in the file `child` has ended.
async fn wait_until_child_ended(cluster: &TestCluster) {
    let child = std::fs::read_to_string(cluster.file("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_task_has_the_exit_code_of_sigkill() {
    let script = r#"sleep 100 & echo $! > "$FOLDER/child"; echo >> "$FOLDER/ready"; wait"#;
    let cluster = TestCluster::start(script).await;
    let arn = cluster.run_task("token", "job").await;
    cluster.wait_until_running().await;
    cluster.ecs.kill(&arn).unwrap();
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!(
        (tasks[0].exit_code, tasks[0].stop_code),
        (Some(137), Some(StopCode::EssentialContainerExited))
    );
    wait_until_child_ended(&cluster).await;
    assert!(matches!(cluster.ecs.kill(&arn), Err(EcsError::NoProcess(_))));
}

#[tokio::test]
async fn a_suspended_task_does_nothing_until_it_is_resumed() {
    let script = r#"echo >> "$FOLDER/ready"; while [ ! -e "$FOLDER/go" ]; do sleep 0.01; done; touch "$FOLDER/gone"; exit 0"#;
    let cluster = TestCluster::start(script).await;
    let arn = cluster.run_task("token", "job").await;
    cluster.wait_until_running().await;
    cluster.ecs.suspend(&arn).unwrap();
    std::fs::write(cluster.file("go"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!cluster.file("gone").exists());
    assert_eq!(cluster.ecs.tasks()[0].status, Status::Running, "the status does not change");
    cluster.ecs.resume(&arn).unwrap();
    assert_eq!(cluster.wait_until_stopped().await[0].exit_code, Some(0));
}

#[tokio::test]
async fn a_task_whose_program_cannot_start_has_failed_to_start() {
    let cluster = TestCluster::start_command(&["/no/such/program"]).await;
    cluster.run_task("token", "job").await;
    let tasks = cluster.wait_until_stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (None, Some(StopCode::TaskFailedToStart)));
}

#[tokio::test]
async fn a_state_change_has_the_form_of_the_real_service() {
    let mut cluster = TestCluster::start("exit 0").await;
    cluster.run_request("token", "job").started_by("streamio").send().await.unwrap();
    cluster.wait_until_stopped().await;
    let mut event = Value::Null;
    while let Ok(next) = cluster.events.try_recv() {
        event = next;
    }
    let dates = ["createdAt", "startedAt", "stoppedAt", "stoppingAt", "connectivityAt", "updatedAt"];
    let date = |value: &Value| {
        let text = value.as_str().unwrap();
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
        json!("2026-01-01T00:00:00Z")
    };
    for name in dates {
        event["detail"][name] = date(&event["detail"][name]);
    }
    event["time"] = date(&event["time"]);
    event["id"] = json!("3317b2af-7005-947d-b652-f55e762e571a");
    let id = cluster.ecs.tasks()[0].arn.rsplit('/').next().unwrap().to_owned();
    let text = serde_json::to_string_pretty(&event).unwrap().replace(&id, "TASK");
    let container = event["detail"]["containers"][0]["containerArn"].as_str().unwrap();
    let text = text.replace(container.rsplit('/').next().unwrap(), "CONTAINER");
    insta::assert_snapshot!(text);
}
