//! The contract of stores of dead letters, as tests.

use std::collections::BTreeSet;

use streamio_events::timestamp::Timestamp;

use super::{DeadLetter, DeadLetterStore, DeadLetterSummary};

/// Returns a dead letter with this function and id.
pub fn dead_letter(function: &'static str, id: &str, payload: &str) -> DeadLetter {
    DeadLetter {
        function,
        id: id.to_owned(),
        at: Timestamp::from_unix_seconds(1_767_323_045),
        reason: format!("the record {id} cannot be handled"),
        payload: payload.to_owned(),
    }
}

/// Returns all dead letters of a function, read in pages of `limit`.
pub async fn list_all(
    store: &impl DeadLetterStore,
    function: &'static str,
    limit: usize,
) -> Vec<DeadLetterSummary> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(function, after.as_deref(), limit).await.expect("the list is read");
        assert!(page.dead_letters.len() <= limit, "a page is longer than its limit");
        all.extend(page.dead_letters);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// Checks the whole contract with an empty store.
pub async fn check(store: &impl DeadLetterStore) {
    let long = "Ä\u{1F3AC}".repeat(200_000);
    let long_id = "x".repeat(5000);
    let stored = [
        dead_letter("intake", "a", ""),
        dead_letter("intake", "b", &long),
        dead_letter("intake", "b#000002", "its id is that of a part of another"),
        dead_letter("intake", "bucket/projects/acme/a b.mp4/0055", "{\"v\":1}"),
        dead_letter("intake", &long_id, "{}"),
        dead_letter("views", "a", "of another function"),
    ];
    assert_eq!(list_all(store, "intake", 2).await, []);
    assert_eq!(store.get("intake", "a").await.expect("read"), None);
    for each in &stored {
        store.store(each.clone()).await.expect("stored");
    }
    let ids =
        |all: &[DeadLetterSummary]| -> BTreeSet<String> { all.iter().map(|it| it.id.clone()).collect() };
    for limit in [1, 2, 5, 100] {
        let all = list_all(store, "intake", limit).await;
        assert_eq!(all.len(), 5, "each is listed once");
        let expected: BTreeSet<String> = stored[..5].iter().map(|it| it.id.clone()).collect();
        assert_eq!(ids(&all), expected);
        for each in all {
            let whole = stored.iter().find(|it| it.function == each.function && it.id == each.id);
            let whole = whole.expect("it was stored");
            assert_eq!((each.at, &each.reason), (whole.at, &whole.reason));
        }
    }
    for each in &stored {
        assert!(
            store.get(each.function, &each.id).await.expect("read").as_ref() == Some(each),
            "{}",
            each.reason
        );
    }
    for _ in 0..2 {
        store.remove("intake", "b").await.expect("removed");
    }
    assert_eq!(store.get("intake", "b").await.expect("read"), None);
    assert_eq!(list_all(store, "intake", 100).await.len(), 4);
    let other = store.get("intake", "b#000002").await.expect("read");
    assert_eq!(other.as_ref(), Some(&stored[2]), "no part of another is removed");
    assert!(store.get("views", "a").await.expect("read").is_some());
    store.remove("intake", &long_id).await.expect("removed");
    // It may come again.
    store.store(stored[1].clone()).await.expect("stored");
    assert!(store.get("intake", "b").await.expect("read").as_ref() == Some(&stored[1]));
}
