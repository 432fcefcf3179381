//! The launcher against recorded responses of ECS.

use serde_json::{Value, json};
use streamio_core::ports::task_launcher::{LaunchError, Launched, TaskLauncher as _};
use streamio_events::error_chain::chain;
use streamio_events::id::VideoId;
use streamio_events::job::{Job, MediaLimits};
use streamio_events::object_key::SourceKey;
use streamio_events::retryable::Retryable as _;
use streamio_lambdas::adapters::ecs::EcsLauncher;
use streamio_lambdas::settings;

use crate::scripted::{Response, Scripted};
use crate::sdk;

fn job() -> Job {
    let s3_key: SourceKey = "projects/acme/films/clip.mp4".parse().unwrap();
    let video_id = VideoId::of(&s3_key);
    Job {
        project_id: "acme".parse().unwrap(),
        client_token: Job::client_token_of(&video_id, 1, 2),
        video_id,
        s3_key,
        version_id: None,
        etag: None,
        generation: 1,
        attempt: 2,
        raw_bucket: "streamio-raw".to_owned(),
        processed_bucket: "streamio-processed".to_owned(),
        limits: MediaLimits::default(),
    }
}

fn started() -> Response {
    Response::ok(&json!({
        "failures": [],
        "tasks": [{
            "attachments": [{
                "details": [{ "name": "subnetId", "value": "subnet-0abcd1234" }],
                "id": "51e7b1ba-ee56-4ebd-9b84-ab15ddcc1a8e",
                "status": "PRECREATED",
                "type": "ElasticNetworkInterface"
            }],
            "capacityProviderName": "FARGATE_SPOT",
            "clusterArn": "arn:aws:ecs:eu-central-1:111122223333:cluster/streamio",
            "containers": [{
                "containerArn": "arn:aws:ecs:eu-central-1:111122223333:container/streamio/c13b4cb4/cf159fd6",
                "lastStatus": "PENDING",
                "name": "worker",
                "networkInterfaces": [],
                "taskArn": "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb4"
            }],
            "createdAt": 1_767_323_134.162,
            "desiredStatus": "RUNNING",
            "group": "family:streamio-worker",
            "lastStatus": "PROVISIONING",
            "launchType": "FARGATE",
            "startedBy": "streamio",
            "taskArn": "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb4",
            "taskDefinitionArn": "arn:aws:ecs:eu-central-1:111122223333:task-definition/streamio-worker:7",
            "version": 1
        }]
    }))
}

fn failure(reason: &str) -> Response {
    Response::ok(&json!({
        "failures": [{
            "arn": "arn:aws:ecs:eu-central-1:111122223333:container-instance/c0ffee",
            "reason": reason,
            "detail": "recorded"
        }],
        "tasks": []
    }))
}

fn launcher(server: &Scripted) -> EcsLauncher {
    let settings = settings::Ecs {
        cluster: "streamio".to_owned(),
        task_definition: "streamio-worker".to_owned(),
        container: "worker".to_owned(),
        subnets: vec!["subnet-0abcd1234".to_owned(), "subnet-1abcd1234".to_owned()],
        security_groups: vec!["sg-0123456789".to_owned()],
        capacity_provider: "FARGATE_SPOT".to_owned(),
    };
    EcsLauncher::new(&sdk(&server.endpoint), settings)
}

async fn launch(responses: impl IntoIterator<Item = Response>) -> (Result<Launched, LaunchError>, Scripted) {
    let server = Scripted::start(responses).await;
    (launcher(&server).launch(&job()).await, server)
}

#[tokio::test]
async fn a_launch_is_one_task_with_the_jobs_token_and_the_job_in_its_environment() {
    let (launched, server) = launch([started()]).await;
    assert_eq!(launched.unwrap(), Launched::Present);
    let [request] = &server.requests()[..] else { panic!("one call") };
    assert_eq!(request.target, "AmazonEC2ContainerServiceV20141113.RunTask");
    let mut body = request.body.clone();
    let environment = body.pointer_mut("/overrides/containerOverrides/0/environment/0/value").unwrap();
    let passed: Job = serde_json::from_str(environment.as_str().unwrap()).unwrap();
    assert_eq!(passed, job());
    *environment = Value::from("(the job)");
    assert_eq!(body["clientToken"].as_str().unwrap(), job().client_token);
    insta::assert_json_snapshot!(body);
}

#[tokio::test]
async fn a_repeated_launch_makes_the_same_call() {
    let server = Scripted::start([started(), started()]).await;
    let launcher = launcher(&server);
    launcher.launch(&job()).await.unwrap();
    launcher.launch(&job()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0], requests[1]);
}

#[tokio::test]
async fn a_token_that_is_in_use_counts_as_launched() {
    let conflict = Response::error(400, "ConflictException", "The client token is in use by another request");
    assert_eq!(launch([conflict]).await.0.unwrap(), Launched::Present);
}

#[tokio::test]
async fn an_ended_task_is_reported_and_not_launched_again() {
    let task = "arn:aws:ecs:eu-central-1:111122223333:task/streamio/0ld";
    let ended =
        Response::ok(&json!({ "tasks": [{ "taskArn": task, "lastStatus": "STOPPED" }], "failures": [] }));
    let (launched, server) = launch([ended, started()]).await;
    assert_eq!(launched.unwrap(), Launched::Ended { task: task.to_owned() });
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_whose_response_is_lost_is_repeated_with_the_same_token() {
    let (launched, server) = launch([Response::lost(), started()]).await;
    launched.unwrap();
    let tokens: Vec<_> =
        server.requests().iter().map(|request| request.body["clientToken"].clone()).collect();
    assert_eq!(tokens, [job().client_token.as_str(), job().client_token.as_str()]);
}

#[tokio::test]
async fn a_lost_connection_is_retryable() {
    let (launched, _) = launch([]).await;
    assert!(launched.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_lack_of_capacity_is_retryable() {
    for reason in [
        "RESOURCE:CPU",
        "RESOURCE:MEMORY",
        "RESOURCE:ENI",
        "RESOURCE:FARGATE",
        "AGENT",
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    ] {
        let error = launch([failure(reason)]).await.0.unwrap_err();
        assert!(error.is_retryable(), "{reason}: {error:?}");
        assert!(chain(&error).contains(reason), "{}", chain(&error));
    }
    for (code, message) in [
        ("ClientException", "Capacity is unavailable at this time. Please try again later"),
        (
            "InvalidParameterException",
            "You've reached the limit on the number of vCPUs you can run concurrently",
        ),
        ("LimitExceededException", "The limit for the resource was exceeded."),
    ] {
        let error = launch([Response::error(400, code, message)]).await.0.unwrap_err();
        assert!(error.is_retryable(), "{code}: {error:?}");
    }
    let neither = launch([Response::ok(&json!({ "failures": [], "tasks": [] }))]).await.0.unwrap_err();
    assert!(neither.is_retryable());
}

#[tokio::test]
async fn throttling_is_retried_a_few_times_and_is_then_a_retryable_error() {
    let throttled = || Response::error(400, "ThrottlingException", "Rate exceeded.");
    let (launched, server) = launch([throttled(), started()]).await;
    launched.unwrap();
    assert_eq!(server.requests().len(), 2);
    let (launched, server) = launch((0..9).map(|_| throttled())).await;
    assert!(launched.unwrap_err().is_retryable());
    assert!(server.requests().len() < 9, "a limited number of retries");
}

#[tokio::test]
async fn an_error_that_an_operator_must_fix_names_the_fix() {
    let cases = [
        ("ClusterNotFoundException", "Cluster not found.", "STREAMIO_ECS_CLUSTER"),
        ("AccessDeniedException", "User is not authorized to perform: ecs:RunTask", "iam:PassRole"),
        (
            "InvalidParameterException",
            "No Container Instances were found in your cluster.",
            "task definition",
        ),
        ("ClientException", "TaskDefinition is inactive", "task definition"),
        ("PlatformUnknownException", "The platform version is unknown", "platform"),
        ("BlockedException", "Your account is currently blocked", "Support"),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "does not accept",
        ),
    ];
    for (code, message, fix) in cases {
        let error = launch([Response::error(400, code, message)]).await.0.unwrap_err();
        assert!(!error.is_retryable(), "{code}");
        let text = chain(&error);
        assert!(text.contains(fix) && text.contains(message), "{code}: {text}");
        assert_eq!(text.matches(message).count(), 1, "{text}");
    }
    for reason in ["ATTRIBUTE", "INACTIVE", "MISSING"] {
        let error = launch([failure(reason)]).await.0.unwrap_err();
        assert!(matches!(error, LaunchError::Refused { .. }), "{reason}");
    }
}
