use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use streamio_core::ports::encode_slots::{EncodeSlots as _, SlotHolder};
use streamio_core::ports::project_feed::ProjectFeed as _;
use streamio_core::ports::view_store::{VideoRow, ViewStore};
use streamio_events::event::EventBody;
use streamio_events::home::VideoFilter;
use streamio_events::id::VideoId;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::video::Video;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{append, key_of, lifecycle, policy, project, start, video};
use crate::stored;
use crate::test_dynamo::{TABLE, TestDynamo};

/// Replaces every second response to an operation: the operation takes effect, but its caller gets another response.
#[derive(Debug)]
struct Replaced {
    operation: &'static str,
    status: u16,
    body: String,
    is_matching: AtomicBool,
    responses: AtomicUsize,
    times: Arc<AtomicUsize>,
}

impl Intercept for Replaced {
    fn name(&self) -> &'static str {
        "replaced responses"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        // The client sends one request at a time.
        self.is_matching.store(target.ends_with(self.operation), Ordering::SeqCst);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_matching = self.is_matching.load(Ordering::SeqCst);
        if is_matching && self.responses.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            self.times.fetch_add(1, Ordering::SeqCst);
            let response = context.response_mut();
            *response.status_mut() = self.status.try_into()?;
            response.headers_mut().remove("x-amz-crc32");
            *response.body_mut() = self.body.as_str().into();
        }
        Ok(())
    }
}

/// Views with responses to `operation` replaced, and a counter of the replaced responses.
async fn views(
    dynamo: &TestDynamo,
    operation: &'static str,
    (status, body): (u16, &str),
) -> (DynamoViews, Arc<AtomicUsize>) {
    let replaced = Arc::new(AtomicUsize::new(0));
    dynamo.views().await;
    let interceptor = Replaced {
        operation,
        status,
        body: body.to_owned(),
        is_matching: AtomicBool::new(false),
        responses: AtomicUsize::new(0),
        times: Arc::clone(&replaced),
    };
    let config = dynamo.client().config().to_builder().interceptor(interceptor).build();
    (DynamoViews::new(Client::from_conf(config), TABLE, Arc::new(dynamo.log.clone())), replaced)
}

const LOST: (u16, &str) = (500, r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#);
const CONFLICT: (u16, &str) = (
    400,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None]","CancellationReasons":[{"Code":"TransactionConflict","Message":"Transaction is ongoing for the item"},{"Code":"None"}]}"#,
);
const THROTTLED: (u16, &str) = (
    400,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured provisioned throughput for the table was exceeded."}"#,
);

#[tokio::test]
async fn a_transaction_whose_response_is_lost_or_that_conflicts_is_repeated() {
    for response in [LOST, CONFLICT, THROTTLED] {
        let dynamo = TestDynamo::new();
        let (views, replaced) = views(&dynamo, "TransactWriteItems", response).await;
        let bodies = lifecycle(&project("acme"), &key_of("acme", "v"), 12, 1);
        for (n, bodies) in bodies.chunks(3).enumerate() {
            let commit =
                append(&dynamo.log, &video("acme", "v"), &n.to_string(), start(), bodies.to_vec()).await;
            views.place(&commit).await.unwrap();
        }
        assert!(replaced.load(Ordering::SeqCst) >= 2, "{response:?}");
        let page = views.page(&project("acme"), None, 100).await.unwrap();
        let versions: Vec<u64> = page.events.iter().map(|event| event.streamversion).collect();
        assert_eq!(versions, (1..=12).collect::<Vec<_>>());
        let usage = stored::usage(&dynamo, "acme").await;
        let usage = &usage["2026-01-02"];
        assert_eq!((usage["uploads_granted"], usage["videos_ready"]), (1, 1));
    }
}

#[tokio::test]
async fn a_slot_whose_response_is_lost_or_that_conflicts_is_counted_once() {
    const MOST: u64 = 3;
    for response in [LOST, CONFLICT, THROTTLED] {
        let dynamo = TestDynamo::new();
        let (views, replaced) = views(&dynamo, "TransactWriteItems", response).await;
        let owner = project("acme");
        let holder = |number: u64| {
            let video_id = VideoId::of(&key_of("acme", &number.to_string()));
            SlotHolder { video_id, generation: 1, attempt: 1 }
        };
        for round in 0..3 {
            let numbers = round * 10..round * 10 + MOST;
            for number in numbers.clone() {
                assert!(views.take(&owner, &holder(number), MOST).await.unwrap(), "{response:?}");
            }
            assert!(!views.take(&owner, &holder(99), MOST).await.unwrap(), "{response:?}");
            for number in numbers {
                assert!(views.release(&owner, &holder(number)).await.unwrap(), "{response:?}");
            }
        }
        assert!(replaced.load(Ordering::SeqCst) >= 6, "{response:?}");
    }
}

#[tokio::test]
async fn a_row_whose_response_is_lost_is_stored_and_not_reverted() {
    for response in [LOST, THROTTLED] {
        let dynamo = TestDynamo::new();
        let (views, replaced) = views(&dynamo, "PutItem", response).await;
        let bodies: Vec<EventBody> = lifecycle(&project("acme"), &key_of("acme", "v"), 12, 1);
        let stream = video("acme", "v");
        for (n, bodies) in bodies.chunks(3).enumerate() {
            let commit = append(&dynamo.log, &stream, &n.to_string(), start(), bodies.to_vec()).await;
            let StreamId::Video(project_id, video_id) = &commit.stream else { unreachable!() };
            let commits = dynamo.log.read_to_end(&stream, 1).await.unwrap();
            let folded = Video::fold(project_id.clone(), video_id.clone(), &commits).unwrap();
            let row = VideoRow::of(folded, &policy());
            ViewStore::put(&views, &row).await.unwrap();
            assert_eq!(ViewStore::get(&views, project_id, video_id).await.unwrap(), Some(row));
        }
        assert!(replaced.load(Ordering::SeqCst) >= 2, "{response:?}");
    }
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let dynamo = TestDynamo::new();
    let s3_key = key_of("acme", "v");
    let mut video = Video::new(project("acme"), VideoId::of(&s3_key));
    (video.s3_key, video.version) = (Some(s3_key), 1);
    let row = VideoRow::of(video, &policy());
    let left = format!(
        r#"{{"Responses":{{}},"UnprocessedKeys":{{"{TABLE}":{{"ConsistentRead":true,"Keys":[{{"pk":{{"S":"video#acme#{}"}},"sk":{{"S":"-"}}}}]}}}}}}"#,
        row.video.video_id,
    );
    let (views, replaced) = views(&dynamo, "BatchGetItem", (200, &left)).await;
    ViewStore::put(&views, &row).await.unwrap();
    let page = views.list(&project("acme"), &VideoFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.videos, [row.status.unwrap()]);
    assert_eq!(replaced.load(Ordering::SeqCst), 1);
}
