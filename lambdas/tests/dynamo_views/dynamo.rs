use streamio_core::ports::view_store::{Urgency, VideoRow, ViewStore as _};
use streamio_core::views::status::refresh;
use streamio_events::event::EventBody;
use streamio_events::home::VideoFilter;
use streamio_events::log::Part;
use streamio_events::video::{Video, VideoState};

use crate::fixtures::{append, granted, key_of, policy, project, start, video};
use crate::test_dynamo::{TABLE, TestDynamo};

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::view_store_contract!(TestDynamo::new());
}

/// Six thousand unused upload URLs for one key make a row that exceeds the limit for an item.
#[tokio::test]
async fn a_row_that_is_too_long_for_an_item_is_folded_when_needed() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let (owner, s3_key) = (project("acme"), key_of("acme", "a"));
    let stream = video("acme", "a");
    let mut refreshed = None;
    for round in 0..10 {
        let grants: Vec<EventBody> =
            (0..800).map(|n| granted(s3_key.clone(), round * 1000 + n, start())).collect();
        append(&dynamo.log, &stream, &round.to_string(), start(), grants).await;
        if round < 7 {
            continue;
        }
        let video_id = streamio_events::id::VideoId::of(&s3_key);
        refreshed = Some(refresh(&dynamo.log, &views, &policy(), &owner, &video_id).await.unwrap());
    }
    let row: VideoRow = refreshed.unwrap();
    assert!(serde_json::to_string(&row).unwrap().len() > 400 * 1024);
    assert_eq!(row.video.open_grants.len(), 8000);
    let list = views.list(&owner, &VideoFilter::by_state(Some(VideoState::Waiting)), None, 10).await.unwrap();
    assert_eq!(list.videos, [row.status.clone().unwrap()]);
    let due_at = row.due_at.unwrap();
    assert_eq!(
        views.due(Part::WHOLE, Urgency::Deferrable, due_at, 10).await.unwrap(),
        std::slice::from_ref(&row)
    );
    assert_eq!(views.get(&owner, &row.video.video_id).await.unwrap(), None, "the row is not stored");
    assert!(!views.put(&row).await.unwrap(), "its version is stored");
}

/// Rows in another format version are neither read nor replace rows in this one.
#[tokio::test]
async fn a_row_in_another_format_is_folded_again() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let s3_key = key_of("acme", "a");
    append(&dynamo.log, &video("acme", "a"), "1", start(), vec![granted(s3_key.clone(), 1, start())]).await;
    let video_id = streamio_events::id::VideoId::of(&s3_key);
    let owner = project("acme");
    let row = refresh(&dynamo.log, &views, &policy(), &owner, &video_id).await.unwrap();
    let rewrite = |form: &'static str| {
        let client = dynamo.client();
        let pk = format!("video#acme#{video_id}");
        async move {
            use aws_sdk_dynamodb::types::AttributeValue::{N, S};
            let request =
                client.update_item().table_name(TABLE).key("pk", S(pk)).key("sk", S("-".to_owned()));
            let request = request.update_expression("SET #row = :row, #form = :form");
            let request =
                request.expression_attribute_names("#row", "row").expression_attribute_names("#form", "form");
            let request = request.expression_attribute_values(":row", S("{\"video\":[]}".to_owned()));
            request.expression_attribute_values(":form", N(form.to_owned())).send().await.unwrap();
        }
    };
    rewrite("0").await;
    assert_eq!(
        views.list(&owner, &VideoFilter::default(), None, 10).await.unwrap().videos,
        [row.status.clone().unwrap()]
    );
    assert_eq!(views.get(&owner, &video_id).await.unwrap(), None);
    assert_eq!(refresh(&dynamo.log, &views, &policy(), &owner, &video_id).await.unwrap(), row);
    assert_eq!(
        views.get(&owner, &video_id).await.unwrap(),
        Some(row.clone()),
        "the older format is replaced"
    );
    rewrite("9").await;
    assert!(!views.put(&VideoRow::of(Video { version: 9, ..row.video }, &policy())).await.unwrap());
}

/// Builds with four partitions of due videos wrote all of them to these.
#[tokio::test]
async fn a_due_video_in_a_partition_of_an_earlier_build_is_found_and_gets_its_new_place() {
    use aws_sdk_dynamodb::types::AttributeValue::S;

    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let owner = project("acme");
    let mut rows = Vec::new();
    for number in 0..12 {
        let name = format!("v{number}");
        let granted = granted(key_of("acme", &name), number, start());
        append(&dynamo.log, &video("acme", &name), "1", start(), vec![granted]).await;
        let video_id = streamio_events::id::VideoId::of(&key_of("acme", &name));
        let row = refresh(&dynamo.log, &views, &policy(), &owner, &video_id).await.unwrap();
        let shard = Part::slot(&row.video.stream()) % 4;
        let update = dynamo.client().update_item().table_name(TABLE);
        let update = update.key("pk", S(format!("video#acme#{video_id}"))).key("sk", S("-".to_owned()));
        let update = update.update_expression("SET due_shard = :shard");
        update.expression_attribute_values(":shard", S(format!("due#{shard}"))).send().await.unwrap();
        rows.push(row);
    }
    let due_at = rows.iter().filter_map(|row| row.due_at).max().unwrap();
    let found = views.due(Part::WHOLE, Urgency::Dispatch, due_at, 100).await.unwrap();
    assert_eq!(found.len(), 12);
    for row in &found {
        views.defer(row, row.due_at).await.unwrap();
    }
    assert!(views.due(Part::WHOLE, Urgency::Dispatch, due_at, 100).await.unwrap().is_empty());
    assert_eq!(views.due(Part::WHOLE, Urgency::Deferrable, due_at, 100).await.unwrap().len(), 12);
}
