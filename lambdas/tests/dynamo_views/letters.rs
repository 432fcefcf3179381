use std::time::Duration;

use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters as _};
use streamio_events::timestamp::Timestamp;

use crate::bed::{DynamoBed, TABLE};

fn letter(id: &str, payload: String) -> DeadLetter {
    DeadLetter {
        function: "intake",
        id: id.to_owned(),
        at: Timestamp::from_unix_seconds(1_767_323_045),
        reason: "not the JSON of a fact: EOF".to_owned(),
        payload,
    }
}

#[tokio::test]
async fn a_letter_is_kept_whole_and_once() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let letters = [
        letter("49590338271490256608559692538361571095921575989136588898", "{\"v\":1".to_owned()),
        letter("a", String::new()),
        letter("b", "Ä\u{1F3AC}".repeat(200_000)),
        letter("b#000002", "one whose id is the name of another's part".to_owned()),
    ];
    for letter in letters.iter().chain(&letters) {
        views.keep(letter.clone()).await.unwrap();
    }
    let later = DeadLetter { reason: "another".to_owned(), ..letter("a", "another".to_owned()) };
    views.keep(later).await.unwrap();
    views.keep(DeadLetter { function: "react", ..letter("a", String::new()) }).await.unwrap();
    let long_id = letter(&"x".repeat(5000), String::new());
    views.keep(long_id.clone()).await.unwrap();
    let mut kept = views.letters("intake").await.unwrap();
    let mut expected = Vec::from(letters);
    expected.push(long_id);
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(kept == expected, "{:?}", kept.iter().map(|letter| &letter.id).collect::<Vec<_>>());
    assert_eq!(views.letters("react").await.unwrap().len(), 1);

    let ttl = bed.client().scan().table_name(TABLE).projection_expression("#ttl, #at");
    let ttl = ttl.expression_attribute_names("#ttl", "ttl").expression_attribute_names("#at", "at");
    let items = ttl.send().await.unwrap().items.unwrap();
    assert!(items.len() > 6);
    let month = letter("", String::new()).at.plus(Duration::from_hours(720)).unix_seconds().to_string();
    assert!(items.iter().all(|item| item["ttl"].as_n() == Ok(&month)), "each part goes after a month");
    let described = bed.client().describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let described = described.time_to_live_description.unwrap();
    assert_eq!(described.attribute_name(), Some("ttl"));
}
