//! Items that this program did not write, or that were changed later.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use streamio_events::audit::{self, Finding};
use streamio_events::contract::LogHarness;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::{AppendError, EventLog, EventLogExt, Expected, Part, ReadError};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::dynamo::{DynamoHarness, dynamo};
use super::samples::{commit, stream};

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn bytes(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// Sets an attribute of the commit that begins at `first`, or removes it.
async fn damage(
    harness: &DynamoHarness,
    of: &StreamId,
    first: u64,
    attribute: &str,
    value: Option<AttributeValue>,
) {
    let update = dynamo()
        .client()
        .update_item()
        .table_name(harness.table().await)
        .key("pk", text(&of.to_string()))
        .key("sk", number(&first.to_string()))
        .condition_expression("attribute_exists(sk)")
        .expression_attribute_names("#damaged", attribute);
    let update = match value {
        Some(value) => {
            update.update_expression("SET #damaged = :value").expression_attribute_values(":value", value)
        }
        None => update.update_expression("REMOVE #damaged"),
    };
    update.send().await.unwrap();
}

/// Puts an item that is not a commit.
async fn put(harness: &DynamoHarness, attributes: Vec<(&str, AttributeValue)>) {
    let item = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    dynamo().client().put_item().table_name(harness.table().await).set_item(Some(item)).send().await.unwrap();
}

/// Three streams with a commit of two events each.
async fn append_commits(log: &DynamoLog) {
    for (n, cause) in [(0, "before"), (1, "damaged"), (2, "after")] {
        log.append(&stream(n), Expected::Any, commit(cause, 2)).await.unwrap();
    }
}

#[tokio::test]
async fn an_invalid_item_is_an_error_that_states_the_reason() {
    for (attribute, value, reason) in [
        ("events", Some(text("not JSON")), "the events of its commit at 1 cannot be read"),
        ("events", Some(text("{}")), "the events of its commit at 1 cannot be read"),
        ("events", Some(text("[]")), "its commit at 1 states 2 events and has 0"),
        ("events", Some(bytes(b"[]")), "the events of its commit at 1 cannot be read"),
        ("events", None, "the events of its commit at 1 cannot be read"),
        ("n", Some(number("3")), "its commit at 1 states 3 events and has 2"),
        ("n", Some(number("-2")), "its commit at 1 states an unknown number of events and has 2"),
        ("n", Some(text("2")), "its commit at 1 states an unknown number of events and has 2"),
        ("at", Some(text("yesterday")), "its commit at 1 has no valid time"),
        ("at", Some(text("2026-01-02T03:04:05Z")), "its commit at 1 has no valid time"),
        ("prev", Some(bytes(&[0])), "its commit at 1 has no valid previous hash"),
        ("prev", Some(text(&"0".repeat(64))), "its commit at 1 has no valid previous hash"),
        ("hash", None, "its commit at 1 has no valid hash"),
        ("hash", Some(AttributeValue::Null(true)), "its commit at 1 has no valid hash"),
        ("id", Some(text("cmt_")), "its commit at 1 has no valid id"),
    ] {
        let harness = DynamoHarness::new();
        append_commits(&harness.open().await).await;
        damage(&harness, &stream(1), 1, attribute, value).await;
        let log = harness.open().await;
        let assert_damaged = |error: ReadError| match error {
            ReadError::Damaged { stream: named, reason: actual } => {
                assert_eq!(named, stream(1).to_string());
                assert!(actual.starts_with(reason), "{attribute}: {actual}");
            }
            error => panic!("{attribute}: {error:?}"),
        };
        assert_damaged(log.read(&stream(1), 1, 10).await.unwrap_err());
        assert_damaged(log.scan(Part::WHOLE, None, 10).await.unwrap_err());
        assert_damaged(log.find(&stream(1), &commit("other", 1).id).await.unwrap_err());
        // All other streams can be read and appended to.
        assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1);
        log.append(&stream(2), Expected::Exactly(2), commit("more", 1)).await.unwrap();
        // So can the end of this stream, to record that it is damaged, if the end can be determined.
        let appended = log.append(&stream(1), Expected::Any, commit("more", 1)).await;
        if matches!(attribute, "hash") || reason.contains("unknown number") {
            let error = appended.unwrap_err();
            assert!(
                matches!(&error, AppendError::Damaged { stream: named, .. } if *named == stream(1)),
                "{error:?}"
            );
            assert!(!error.is_retryable());
            let error = log.head(&stream(1)).await.unwrap_err();
            assert!(matches!(error, ReadError::Damaged { .. }), "{error:?}");
        } else {
            assert!(!appended.unwrap().repeated);
        }
    }
}

#[tokio::test]
async fn an_item_without_a_valid_stream_is_found_by_scans() {
    let harness = DynamoHarness::new();
    let log = harness.open().await;
    append_commits(&log).await;
    put(&harness, vec![("pk", text("nonsense")), ("sk", number("1"))]).await;
    let error = log.scan(Part::WHOLE, None, 10).await.unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { stream, .. } if stream == "nonsense"), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_item_without_a_valid_version_is_damaged() {
    for version in ["0", "-1", "1.5", "18446744073709551616"] {
        let harness = DynamoHarness::new();
        let log = harness.open().await;
        put(&harness, vec![("pk", text(&stream(0).to_string())), ("sk", number(version))]).await;
        let error = log.scan(Part::WHOLE, None, 10).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Damaged { reason, .. } if reason == "a commit has no version"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_repeated_id_whose_commit_is_damaged_is_neither_appended_nor_retried() {
    let harness = DynamoHarness::new();
    let writer = harness.open().await;
    append_commits(&writer).await;
    damage(&harness, &stream(1), 1, "events", Some(text("not JSON"))).await;
    // One handle that has the commit in its cache, and one that has not read it.
    for log in [writer, harness.open().await] {
        for expected in [Expected::Any, Expected::Exactly(0), Expected::Exactly(2)] {
            let error = log.append(&stream(1), expected, commit("damaged", 2)).await.unwrap_err();
            assert!(matches!(error, AppendError::Damaged { .. }), "{error:?}");
            assert!(!error.is_retryable());
        }
    }
}

#[tokio::test]
async fn a_removed_commit_is_not_appended_again() {
    let harness = DynamoHarness::new();
    let log = harness.open().await;
    for cause in ["first", "second", "third"] {
        log.append(&stream(0), Expected::Any, commit(cause, 1)).await.unwrap();
    }
    dynamo()
        .client()
        .delete_item()
        .table_name(harness.table().await)
        .key("pk", text(&stream(0).to_string()))
        .key("sk", number("2"))
        .send()
        .await
        .unwrap();
    let error = log.append(&stream(0), Expected::Any, commit("second", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Damaged { .. }), "{error:?}");
    // Other commits are appended at the stream's end, never in the gap.
    for log in [log, harness.open().await] {
        let appended = log.append(&stream(0), Expected::Any, commit("next", 1)).await.unwrap();
        assert_eq!(appended.commit.first, 4);
    }
}

#[tokio::test]
async fn an_audit_finds_changes_in_the_table() {
    let changed = commit("other", 2);
    let events = serde_json::to_string(&changed.events).unwrap();
    for (n, (first, attribute, value)) in [
        (3, "events", text(&events)),
        (3, "at", text("2026-01-02T03:04:05.001Z")),
        (3, "hash", bytes(&[0; 32])),
        (3, "prev", bytes(&[0; 32])),
    ]
    .into_iter()
    .enumerate()
    {
        let harness = DynamoHarness::new();
        let log = harness.open().await;
        for cause in ["first", "second", "third"] {
            log.append(&stream(0), Expected::Any, commit(cause, 2)).await.unwrap();
        }
        damage(&harness, &stream(0), first, attribute, Some(value)).await;
        let commits = log.read_to_end(&stream(0), 1).await.unwrap();
        let finding = audit::verify(&stream(0), &commits, None).unwrap_err();
        let expected = match n {
            0..=2 => matches!(finding, Finding::Changed { first: 3, .. }),
            _ => matches!(finding, Finding::BrokenLink { first: 3, .. }),
        };
        assert!(expected, "{attribute}: {finding:?}");
    }
}

/// What an operator's verification and list of projects read.
#[tokio::test]
async fn a_scan_that_goes_on_after_damage_returns_every_other_commit_in_any_parts_and_pages() {
    let harness = DynamoHarness::new();
    let log = harness.open().await;
    append_commits(&log).await;
    let project: StreamId = "project/acme".parse().unwrap();
    log.append(&project, Expected::Any, commit("project", 1)).await.unwrap();
    damage(&harness, &stream(1), 1, "events", Some(text("not JSON"))).await;
    put(&harness, vec![("pk", text("nonsense")), ("sk", number("1"))]).await;
    let scan = async |prefix: Option<&str>, parts: u32, limit: usize| {
        let (mut whole, mut damaged) = (Vec::new(), Vec::new());
        for part in (0..parts).map(|index| Part::new(index, parts).unwrap()) {
            let mut after: Option<String> = None;
            loop {
                let page = log.scan_streams(part, prefix, after.as_deref(), limit).await.unwrap();
                for commit in page.commits {
                    match commit {
                        Ok(commit) => whole.push(commit.stream.to_string()),
                        Err(item) => damaged.push(item.stream),
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        whole.sort();
        damaged.sort();
        (whole, damaged)
    };
    for (parts, limit) in [(1, 1), (1, 2), (1, 100), (3, 1), (4, 100)] {
        let (whole, damaged) = scan(None, parts, limit).await;
        assert_eq!(whole, [stream(0).to_string(), stream(2).to_string(), project.to_string()]);
        assert_eq!(damaged, [stream(1).to_string(), "nonsense".to_owned()]);
        assert_eq!(scan(Some("project/"), parts, limit).await, (vec![project.to_string()], vec![]));
        assert_eq!(scan(Some("video/"), parts, limit).await, (vec![], vec![]));
    }
}
