//! The DynamoDB log against the contract of the log.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::types::AttributeValue;
use streamio_events::audit::Verifier;
use streamio_events::contract::LogHarness;
use streamio_events::dynamo::{DynamoLog, commit_from_item, ledger_table, with_retry_policy};
use streamio_events::emulators::LocalDynamo;
use streamio_events::log::{AppendError, EventLog, Expected, Part, ReadError};
use tokio::sync::OnceCell;

use super::samples::{commit, stream};

/// One emulator for all tests of this process; it ends with the process.
pub(crate) fn dynamo() -> &'static LocalDynamo {
    static DYNAMO: LazyLock<LocalDynamo> = LazyLock::new(|| LocalDynamo::start().unwrap());
    &DYNAMO
}

/// A table for one test. Each handle has a separate client and cache, as in another process.
pub(crate) struct DynamoHarness {
    name: String,
    made: OnceCell<()>,
}

impl DynamoHarness {
    pub(crate) fn new() -> Self {
        static HARNESS: AtomicU32 = AtomicU32::new(0);
        Self { name: format!("ledger-{}", HARNESS.fetch_add(1, Ordering::Relaxed)), made: OnceCell::new() }
    }

    /// The table's name. Creates the table at the first call.
    pub(crate) async fn table(&self) -> &str {
        self.made
            .get_or_init(async || {
                ledger_table(&self.name).send_with(&dynamo().client()).await.unwrap();
            })
            .await;
        &self.name
    }

    pub(crate) async fn open_with(&self, client: Client) -> DynamoLog {
        DynamoLog::new(client, self.table().await)
    }
}

impl LogHarness for DynamoHarness {
    type Log = DynamoLog;

    async fn open(&self) -> DynamoLog {
        self.open_with(dynamo().client()).await
    }
}

streamio_events::event_log_contract!(DynamoHarness::new());

/// A client of DynamoDB at another address, with short pauses between its four attempts. It has no timeouts: on a busy
/// machine they would add requests, and some tests count requests. Retries at this address do not use up those at others: the clients of a
/// process share a budget of retries by partition.
pub(crate) fn client_at(endpoint: &str) -> Client {
    let retries = RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(2));
    let config = dynamo().client().config().to_builder().endpoint_url(endpoint).retry_config(retries);
    Client::from_conf(config.retry_partition(RetryPartition::new(endpoint.to_owned())).build())
}

#[test]
fn the_ledgers_client_makes_four_attempts_within_a_time_limit() {
    let config = with_retry_policy(aws_sdk_dynamodb::Config::builder())
        .behavior_version(BehaviorVersion::latest())
        .build();
    let (retries, timeouts) = (config.retry_config().unwrap(), config.timeout_config().unwrap());
    assert_eq!(retries.max_attempts(), 4);
    assert_eq!(timeouts.operation_attempt_timeout(), Some(Duration::from_secs(3)));
    assert_eq!(timeouts.operation_timeout(), Some(Duration::from_secs(12)));
}

/// The stored form of a commit, which never changes.
#[tokio::test]
async fn a_commit_is_one_item_of_the_documented_form() {
    let harness = DynamoHarness::new();
    let log = harness.open().await;
    let stream = stream(0);
    log.append(&stream, Expected::Any, commit("first", 1)).await.unwrap();
    let appended = log.append(&stream, Expected::Any, commit("second", 2)).await.unwrap().commit;
    let client = dynamo().client();
    let items = client.scan().table_name(harness.table().await).send().await.unwrap().items.unwrap();
    let item = items.iter().find(|item| item["sk"] == AttributeValue::N("2".to_owned())).unwrap();
    assert_eq!(commit_from_item(item).unwrap(), appended);
    let attributes: BTreeMap<&String, String> =
        item.iter().map(|(name, value)| (name, described(value))).collect();
    insta::assert_debug_snapshot!(attributes);
}

fn described(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("S {text}"),
        AttributeValue::N(number) => format!("N {number}"),
        AttributeValue::B(bytes) => format!("B {}", base16ct::lower::encode_string(bytes.as_ref())),
        other => format!("{other:?}"),
    }
}

/// Parts are DynamoDB segments: each stream is in one of them, completely and in order, although all pages are short.
#[tokio::test]
async fn each_of_many_streams_is_completely_in_one_part() {
    let log = DynamoHarness::new().open().await;
    for n in 0..120 {
        for cause in 0..=n % 7 {
            log.append(&stream(n), Expected::Any, commit(&cause.to_string(), 1 + n % 3)).await.unwrap();
        }
    }
    for of in [1, 2, 8, 5000] {
        let mut verifiers = BTreeMap::new();
        for index in (0..of).filter(|index| of <= 8 || index % 100 < 2) {
            let part = Part::new(index, of).unwrap();
            let mut cursor: Option<String> = None;
            loop {
                let page = log.scan(part, cursor.as_deref(), 11).await.unwrap();
                for commit in page.commits {
                    let (at, verifier) = verifiers
                        .entry(commit.stream.clone())
                        .or_insert_with(|| (part, Verifier::new(commit.stream.clone(), None)));
                    assert_eq!(*at, part, "{} is in two parts", commit.stream);
                    verifier.follow(&commit).unwrap();
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        if of <= 8 {
            assert_eq!(verifiers.len(), 120);
        }
        for (stream, (_, verifier)) in verifiers {
            assert_eq!(verifier.finish().unwrap(), log.head(&stream).await.unwrap());
        }
    }
}

/// A missing table or missing permissions do not lead to a decision on wrong data.
#[tokio::test]
async fn without_a_table_the_log_is_not_available() {
    let log = DynamoLog::new(dynamo().client(), "missing");
    let error = log.append(&stream(0), Expected::Any, commit("cause", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
    for error in [
        log.head(&stream(0)).await.unwrap_err(),
        log.read(&stream(0), 1, 1).await.unwrap_err(),
        log.scan(Part::WHOLE, None, 1).await.unwrap_err(),
    ] {
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
}
