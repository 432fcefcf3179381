use std::sync::atomic::AtomicU32;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde_json::{Value, json};

use super::*;

/// A service that counts requests, and responds to `PutRecords` with the partition keys as sequence numbers.
struct Upstream {
    url: String,
    requests: Arc<AtomicU32>,
    _stop: DropGuard,
}

impl Upstream {
    async fn start() -> Self {
        let listener = http_listener::bind().await.unwrap();
        let url = http_listener::url(&listener).unwrap();
        let (requests, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let counted = Arc::clone(&requests);
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request: Request<Bytes>| {
            let requests = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                let call: Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let records = call["Records"].as_array().cloned().unwrap_or_default();
                let taken: Vec<Value> = records
                    .iter()
                    .map(|record| json!({ "SequenceNumber": record["PartitionKey"], "ShardId": "shardId-000000000000" }))
                    .collect();
                let response = json!({ "FailedRecordCount": 0, "Records": taken, "requests": requests });
                Ok(Response::new(Bytes::from(response.to_string())))
            }
        }));
        Self { url, requests, _stop: stop.drop_guard() }
    }

    fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn call(proxy: &FaultProxy, operation: &str, body: &str) -> reqwest::Result<(u16, Value)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http
        .post(proxy.endpoint())
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(body.to_owned());
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await.unwrap_or_default()))
}

#[tokio::test]
async fn a_fault_affects_the_given_number_of_requests_of_its_operation() {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(Service::DynamoDb, &upstream.url).await.unwrap();
    let fault = proxy.inject("PutItem", "video/", 2, Fault::Throttle);
    for (operation, body, status) in [
        ("GetItem", "video/", 200),
        ("PutItem", "project/", 200),
        ("PutItem", "a video/1", 400),
        ("PutItem", "video/2", 400),
        ("PutItem", "video/3", 200),
    ] {
        let (answered, response) = call(&proxy, operation, body).await.unwrap();
        assert_eq!(answered, status, "{operation} {body}: {response}");
    }
    assert_eq!((fault.hits(), upstream.requests(), proxy.count("PutItem")), (2, 3, 4));
    let faults: Vec<_> = proxy.calls().into_iter().map(|call| (call.status, call.fault)).collect();
    assert_eq!(faults[2], (400, Some("throttle")));
    let fault = proxy.inject("PutItem", "", 9, Fault::Throttle);
    fault.cancel();
    assert_eq!(call(&proxy, "PutItem", "").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_request_with_a_lost_response_takes_effect_and_a_refused_one_does_not() {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(Service::DynamoDb, &upstream.url).await.unwrap();
    proxy.inject("PutItem", "", 1, Fault::LoseResponse);
    proxy.inject("GetItem", "", 1, Fault::Refuse);
    assert!(call(&proxy, "PutItem", "").await.is_err());
    assert_eq!(upstream.requests(), 1);
    assert!(call(&proxy, "GetItem", "").await.is_err());
    assert_eq!(upstream.requests(), 1);
    assert_eq!(proxy.calls().iter().map(|call| call.status).collect::<Vec<_>>(), [0, 0]);
}

#[tokio::test]
async fn requests_are_duplicated_and_delayed() {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(Service::Kinesis, &upstream.url).await.unwrap();
    proxy.inject("PutRecords", "", 1, Fault::Duplicate);
    let late = Duration::from_millis(60);
    proxy.inject("GetRecords", "", 1, Fault::Delay(late));
    assert_eq!(call(&proxy, "PutRecords", "{}").await.unwrap().1["requests"], 2);
    call(&proxy, "GetRecords", "{}").await.unwrap();
    assert!(proxy.calls()[1].took >= late);
}

fn kinesis(endpoint: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new("a", "b", None, None, "test"));
    aws_sdk_kinesis::Client::from_conf(config.build())
}

fn entry(key: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().data(Blob::new("x")).partition_key(key).build().unwrap()
}

#[tokio::test]
async fn partial_failures_are_reported_at_the_index_of_each_record() {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(Service::Kinesis, &upstream.url).await.unwrap();
    let client = kinesis(proxy.endpoint());
    proxy.inject("PutRecords", "", 1, Fault::Partial(|index| index % 2 == 0));
    let records = ["1", "2", "3", "4", "5"].map(entry).to_vec();
    let response = client.put_records().stream_name("s").set_records(Some(records)).send().await.unwrap();
    assert_eq!(response.failed_record_count(), Some(3));
    let outcomes: Vec<_> =
        response.records().iter().map(|it| it.sequence_number().or(it.error_code())).collect();
    let refused = Some("ProvisionedThroughputExceededException");
    assert_eq!(outcomes, [refused, Some("2"), refused, Some("4"), refused]);

    proxy.inject("PutRecords", "", 1, Fault::Partial(|_| true));
    let response = client.put_records().stream_name("s").records(entry("1")).send().await.unwrap();
    assert_eq!((response.failed_record_count(), upstream.requests()), (Some(1), 1), "nothing is forwarded");
}

#[tokio::test]
async fn the_sdk_recognises_throttling_errors() {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(Service::Kinesis, &upstream.url).await.unwrap();
    proxy.inject("PutRecords", "", 1, Fault::Throttle);
    let put = kinesis(proxy.endpoint()).put_records().stream_name("s").records(entry("1"));
    let error = put.send().await.unwrap_err().into_service_error();
    assert!(error.is_provisioned_throughput_exceeded_exception(), "{error:?}");

    let proxy = FaultProxy::start(Service::DynamoDb, &upstream.url).await.unwrap();
    proxy.inject("ListTables", "", 1, Fault::Throttle);
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(proxy.endpoint())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new("a", "b", None, None, "test"));
    let error = aws_sdk_dynamodb::Client::from_conf(config.build()).list_tables().send().await.unwrap_err();
    let code = error.into_service_error().code().map(str::to_owned);
    assert_eq!(code.as_deref(), Some("ProvisionedThroughputExceededException"));
}
