//! The worker as an ECS task: DynamoDB log, Kinesis intake, name and credentials from the task's endpoints.

use std::process::Stdio;

use aws_sdk_kinesis::types::ShardIteratorType;
use streamio_events::dynamo::{DynamoLog, ledger_table};
use streamio_events::emulators::{LocalDynamo, LocalKinesis};
use streamio_events::event::EventBody;
use streamio_events::fact::Fact;
use streamio_events::log::EventLogExt;
use streamio_events::video::{Phase, load};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::clip::video_input;
use super::harness::PROCESSED;
use super::inspect;
use super::program::dispatched;
use super::s3_server::S3Server;

const TASK: &str = "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad";

/// The endpoints of a Fargate task: its metadata and its role's credentials. Dropping it stops the server.
struct TaskEndpoints {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl TaskEndpoints {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 8192];
                let Ok(length) = stream.read(&mut request).await else { continue };
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let (status, body) = match request.split(' ').nth(1) {
                    Some("/v4/c13b4cb4/task") => {
                        ("200 OK", format!(r#"{{"Cluster":"streamio","TaskARN":"{TASK}"}}"#))
                    }
                    Some("/credentials") => (
                        "200 OK",
                        r#"{"RoleArn":"arn:aws:iam::111122223333:role/worker","AccessKeyId":"access",
                            "SecretAccessKey":"secret","Token":"token","Expiration":"2099-01-01T00:00:00Z"}"#
                            .to_owned(),
                    ),
                    _ => ("404 Not Found", String::new()),
                };
                let response = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        Self { address, task }
    }
}

impl Drop for TaskEndpoints {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecs_task_publishes_under_its_arn_with_its_roles_credentials() {
    let (dynamo, kinesis) = (LocalDynamo::start().unwrap(), LocalKinesis::start().unwrap());
    let (s3, endpoints) = (S3Server::start().await, TaskEndpoints::start().await);
    kinesis.client().create_stream().stream_name("facts").shard_count(1).send().await.unwrap();
    let client = dynamo.client();
    ledger_table("ledger").send_with(&client).await.unwrap();
    let log = DynamoLog::new(client, "ledger");
    let directory = tempfile::tempdir().unwrap();
    // Long enough that FFmpeg reports progress before it ends.
    let clip = format!("{} -c:v libx264 -preset ultrafast", video_input("320x240", 25, 20));
    let job = dispatched(&log, &s3, directory.path(), "clip.mp4", &clip).await;

    let output = Command::new(env!("CARGO_BIN_EXE_streamio-worker"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("STREAMIO_JOB", serde_json::to_string(&job).unwrap())
        .env("STREAMIO_LOG", "dynamodb:ledger")
        .env("STREAMIO_INTAKE", "kinesis:facts")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo.endpoint())
        .env("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint())
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", endpoints.address))
        .env("ECS_CONTAINER_METADATA_URI_V4", format!("{}/v4/c13b4cb4", endpoints.address))
        .env("STREAMIO_S3_ENDPOINT", format!("http://{}", s3.address))
        .env("STREAMIO_S3_PATH_STYLE", "1")
        .env("STREAMIO_SCRATCH", directory.path().join("scratch"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("token") && !stderr.contains("\"secret\""), "{stderr}");

    let video = load(&log, &job.project_id, &job.video_id).await.unwrap();
    assert_eq!(video.phase, Phase::Ready);
    assert_eq!(inspect::decode(&s3.path(PROCESSED, video.outputs.unwrap().mp4_key.as_str())), 500);
    let commits = log.read_to_end(&job.stream(), 1).await.unwrap();
    let bodies: Vec<_> =
        commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect();
    let tasks = bodies.iter().filter_map(|body| match body {
        EventBody::ProcessingStarted(started) => Some(started.task.as_str()),
        _ => None,
    });
    assert_eq!(tasks.collect::<Vec<_>>(), [TASK]);

    // Progress goes to the intake, which delivers it to the log later.
    let facts = facts(&kinesis.client()).await;
    assert!(!facts.is_empty(), "{stderr}");
    for fact in facts {
        assert_eq!(*fact.stream(), job.stream());
        let [event] = &fact.commit().events[..] else { panic!("{fact:?}") };
        assert!(matches!(event.body().unwrap(), EventBody::ProcessingProgressed(_)), "{event:?}");
    }
}

async fn facts(client: &aws_sdk_kinesis::Client) -> Vec<Fact> {
    let iterator = client.get_shard_iterator().stream_name("facts").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let records = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    records.records().iter().map(|record| Fact::from_json(record.data().as_ref()).unwrap()).collect()
}
