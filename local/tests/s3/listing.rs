//! Listing in pages: every key once, in byte order.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::types::EncodingType;
use proptest::prelude::*;
use proptest::sample::select;
use streamio_local::s3::{ListRequest, Listing, ObjectHeaders, Precondition, Store, StoreOptions, Watch};

use crate::server::{RAW, S3TestServer, refusal};

#[derive(Debug, Clone)]
enum Step {
    Put(String),
    Delete(String),
    DeletePrefix(String),
}

/// Short strings of edge cases: the delimiter, its neighbours in byte order, the limits of UTF-8's ranges, NUL.
pub(crate) fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let edge_case = select(vec![
        "a",
        "b",
        "/",
        "//",
        ".",
        "0",
        "é",
        "\u{0}",
        "\u{7f}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{10ffff}",
    ]);
    proptest::collection::vec(edge_case, length).prop_map(|pieces| pieces.concat())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => text(1..5).prop_map(Step::Put),
        2 => text(1..5).prop_map(Step::Delete),
        1 => text(1..3).prop_map(Step::DeletePrefix),
    ];
    proptest::collection::vec(step, 1..25)
}

/// A reference implementation: the keys and the common prefixes after the marker, in order.
fn expected(
    model: &BTreeMap<String, u64>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut common) = (BTreeSet::new(), BTreeSet::new());
    for key in model.keys().filter(|key| key.starts_with(prefix)) {
        let folder = delimiter.and_then(|delimiter| {
            let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
            Some(key[..end].to_owned())
        });
        match folder {
            Some(folder) => common.insert(folder),
            None => keys.insert(key.clone()),
        };
    }
    let later = |entry: &String| after.is_none_or(|after| entry.as_str() > after);
    (keys.into_iter().filter(later).collect(), common.into_iter().filter(later).collect())
}

async fn all_pages(store: &Store, bucket: &str, mut request: ListRequest) -> (Vec<Listing>, Listing) {
    let (mut pages, mut whole) = (Vec::new(), Listing::default());
    loop {
        let page = store.list(bucket, request.clone()).await.unwrap();
        whole.objects.extend(page.objects.clone());
        whole.common_prefixes.extend(page.common_prefixes.clone());
        request.after.clone_from(&page.next);
        pages.push(page);
        if request.after.is_none() {
            return (pages, whole);
        }
    }
}

#[test]
fn any_listing_in_pages_of_any_size_equals_that_of_a_sorted_map() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = runtime.block_on(Store::open(directory.path(), StoreOptions::default())).unwrap();
    let bucket_number = std::sync::atomic::AtomicU32::new(0);
    let delimiter = select(vec![None, Some("/"), Some("a"), Some("//"), Some("é"), Some("\u{10ffff}")]);
    let strategy = (steps(), text(0..3), delimiter, proptest::option::of(text(0..4)), 1..6_usize);
    proptest!(ProptestConfig::with_cases(64), |((steps, prefix, delimiter, after, limit) in strategy)| {
        let bucket = format!("bucket-{}", bucket_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        runtime.block_on(async {
            store.ensure_bucket(&bucket, Watch::Off).await.unwrap();
            let mut model = BTreeMap::new();
            for (size, step) in (0..).zip(steps) {
                match step {
                    Step::Put(key) => {
                        let bytes = vec![b'x'; usize::try_from(size).unwrap()];
                        store.put_bytes(&bucket, &key, ObjectHeaders::default(), bytes).await.unwrap();
                        model.insert(key, size);
                    }
                    Step::Delete(key) => {
                        let deleted = store.delete(&bucket, &key, Precondition::None).await.unwrap();
                        prop_assert_eq!(deleted.found, model.remove(&key).is_some());
                    }
                    Step::DeletePrefix(prefix) => {
                        let before = model.len();
                        model.retain(|key, _| !key.starts_with(&prefix));
                        let deleted = store.delete_prefix(&bucket, &prefix).await.unwrap();
                        prop_assert_eq!(usize::try_from(deleted).unwrap(), before - model.len());
                    }
                }
            }
            let request = ListRequest {
                prefix: prefix.clone(),
                delimiter: delimiter.map(str::to_owned),
                after: after.clone(),
                limit,
            };
            let (pages, whole) = all_pages(&store, &bucket, request).await;
            let (keys, common) = expected(&model, &prefix, delimiter, after.as_deref());
            let listed: Vec<String> = whole.objects.iter().map(|meta| meta.key.clone()).collect();
            prop_assert_eq!(&listed, &keys);
            prop_assert_eq!(&whole.common_prefixes, &common);
            for meta in &whole.objects {
                prop_assert_eq!(Some(&meta.size), model.get(&meta.key));
            }
            let (last, full) = pages.split_last().unwrap();
            for page in full {
                prop_assert_eq!(page.objects.len() + page.common_prefixes.len(), limit);
            }
            prop_assert!(last.objects.len() + last.common_prefixes.len() <= limit);
            Ok(())
        })?;
    });
}

#[tokio::test]
async fn objects_and_common_prefixes_are_listed_in_pages() {
    let server = S3TestServer::start().await;
    for key in ["a.txt", "b/1", "b/2", "c.txt", "d/x/1", "d/y", "e.txt", "f g+h%20é/1"] {
        server.put(key, key.as_bytes().to_vec()).await;
    }
    let mut pages =
        server.client.list_objects_v2().bucket(RAW).delimiter("/").into_paginator().page_size(2).send();
    let (mut entries, mut sizes) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!(page.max_keys(), Some(2));
        sizes.push(page.key_count().unwrap());
        entries.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        entries.extend(page.common_prefixes().iter().map(|common| common.prefix().unwrap().to_owned()));
    }
    entries.sort();
    assert_eq!(entries, ["a.txt", "b/", "c.txt", "d/", "e.txt", "f g+h%20é/"]);
    assert_eq!(sizes, [2, 2, 2]);

    let list = || server.client.list_objects_v2().bucket(RAW);
    let keys = |output: aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        output.contents().iter().map(|object| object.key().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(list().prefix("d/").send().await.unwrap()), ["d/x/1", "d/y"]);
    assert_eq!(keys(list().start_after("d/x/1").max_keys(1).send().await.unwrap()), ["d/y"]);
    assert_eq!(keys(list().max_keys(0).send().await.unwrap()), [""; 0]);
    let encoded = list().prefix("f").encoding_type(EncodingType::Url).send().await.unwrap();
    assert_eq!(keys(encoded), ["f%20g%2Bh%2520%C3%A9/1"]);
    let listed = list().prefix("a").send().await.unwrap();
    assert_eq!(listed.contents()[0].size(), Some(5));
    assert_eq!(
        listed.contents()[0].e_tag(),
        server.client.head_object().bucket(RAW).key("a.txt").send().await.unwrap().e_tag()
    );
}

#[tokio::test]
async fn a_page_has_at_most_1000_entries() {
    let server = S3TestServer::start().await;
    for index in 0..1001 {
        server.store.put_bytes(RAW, &format!("{index:04}"), ObjectHeaders::default(), "").await.unwrap();
    }
    let page = server.client.list_objects_v2().bucket(RAW).max_keys(5000).send().await.unwrap();
    assert_eq!(page.contents().len(), 1000);
    assert_eq!(page.is_truncated(), Some(true));
    let token = page.next_continuation_token().unwrap();
    let rest = server.client.list_objects_v2().bucket(RAW).continuation_token(token).send().await.unwrap();
    assert_eq!(rest.contents().len(), 1);
    assert_eq!(rest.is_truncated(), Some(false));
}

#[tokio::test]
async fn invalid_list_requests_are_refused() {
    let server = S3TestServer::start().await;
    let list = || server.client.list_objects_v2().bucket(RAW);
    assert_eq!(refusal(list().max_keys(-1).send().await), (400, "InvalidArgument".into()));
    assert_eq!(refusal(list().continuation_token("%%%").send().await), (400, "InvalidArgument".into()));
    assert_eq!(refusal(list().encoding_type("base1".into()).send().await), (400, "InvalidArgument".into()));
}
