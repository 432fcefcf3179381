//! Items of deliveries that cannot be read.

use aws_sdk_dynamodb::types::AttributeValue::{self, N, S};
use streamio_core::webhooks::view;

use super::*;

/// Sets an attribute of the item of a delivery.
async fn set(dynamo: &TestDynamo, key: &DeliveryKey, name: &str, value: AttributeValue) {
    let pk = format!("delivery#{}#{}#{}", key.project_id, key.webhook_id, key.message_id);
    let update =
        dynamo.client().update_item().table_name(TABLE).key("pk", S(pk)).key("sk", S("-".to_owned()));
    let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", name);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

/// A row of another form or with damaged JSON counts as absent, also if the log has the delivery. The next projection of the delivery writes it again.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_written_again() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo.log).await;
    rebuild::deliveries(&dynamo.log, &views, 1).await.unwrap();
    assert_folded(&dynamo, &views, &commits).await;
    for (name, value) in [("form", N("0".to_owned())), ("row", S("{".to_owned()))] {
        for commit in &commits {
            let key = DeliveryKey::of_stream(&commit.stream).unwrap();
            set(&dynamo, &key, name, value.clone()).await;
            assert_eq!(views.delivery(&key).await.unwrap(), None, "{name}");
        }
        let filter = DeliveryFilter::default();
        let listed = views.list_deliveries(&project("acme"), &filter, None, 100).await.unwrap();
        assert_eq!(listed.deliveries.len(), 8, "a list folds them");
        let key = DeliveryKey::of_stream(&commits[0].stream).unwrap();
        view::refresh(&dynamo.log, &views, &key, commits[0].last()).await.unwrap();
        assert!(views.delivery(&key).await.unwrap().is_some(), "{name}");
        rebuild::deliveries(&dynamo.log, &views, 1).await.unwrap();
        assert_folded(&dynamo, &views, &commits).await;
    }
}

#[tokio::test]
async fn an_item_of_the_index_that_cannot_be_read_hides_no_other() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let mut expected = Vec::new();
    for webhook in 0..6 {
        let one = delivery(webhook, webhook, Some(9));
        views.put_delivery(&one).await.unwrap();
        if webhook % 2 == 0 {
            let text = format!("acme#{}#not a time#{}", one.webhook_id, one.message_id);
            set(&dynamo, &DeliveryKey::of(&one), "due", S(text)).await;
        } else {
            expected.push(DeliveryKey::of(&one));
        }
    }
    expected.sort();
    let mut due = views.due_deliveries(seconds(10), 9, 99).await.unwrap();
    due.sort();
    assert_eq!(due, expected);
    assert_eq!(views.next_due(seconds(0)).await.unwrap(), Some(seconds(9)));
}

/// Rows are read whole, so that not only their number is limited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_rare_selection_reads_a_bounded_number_of_bytes() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let large = |number: usize| {
        let mut one = delivery(0, number, Some(9));
        let attempt = Attempt {
            number: Some(1),
            at: seconds(1),
            duration_milliseconds: Some(1),
            status: Some(500),
            answer: Some("x".repeat(1000)),
            error: None,
            retry_at: None,
        };
        one.attempts = vec![attempt; 40];
        one
    };
    for number in 0..240 {
        views.put_delivery(&large(number)).await.unwrap();
    }
    let filter = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let (mut pages, mut after) = (0, None);
    loop {
        let page = views.list_deliveries(&project("acme"), &filter, after.as_deref(), 10).await.unwrap();
        assert!(page.deliveries.is_empty());
        (pages, after) = (pages + 1, page.next);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3, "ten megabytes, a hundred rows at a time");
}
