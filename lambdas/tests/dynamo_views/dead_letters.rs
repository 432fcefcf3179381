use std::time::Duration;

use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters as _, contract};
use streamio_events::timestamp::Timestamp;

use crate::stored::dead_letters;
use crate::test_dynamo::{TABLE, TestDynamo};

fn dead_letter(id: &str, payload: String) -> DeadLetter {
    DeadLetter {
        function: "intake",
        id: id.to_owned(),
        at: Timestamp::from_unix_seconds(1_767_323_045),
        reason: "not the JSON of a fact: EOF".to_owned(),
        payload,
    }
}

#[tokio::test]
async fn a_dead_letter_is_stored_whole_and_once() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let all = [
        dead_letter("49590338271490256608559692538361571095921575989136588898", "{\"v\":1".to_owned()),
        dead_letter("a", String::new()),
        dead_letter("b", "Ä\u{1F3AC}".repeat(200_000)),
        dead_letter("b#000002", "its id is the sort key of a part of another".to_owned()),
    ];
    for each in all.iter().chain(&all) {
        views.store(each.clone()).await.unwrap();
    }
    let later = DeadLetter { reason: "another".to_owned(), ..dead_letter("a", "another".to_owned()) };
    views.store(later).await.unwrap();
    views.store(DeadLetter { function: "react", ..dead_letter("a", String::new()) }).await.unwrap();
    let long_id = dead_letter(&"x".repeat(5000), String::new());
    views.store(long_id.clone()).await.unwrap();
    let stored = dead_letters(&dynamo, "intake").await;
    let mut expected = Vec::from(all);
    expected.push(long_id);
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(stored == expected, "{:?}", stored.iter().map(|each| &each.id).collect::<Vec<_>>());
    assert_eq!(dead_letters(&dynamo, "react").await.len(), 1);

    let ttl = dynamo.client().scan().table_name(TABLE).projection_expression("#ttl, #at");
    let ttl = ttl.expression_attribute_names("#ttl", "ttl").expression_attribute_names("#at", "at");
    let items = ttl.send().await.unwrap().items.unwrap();
    assert!(items.len() > 6);
    let month = dead_letter("", String::new()).at.plus(Duration::from_hours(720)).unix_seconds().to_string();
    assert!(items.iter().all(|item| item["ttl"].as_n() == Ok(&month)), "each part expires after a month");
    let described = dynamo.client().describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let described = described.time_to_live_description.unwrap();
    assert_eq!(described.attribute_name(), Some("ttl"));
}

#[tokio::test]
async fn dead_letters_are_listed_read_and_removed_by_the_contract() {
    contract::check(&TestDynamo::new().views().await).await;
}

/// Parts that are left after a removal that was interrupted are those of the dead letter that comes again.
#[tokio::test]
async fn a_dead_letter_whose_removal_was_interrupted_is_absent_and_may_come_again() {
    use streamio_core::ports::dead_letters::DeadLetterStore as _;

    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let long = dead_letter("long", "x".repeat(800 * 1024));
    views.store(long.clone()).await.unwrap();
    let key = ["pk", "sk"].into_iter().zip(["dead#intake", "long"]);
    let key = key
        .map(|(name, value)| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned())));
    let request = dynamo.client().delete_item().table_name(TABLE).set_key(Some(key.collect()));
    request.send().await.unwrap();
    assert_eq!(views.get("intake", "long").await.unwrap(), None);
    views.store(long.clone()).await.unwrap();
    assert!(views.get("intake", "long").await.unwrap() == Some(long));
}
