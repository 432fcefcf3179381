//! Streams larger than a page of DynamoDB, and a replay of the whole log in parallel parts.

use std::collections::BTreeMap;

use serde_json::json;
use streamio_events::audit::{self, Verifier};
use streamio_events::commit::{Commit, Head};
use streamio_events::contract::LogHarness;
use streamio_events::log::{EventLog, Expected, Part};
use streamio_events::stream::StreamId;
use tokio::task::JoinSet;

use super::dynamo::{DynamoHarness, client_at, dynamo};
use super::proxy::Proxy;
use super::samples::{commit, stream};

/// A page of DynamoDB ends at 1 MB; this stream has four.
#[tokio::test]
async fn a_stream_of_many_megabytes_is_read_whole() {
    let harness = DynamoHarness::new();
    let writer = harness.open().await;
    let mut commits: Vec<Commit> = Vec::new();
    for n in 0..60 {
        let mut new = commit(&n.to_string(), 1 + n % 3);
        new.events[0].data = json!({ "n": n, "padding": "x".repeat(70_000) });
        commits.push(writer.append(&stream(0), Expected::Any, new).await.unwrap().commit);
    }
    let end = commits.last().unwrap().head();

    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let reader = || harness.open_with(client_at(&proxy.endpoint()));
    let whole = reader().await.read(&stream(0), 1, 1000).await.unwrap();
    assert!(whole.commits == commits && whole.next.is_none(), "{} commits", whole.commits.len());
    assert!(proxy.take_requests().len() >= 4, "one returned page is several of DynamoDB's");
    assert_eq!(audit::verify(&stream(0), &whole.commits, Some(end)), Ok(end));
    for from in [1, 2, 30, end.version - 1, end.version] {
        let rest: Vec<&Commit> = commits.iter().filter(|commit| commit.last() >= from).collect();
        for limit in [7, 59, 60, 61] {
            let page = reader().await.read(&stream(0), from, limit).await.unwrap();
            assert!(page.commits.iter().eq(rest.iter().take(limit).copied()), "from {from}, limit {limit}");
            assert_eq!(page.next, rest.get(limit).map(|commit| commit.first));
        }
    }

    // An id at the far end is known to be used, and so is the key of the next commit.
    let log = reader().await;
    proxy.take_requests();
    assert!(log.append(&stream(0), Expected::Any, commit("59", 1)).await.unwrap().repeated);
    let operations = proxy.take_operations();
    assert!(operations.len() >= 5 && operations.last().unwrap() == "GetItem", "{operations:?}");
    let appended = log.append(&stream(0), Expected::Exactly(end.version), commit("60", 1)).await.unwrap();
    assert_eq!(appended.commit.prev_hash, end.hash);
    assert_eq!(proxy.take_operations(), ["PutItem"]);
    assert_eq!(log.find(&stream(0), &commits[58].id).await.unwrap().as_ref(), Some(&commits[58]));
}

const STREAMS: usize = 240;
const COMMITS: usize = 2400;

fn nth(n: usize) -> StreamId {
    format!("grants/acme/20260102{:02}/{}", n / 100, n % 100).parse().unwrap()
}

/// A task per part verifies the chains of the part's streams as they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_whole_log_is_replayed_in_parallel_and_every_chain_verifies() {
    let harness = DynamoHarness::new();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let log = harness.open().await;
        writers.spawn(async move {
            for n in (0..COMMITS).filter(|n| n % STREAMS % 8 == writer) {
                let new = commit(&n.to_string(), 1 + n % 5);
                log.append(&nth(n % STREAMS), Expected::Any, new).await.unwrap();
            }
        });
    }
    writers.join_all().await;

    for parts in [1, 4, 16] {
        let mut readers = JoinSet::new();
        for index in 0..parts {
            let log = harness.open().await;
            readers.spawn(async move {
                let mut verifiers: BTreeMap<StreamId, (Verifier, usize)> = BTreeMap::new();
                let mut cursor: Option<String> = None;
                loop {
                    let page =
                        log.scan(Part::new(index, parts).unwrap(), cursor.as_deref(), 500).await.unwrap();
                    for commit in page.commits {
                        let (verifier, commits) = verifiers
                            .entry(commit.stream.clone())
                            .or_insert_with(|| (Verifier::new(commit.stream.clone(), None), 0));
                        verifier.follow(&commit).unwrap();
                        *commits += 1;
                    }
                    cursor = page.next;
                    if cursor.is_none() {
                        break verifiers;
                    }
                }
            });
        }
        let mut heads: BTreeMap<StreamId, Head> = BTreeMap::new();
        for (of, (verifier, commits)) in readers.join_all().await.into_iter().flatten() {
            assert_eq!(commits, COMMITS / STREAMS, "{of}");
            assert_eq!(heads.insert(of, verifier.finish().unwrap()), None, "a stream is in one part");
        }
        assert_eq!(heads.len(), STREAMS);
        for n in [0, 17, STREAMS - 1] {
            assert_eq!(heads[&nth(n)], harness.open().await.head(&nth(n)).await.unwrap());
        }
    }
}
