//! One event for each function, in the form of the real service.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::dynamo::DynamoLog;
use streamio_events::emulators::LocalDynamo;
use streamio_events::event::{Scope, UploadGranted};
use streamio_events::fact::Fact;
use streamio_events::home::{HomeCall, PATH};
use streamio_events::id::{CommitId, GrantId, KeyId, MessageId, ProjectId, VideoId, WebhookId};
use streamio_events::job::{Job, MediaLimits};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::project::{self, Project};
use streamio_events::stream::StreamId;
use streamio_lambdas::triggers::sqs::body_of;

use crate::cloud::tables::streams_client;
use crate::sources::{DynamoSource, Position, StreamSource as _};
use crate::wall_clock;

/// The bucket of sources.
pub(super) const RAW_BUCKET: &str = "raw";
/// The lifetime of the grants, longer than any measurement.
const LIFETIME: Duration = Duration::from_hours(12);

/// Returns the event of each function, by the function's name.
pub(super) async fn by_function(
    dynamo: &LocalDynamo,
    ledger: &str,
) -> anyhow::Result<HashMap<&'static str, Bytes>> {
    let project: ProjectId = "acme".parse()?;
    let granted = granted_upload(dynamo, ledger, &project).await?;
    let events = [
        ("uploads", object_created(&project)?),
        ("intake", kinesis_record(&project)?),
        ("react", granted.clone()),
        ("views", granted),
        ("tasks", task_stopped(&project)?),
        ("sweep", envelope("aws.events", "Scheduled Event", &json!({}))),
        ("webhooks", queued_delivery(&project)),
        ("api", function_url_request(&project)?),
    ];
    Ok(events.into_iter().map(|(name, event)| (name, Bytes::from(event.to_string()))).collect())
}

/// Returns a batch with a message about a delivery that the log does not have.
fn queued_delivery(project: &ProjectId) -> Value {
    let key = DeliveryKey {
        project_id: project.clone(),
        webhook_id: WebhookId::derived_from(&[b"bench"]),
        message_id: MessageId::derived_from(&["bench"]),
    };
    json!({ "Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "body": body_of(&key),
        "attributes": { "SentTimestamp": wall_clock::now().unix_millis().to_string() },
        "eventSource": "aws:sqs",
    }] })
}

/// Returns the stream of a video, and a commit that grants an upload of it.
fn grant(project: &ProjectId, name: &str) -> anyhow::Result<(StreamId, NewCommit)> {
    let s3_key = SourceKey::new(project, "", name)?;
    let stream = StreamId::Video(project.clone(), VideoId::of(&s3_key));
    let now = wall_clock::now();
    let granted = UploadGranted {
        grant_id: GrantId::derived_from(&[name.as_bytes()]),
        s3_key,
        expires_at: now.plus(LIFETIME),
        key_id: KeyId::of_hash(&[0; 32]),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: BTreeMap::new(),
    };
    Ok((stream, NewCommit::new(CommitId::derived_from(&["bench", name]), now, vec![granted.into()])))
}

/// Appends a grant and its project, and returns the event of the ledger's stream for the grant.
async fn granted_upload(dynamo: &LocalDynamo, ledger: &str, project: &ProjectId) -> anyhow::Result<Value> {
    let client = dynamo.client();
    let table = client.describe_table().table_name(ledger).send().await?;
    let arn =
        table.table().and_then(|table| table.latest_stream_arn()).context("the ledger has no stream")?;
    let (stream, commit) = grant(project, "granted.mp4")?;
    let log = DynamoLog::new(client.clone(), ledger);
    log.append(&stream, Expected::Any, commit).await?;
    // Uploads are handled only for existing projects. The grant is appended first, because the first record is read below.
    let key = project::NewKey {
        hash: ApiKey::generate("test", [7; 32])?.hash(),
        scopes: vec![Scope::Upload],
        label: None,
        expires_at: None,
    };
    let events = Project::fold(project.clone(), &[])?.create(None, key)?;
    let created = NewCommit::new(CommitId::derived_from(&["bench", "project"]), wall_clock::now(), events);
    log.append(&StreamId::Project(project.clone()), Expected::Any, created).await?;

    let source = DynamoSource::new(streams_client(dynamo), arn);
    for shard in source.shards().await? {
        let iterator = source.iterator(&shard.id, &Position::TrimHorizon).await?;
        let page = source.records(&shard.id, iterator, 1).await?;
        if let Some(record) = page.records.first() {
            return Ok(json!({ "Records": [serde_json::from_str::<Value>(&record.json)?] }));
        }
    }
    Err(anyhow!("the ledger's stream is empty"))
}

fn envelope(source: &str, detail_type: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": crate::request_id::request_id(),
        "detail-type": detail_type,
        "source": source,
        "account": "000000000000",
        "time": format!("{}Z", &wall_clock::now().to_string()[..19]),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    })
}

fn object_created(project: &ProjectId) -> anyhow::Result<Value> {
    let detail = json!({
        "version": "0",
        "bucket": { "name": RAW_BUCKET },
        "object": {
            "key": SourceKey::new(project, "", "uploaded.mp4")?.as_str(),
            "size": 1_055_736,
            "etag": "9b2cf535f27731c974343645a3985328",
            "sequencer": "0055AED6DCD90281E5",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "000000000000",
        "source-ip-address": "203.0.113.7",
        "reason": "PutObject",
    });
    Ok(envelope("aws.s3", "Object Created", &detail))
}

fn kinesis_record(project: &ProjectId) -> anyhow::Result<Value> {
    let (stream, commit) = grant(project, "stated.mp4")?;
    let fact = Fact::new(stream.clone(), commit)?;
    let sequence = "49590338271490256608559692538361571095921575989136588898";
    let record = json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": stream.to_string(),
            "sequenceNumber": sequence,
            "data": STANDARD.encode(fact.json()),
            "approximateArrivalTimestamp": wall_clock::now().unix_seconds(),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("shardId-000000000000:{sequence}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/emulated",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/facts",
    });
    Ok(json!({ "Records": [record] }))
}

/// Returns the event for the end of a worker whose attempt was not dispatched.
fn task_stopped(project: &ProjectId) -> anyhow::Result<Value> {
    let s3_key = SourceKey::new(project, "", "granted.mp4")?;
    let video_id = VideoId::of(&s3_key);
    let job = Job {
        project_id: project.clone(),
        client_token: Job::client_token_of(&video_id, 1, 1),
        video_id,
        s3_key,
        version_id: None,
        etag: None,
        generation: 1,
        attempt: 1,
        raw_bucket: RAW_BUCKET.to_owned(),
        processed_bucket: "processed".to_owned(),
        limits: MediaLimits::default(),
    };
    let task = "arn:aws:ecs:us-east-1:000000000000:task/streamio/c13b4cb40f1f4fe4a2971f76ae5a47ad";
    let variable = json!({ "name": "STREAMIO_JOB", "value": serde_json::to_string(&job)? });
    let detail = json!({
        "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/streamio",
        "containers": [{ "name": "worker", "lastStatus": "STOPPED", "exitCode": 1, "taskArn": task }],
        "desiredStatus": "STOPPED",
        "group": "family:streamio-worker",
        "lastStatus": "STOPPED",
        "overrides": { "containerOverrides": [{ "name": "worker", "environment": [variable] }] },
        "startedBy": "streamio",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "taskArn": task,
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/streamio-worker:1",
        "version": 6,
    });
    Ok(envelope("aws.ecs", "ECS Task State Change", &detail))
}

fn function_url_request(project: &ProjectId) -> anyhow::Result<Value> {
    let call = HomeCall::ListVideos {
        project_id: project.clone(),
        state: None,
        prefix: None,
        metadata: BTreeMap::new(),
        after: None,
        limit: 20,
    };
    Ok(json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": PATH,
        "rawQueryString": "",
        "headers": { "content-type": "application/json" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "domainName": "api.lambda-url.us-east-1.on.aws",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": PATH,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "streamio-edge",
            },
            "requestId": crate::request_id::request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": "02/Jan/2026:03:04:05 +0000",
            "timeEpoch": wall_clock::now().unix_millis(),
        },
        "body": serde_json::to_string(&call)?,
        "isBase64Encoded": false,
    }))
}
