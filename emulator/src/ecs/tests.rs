use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair, NetworkConfiguration,
    TaskOverride,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

struct World {
    ecs: Ecs,
    client: aws_sdk_ecs::Client,
    events: UnboundedReceiver<Value>,
    folder: tempfile::TempDir,
}

impl World {
    /// A cluster whose tasks run `script`, which finds the folder in `$FOLDER`.
    async fn start(script: &str) -> Self {
        Self::start_command(&["sh", "-c", script]).await
    }

    async fn start_command(command: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (road, events) = EventRoad::new();
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
            events: road,
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

    fn run(&self, token: &str, job: &str) -> RunTaskFluentBuilder {
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

    async fn ran(&self, token: &str, job: &str) -> String {
        let answer = self.run(token, job).send().await.unwrap();
        assert!(answer.failures().is_empty(), "{answer:?}");
        answer.tasks()[0].task_arn().unwrap().to_owned()
    }

    async fn stopped(&self) -> Vec<Task> {
        self.ecs.tasks_when(|tasks| tasks.iter().all(|task| task.status == Status::Stopped)).await
    }

    async fn running(&self) {
        self.ecs.tasks_when(|tasks| tasks.iter().all(|task| task.status == Status::Running)).await;
        // From then on its traps are set. Each task writes a line.
        let ready = || std::fs::read_to_string(self.file("ready")).unwrap_or_default().lines().count();
        while ready() < self.ecs.tasks().len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The states that were told of: last status and version.
    fn told(&mut self) -> Vec<(String, u64)> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| {
                let detail = &event["detail"];
                (detail["lastStatus"].as_str().unwrap().to_owned(), detail["version"].as_u64().unwrap())
            })
            .collect()
    }
}

/// Writes a line into `lines`, then runs until it is told to stop.
const PATIENT: &str = r#"echo "$STREAMIO_JOB" >> "$FOLDER/lines"; trap 'exit 4' TERM; echo >> "$FOLDER/ready"; while :; do sleep 0.02; done"#;

#[tokio::test]
async fn a_task_runs_with_its_environment_and_its_end_is_told() {
    let script = r#"printf '%s|%s|%s|%s' "$STREAMIO_JOB" "$SIZE" "$CARGO_PKG_NAME" "$ECS_CONTAINER_METADATA_URI_V4" > "$FOLDER/seen"; exit 3"#;
    let mut world = World::start(script).await;
    let arn = world.ran("token", "the job").await;
    let tasks = world.stopped().await;
    assert_eq!(tasks[0].exit_code, Some(3));
    assert_eq!(tasks[0].stop_code, Some(StopCode::EssentialContainerExited));
    let states = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEPROVISIONING", "STOPPED"];
    let expected: Vec<(String, u64)> = states.map(str::to_owned).into_iter().zip(1..).collect();
    assert_eq!(world.told(), expected);
    let seen = std::fs::read_to_string(world.file("seen")).unwrap();
    let [job, size, leaked, uri] = seen.split('|').collect::<Vec<_>>()[..] else { panic!("{seen}") };
    assert_eq!((job, size, leaked), ("the job", "small", ""));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let about: Value = http.get(format!("{uri}/task")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&about["TaskARN"], &about["KnownStatus"]), (&json!(arn), &json!("STOPPED")));
}

#[tokio::test]
async fn a_token_is_one_task_however_often_and_at_the_same_time() {
    let world = World::start(PATIENT).await;
    let answers = futures::future::join_all((0..8).map(|_| world.ran("token", "job"))).await;
    assert!(answers.iter().all(|arn| *arn == answers[0]), "{answers:?}");
    assert_eq!(world.ecs.tasks().len(), 1);
    let error = world.run("token", "another job").send().await.unwrap_err().into_service_error();
    let aws_sdk_ecs::operation::run_task::RunTaskError::ConflictException(conflict) = error else {
        panic!("{error:?}")
    };
    assert_eq!(conflict.resource_ids(), &answers[..1]);
    assert_ne!(world.ran("other-token", "job").await, answers[0]);
    world.running().await;
    world.ecs.stop().await;
    let lines = std::fs::read_to_string(world.file("lines")).unwrap();
    assert_eq!(lines, "job\njob\n");
}

#[tokio::test]
async fn what_cannot_be_placed_is_a_failure_beside_the_tasks_and_leaves_the_token() {
    let world = World::start("exit 0").await;
    let reason =
        "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    world.ecs.refuse(1, reason);
    let answer = world.run("token", "job").send().await.unwrap();
    assert!(answer.tasks().is_empty());
    assert_eq!(answer.failures()[0].reason(), Some(reason));
    world.ran("token", "job").await;
    world.stopped().await;
}

#[tokio::test]
async fn requests_that_the_service_would_refuse_are_refused() {
    let world = World::start("exit 0").await;
    let refusals = [
        (world.run("t", "j").cluster("other"), "ClusterNotFoundException"),
        (world.run("t", "j").task_definition("other"), "ClientException"),
        (
            world.run("t", "j").launch_type(aws_sdk_ecs::types::LaunchType::Fargate),
            "InvalidParameterException",
        ),
        (world.run("t", "j").set_network_configuration(None), "InvalidParameterException"),
        (world.run(&"t".repeat(65), "j"), "InvalidParameterException"),
        (world.run("t", &"j".repeat(9000)), "InvalidParameterException"),
        (world.run("t", "j").count(11), "InvalidParameterException"),
    ];
    for (request, code) in refusals {
        let error = request.send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some(code), "{error:?}");
    }
    assert!(world.ecs.tasks().is_empty());
}

#[tokio::test]
async fn tasks_are_described_listed_and_stopped() {
    let world = World::start(PATIENT).await;
    let arn = world.ran("token", "job").await;
    world.running().await;
    let listed = world.client.list_tasks().cluster("streamio").send().await.unwrap();
    assert_eq!(listed.task_arns(), std::slice::from_ref(&arn));
    let described =
        world.client.describe_tasks().cluster("streamio").tasks(&arn).tasks("none").send().await.unwrap();
    let task = &described.tasks()[0];
    assert_eq!((task.last_status(), task.desired_status()), (Some("RUNNING"), Some("RUNNING")));
    assert_eq!(task.capacity_provider_name(), Some("FARGATE_SPOT"));
    assert!(task.started_at() >= task.created_at());
    assert_eq!(described.failures()[0].reason(), Some("MISSING"));
    world.client.stop_task().cluster("streamio").task(&arn).reason("enough").send().await.unwrap();
    let tasks = world.stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (Some(4), Some(StopCode::UserInitiated)));
    let described = world.client.describe_tasks().cluster("streamio").tasks(&arn).send().await.unwrap();
    let task = &described.tasks()[0];
    assert_eq!((task.stopped_reason(), task.containers()[0].exit_code()), (Some("enough"), Some(4)));
    assert!(world.client.list_tasks().cluster("streamio").send().await.unwrap().task_arns().is_empty());
}

#[tokio::test]
async fn an_interruption_of_spot_is_told_before_the_task_ends_by_itself() {
    let mut world = World::start(PATIENT).await;
    let arn = world.ran("token", "job").await;
    world.running().await;
    world.told();
    world.ecs.interrupt_spot(&arn).unwrap();
    let tasks = world.stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (Some(4), Some(StopCode::SpotInterruption)));
    let told = std::iter::from_fn(|| world.events.try_recv().ok()).collect::<Vec<_>>();
    let of = |index: usize, name: &str| told[index]["detail"][name].clone();
    assert_eq!((of(0, "lastStatus"), of(0, "desiredStatus")), (json!("RUNNING"), json!("STOPPED")));
    assert_eq!((of(0, "stopCode"), of(2, "lastStatus")), (json!("SpotInterruption"), json!("STOPPED")));
    assert_eq!(of(2, "containers")[0]["exitCode"], 4);
}

#[tokio::test]
async fn who_does_not_end_when_asked_is_killed_with_all_that_it_has_started() {
    let script = r#"trap '' TERM; sleep 100 & echo $! > "$FOLDER/child"; echo >> "$FOLDER/ready"; while :; do sleep 100; done"#;
    let world = World::start(script).await;
    let arn = world.ran("token", "job").await;
    world.running().await;
    world.client.stop_task().cluster("streamio").task(&arn).send().await.unwrap();
    let tasks = world.stopped().await;
    assert_eq!(tasks[0].exit_code, Some(137));
    gone(&world).await;
}

/// Waits until the process whose number is in the file `child` is no more.
async fn gone(world: &World) {
    let child = std::fs::read_to_string(world.file("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_task_ends_as_by_signal_9() {
    let script = r#"sleep 100 & echo $! > "$FOLDER/child"; echo >> "$FOLDER/ready"; wait"#;
    let world = World::start(script).await;
    let arn = world.ran("token", "job").await;
    world.running().await;
    world.ecs.kill(&arn).unwrap();
    let tasks = world.stopped().await;
    assert_eq!(
        (tasks[0].exit_code, tasks[0].stop_code),
        (Some(137), Some(StopCode::EssentialContainerExited))
    );
    gone(&world).await;
    assert!(matches!(world.ecs.kill(&arn), Err(EcsError::NoProcess(_))));
}

#[tokio::test]
async fn a_frozen_task_does_nothing_until_it_goes_on() {
    let script = r#"echo >> "$FOLDER/ready"; while [ ! -e "$FOLDER/go" ]; do sleep 0.01; done; touch "$FOLDER/gone"; exit 0"#;
    let world = World::start(script).await;
    let arn = world.ran("token", "job").await;
    world.running().await;
    world.ecs.freeze(&arn).unwrap();
    std::fs::write(world.file("go"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!world.file("gone").exists());
    assert_eq!(world.ecs.tasks()[0].status, Status::Running, "the service does not know");
    world.ecs.thaw(&arn).unwrap();
    assert_eq!(world.stopped().await[0].exit_code, Some(0));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_task_that_failed_to_start() {
    let world = World::start_command(&["/no/such/program"]).await;
    world.ran("token", "job").await;
    let tasks = world.stopped().await;
    assert_eq!((tasks[0].exit_code, tasks[0].stop_code), (None, Some(StopCode::TaskFailedToStart)));
}

#[tokio::test]
async fn a_state_change_has_the_form_of_the_real_one() {
    let mut world = World::start("exit 0").await;
    world.run("token", "job").started_by("streamio").send().await.unwrap();
    world.stopped().await;
    let mut event = Value::Null;
    while let Ok(next) = world.events.try_recv() {
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
    let id = world.ecs.tasks()[0].arn.rsplit('/').next().unwrap().to_owned();
    let text = serde_json::to_string_pretty(&event).unwrap().replace(&id, "TASK");
    let container = event["detail"]["containers"][0]["containerArn"].as_str().unwrap();
    let text = text.replace(container.rsplit('/').next().unwrap(), "CONTAINER");
    insta::assert_snapshot!(text);
}
