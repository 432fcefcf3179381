use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use streamio_core::ports::project_feed::ProjectFeed as _;
use streamio_core::ports::view_store::{VideoRow, ViewStore};
use streamio_events::event::EventBody;
use streamio_events::id::VideoId;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::video::Video;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::bed::{DynamoBed, TABLE};
use crate::given::{append, key_of, life, policy, project, start, video};

/// Puts another answer in the place of each second one to an operation: what was asked for is done, and whoever asked
/// does not know.
#[derive(Debug)]
struct Replaced {
    operation: &'static str,
    status: u16,
    body: String,
    asked: AtomicBool,
    answers: AtomicUsize,
    times: Arc<AtomicUsize>,
}

impl Intercept for Replaced {
    fn name(&self) -> &'static str {
        "replaced answers"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        // One request at a time goes through the client.
        self.asked.store(target.ends_with(self.operation), Ordering::SeqCst);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let asked = self.asked.load(Ordering::SeqCst);
        if asked && self.answers.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            self.times.fetch_add(1, Ordering::SeqCst);
            let response = context.response_mut();
            *response.status_mut() = self.status.try_into()?;
            response.headers_mut().remove("x-amz-crc32");
            *response.body_mut() = self.body.as_str().into();
        }
        Ok(())
    }
}

/// Views whose table answers so, and how often it has.
async fn views(
    bed: &DynamoBed,
    operation: &'static str,
    (status, body): (u16, &str),
) -> (DynamoViews, Arc<AtomicUsize>) {
    let replaced = Arc::new(AtomicUsize::new(0));
    bed.views().await;
    let interceptor = Replaced {
        operation,
        status,
        body: body.to_owned(),
        asked: AtomicBool::new(false),
        answers: AtomicUsize::new(0),
        times: Arc::clone(&replaced),
    };
    let config = bed.client().config().to_builder().interceptor(interceptor).build();
    (DynamoViews::new(Client::from_conf(config), TABLE, Arc::new(bed.log.clone())), replaced)
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
async fn a_transaction_whose_answer_is_lost_or_that_meets_another_is_made_up_for() {
    for answer in [LOST, CONFLICT, THROTTLED] {
        let bed = DynamoBed::new();
        let (views, replaced) = views(&bed, "TransactWriteItems", answer).await;
        let bodies = life(&project("acme"), &key_of("acme", "v"), 12, 1);
        for (n, bodies) in bodies.chunks(3).enumerate() {
            let commit =
                append(&bed.log, &video("acme", "v"), &n.to_string(), start(), bodies.to_vec()).await;
            views.project(&commit, start()).await.unwrap();
        }
        assert!(replaced.load(Ordering::SeqCst) >= 2, "{answer:?}");
        let later = start().plus(std::time::Duration::from_hours(1));
        let page = views.page(&project("acme"), None, 100, later).await.unwrap();
        let versions: Vec<u64> = page.events.iter().map(|event| event.streamversion).collect();
        assert_eq!(versions, (1..=12).collect::<Vec<_>>());
        let usage = views.usage(&project("acme"), "2026-01-02", "2026-01-02").await.unwrap()["2026-01-02"];
        assert_eq!((usage.uploads_granted, usage.videos_ready), (1, 1));
    }
}

#[tokio::test]
async fn a_row_whose_answer_is_lost_is_there_once_and_not_taken_back() {
    for answer in [LOST, THROTTLED] {
        let bed = DynamoBed::new();
        let (views, replaced) = views(&bed, "PutItem", answer).await;
        let bodies: Vec<EventBody> = life(&project("acme"), &key_of("acme", "v"), 12, 1);
        let stream = video("acme", "v");
        for (n, bodies) in bodies.chunks(3).enumerate() {
            let commit = append(&bed.log, &stream, &n.to_string(), start(), bodies.to_vec()).await;
            let StreamId::Video(project_id, video_id) = &commit.stream else { unreachable!() };
            let commits = bed.log.read_to_end(&stream, 1).await.unwrap();
            let folded = Video::fold(project_id.clone(), video_id.clone(), &commits).unwrap();
            let row = VideoRow::of(folded, &policy());
            ViewStore::put(&views, &row).await.unwrap();
            assert_eq!(ViewStore::get(&views, project_id, video_id).await.unwrap(), Some(row));
        }
        assert!(replaced.load(Ordering::SeqCst) >= 2, "{answer:?}");
    }
}

#[tokio::test]
async fn rows_that_a_table_short_of_capacity_leaves_out_are_asked_for_again() {
    let bed = DynamoBed::new();
    let s3_key = key_of("acme", "v");
    let mut video = Video::new(project("acme"), VideoId::of(&s3_key));
    (video.s3_key, video.version) = (Some(s3_key), 1);
    let row = VideoRow::of(video, &policy());
    let left = format!(
        r#"{{"Responses":{{}},"UnprocessedKeys":{{"{TABLE}":{{"ConsistentRead":true,"Keys":[{{"pk":{{"S":"video#acme#{}"}},"sk":{{"S":"-"}}}}]}}}}}}"#,
        row.video.video_id,
    );
    let (views, replaced) = views(&bed, "BatchGetItem", (200, &left)).await;
    ViewStore::put(&views, &row).await.unwrap();
    let page = views.list(&project("acme"), None, None, 10).await.unwrap();
    assert_eq!(page.videos, [row.status.unwrap()]);
    assert_eq!(replaced.load(Ordering::SeqCst), 1);
}
