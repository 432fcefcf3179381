use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt as _, stream};
use streamio_core::ports::view_store::{VideoRow, ViewStore};
use streamio_events::home::VideoFilter;
use streamio_events::id::VideoId;
use streamio_events::video::{Phase, Video, VideoState, VideoStatus};

use crate::fixtures::{key_of, policy, project, start};
use crate::test_dynamo::{TABLE, TestDynamo};

const VIDEOS: u64 = 100_000;
/// The maximum number of items of one `BatchWriteItem`.
const BATCH: u64 = 25;

fn name(number: u64) -> String {
    format!("v{number:06}")
}

fn row(number: u64) -> VideoRow {
    let s3_key = key_of("acme", &name(number));
    let mut video = Video::new(project("acme"), VideoId::of(&s3_key));
    video.s3_key = Some(s3_key);
    video.version = 1;
    // Ten per millisecond.
    video.created_at = start().plus(Duration::from_millis(number / 10));
    video.phase = Phase::Ready;
    VideoRow::of(video, &policy())
}

/// Writes the items of all rows in batches, as changed copies of the one item that the store writes itself.
async fn load(dynamo: &TestDynamo) {
    let (client, first) = (dynamo.client(), row(0));
    ViewStore::put(&dynamo.views().await, &first).await.unwrap();
    let items = client.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    let [template] = &items[..] else { panic!("{items:?}") };
    let [id, created] = [first.video.video_id.to_string(), first.video.created_at.to_string()];
    let put = |number: u64| {
        let other = row(number).video;
        let item = template.iter().map(|(name, value)| {
            let value = match value {
                AttributeValue::S(text) => AttributeValue::S(
                    text.replace(&id, other.video_id.as_str())
                        .replace(&created, &other.created_at.to_string())
                        .replace(&self::name(0), &self::name(number)),
                ),
                value => value.clone(),
            };
            (name.clone(), value)
        });
        let put = PutRequest::builder().set_item(Some(item.collect())).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    stream::iter((0..VIDEOS / BATCH).map(|batch| {
        let puts = (batch * BATCH..(batch + 1) * BATCH).map(put).collect();
        let request =
            client.batch_write_item().set_request_items(Some(HashMap::from([(TABLE.to_owned(), puts)])));
        async move {
            let response = request.send().await.unwrap();
            assert!(response.unprocessed_items.unwrap_or_default().is_empty());
        }
    }))
    .buffer_unordered(8)
    .collect::<()>()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_with_a_hundred_thousand_videos_is_listed_page_by_page() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    load(&dynamo).await;
    let mut expected: Vec<VideoStatus> = (0..VIDEOS).map(|number| row(number).status.unwrap()).collect();
    expected.sort_by(|a, b| (b.created_at, &b.video_id).cmp(&(a.created_at, &a.video_id)));
    let (mut after, mut listed): (Option<String>, usize) = (None, 0);
    loop {
        let page =
            views.list(&project("acme"), &VideoFilter::default(), after.as_deref(), 1000).await.unwrap();
        assert!(page.videos == expected[listed..listed + page.videos.len()], "the page from {listed} on");
        listed += page.videos.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, expected.len());
    let ready = views
        .list(&project("acme"), &VideoFilter::by_state(Some(VideoState::Ready)), None, 100)
        .await
        .unwrap();
    assert!(ready.videos == expected[..100]);
    let page = views
        .list(&project("acme"), &VideoFilter::by_state(Some(VideoState::Ready)), ready.next.as_deref(), 100)
        .await
        .unwrap();
    assert!(page.videos == expected[100..200]);
}
