//! `ListObjectVersions` through the protocol: order, pages, common prefixes, encoding.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::EncodingType;

use crate::raw::RawRequest;
use crate::server::{RAW, S3TestServer, refusal};
use crate::signer::Signer;
use crate::versioned_server::VERSIONED;

/// The listed versions and delete markers, in the order of keys and, for a key, of age.
fn entries(page: &ListObjectVersionsOutput) -> Vec<(String, String, bool)> {
    let versions = page.versions().iter().map(|it| (it.key(), it.version_id(), it.is_latest()));
    let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id(), it.is_latest()));
    let owned = |(key, id, latest): (Option<&str>, Option<&str>, Option<bool>)| {
        (key.unwrap().to_owned(), id.unwrap().to_owned(), latest.unwrap())
    };
    versions.chain(markers).map(owned).collect()
}

#[tokio::test]
async fn versions_and_markers_are_listed_with_the_newest_first_and_one_latest_per_key() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("b", "one").await;
    let second = server.put_version("b", "second").await;
    let marker = server.delete_current("b").await;
    let other = server.put_version("a", "x").await;
    let listed = server.client.list_object_versions().bucket(VERSIONED).send().await.unwrap();
    let versions: Vec<_> = listed
        .versions()
        .iter()
        .map(|it| (it.key().unwrap(), it.version_id().unwrap(), it.is_latest().unwrap(), it.size().unwrap()))
        .collect();
    assert_eq!(versions, [("a", other.as_str(), true, 1), ("b", &second, false, 6), ("b", &first, false, 3)]);
    let head =
        server.client.head_object().bucket(VERSIONED).key("b").version_id(&first).send().await.unwrap();
    assert_eq!(listed.versions()[2].e_tag(), head.e_tag());
    let markers: Vec<_> =
        listed.delete_markers().iter().map(|it| (it.key(), it.version_id(), it.is_latest())).collect();
    assert_eq!(markers, [(Some("b"), Some(marker.as_str()), Some(true))]);
    assert_eq!((listed.is_truncated(), listed.next_key_marker()), (Some(false), None));
}

#[tokio::test]
async fn pages_of_any_size_list_every_version_and_common_prefix_once() {
    let server = S3TestServer::with_versions().await;
    let mut put = Vec::new();
    for key in ["a", "dir/1", "dir/2", "f g+h%20é", "z"] {
        for round in 0..3 {
            put.push((key.to_owned(), server.put_version(key, &format!("{round}")).await));
        }
    }
    put.push(("z".to_owned(), server.delete_current("z").await));
    put.sort();
    for (size, delimiter, prefix) in
        [(1, None, ""), (2, None, ""), (5, None, ""), (2, Some("/"), ""), (1, None, "dir/")]
    {
        let (mut listed, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
        let (mut key, mut version) = (None, None);
        loop {
            let list = server.client.list_object_versions().bucket(VERSIONED).prefix(prefix).max_keys(size);
            let list = list.set_delimiter(delimiter.map(str::to_owned));
            let page = list.set_key_marker(key).set_version_id_marker(version).send().await.unwrap();
            listed.extend(entries(&page).into_iter().map(|(key, id, _)| (key, id)));
            prefixes.extend(page.common_prefixes().iter().map(|it| it.prefix().unwrap().to_owned()));
            pages += 1;
            if page.is_truncated() == Some(false) {
                break;
            }
            (key, version) =
                (page.next_key_marker().map(str::to_owned), page.next_version_id_marker().map(str::to_owned));
        }
        listed.sort();
        let grouped = |key: &str| delimiter.is_some() && key.starts_with("dir/");
        let expected: Vec<_> =
            put.iter().filter(|(key, _)| key.starts_with(prefix) && !grouped(key)).cloned().collect();
        assert_eq!(listed, expected, "{size} {delimiter:?} {prefix:?}");
        let expected_prefixes: &[&str] = if delimiter.is_some() { &["dir/"] } else { &[] };
        assert_eq!(prefixes, expected_prefixes);
        let entries = listed.len() + prefixes.len();
        assert_eq!(pages, entries.div_ceil(usize::try_from(size).unwrap()));
    }
}

#[tokio::test]
async fn a_bucket_is_emptied_page_by_page_while_the_markers_refer_to_what_was_removed() {
    let server = S3TestServer::with_versions().await;
    // A null version among others, whose place is known only from the marker.
    server.put("k", b"null".to_vec()).await;
    server.set_versioning(RAW, aws_sdk_s3::types::BucketVersioningStatus::Enabled).await;
    for key in ["a", "k", "z"] {
        for _ in 0..3 {
            server.put(key, b"x".to_vec()).await;
        }
    }
    let (mut key, mut version, mut removed) = (None, None, 0);
    loop {
        let list = server.client.list_object_versions().bucket(RAW).max_keys(1);
        let page = list.set_key_marker(key).set_version_id_marker(version).send().await.unwrap();
        for (key, id, _) in entries(&page) {
            server.client.delete_object().bucket(RAW).key(key).version_id(id).send().await.unwrap();
            removed += 1;
        }
        if page.is_truncated() == Some(false) {
            break;
        }
        (key, version) =
            (page.next_key_marker().map(str::to_owned), page.next_version_id_marker().map(str::to_owned));
    }
    assert_eq!(removed, 10);
    let left = server.client.list_object_versions().bucket(RAW).send().await.unwrap();
    assert_eq!(entries(&left), []);
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn markers_that_clients_choose_are_places_in_the_listing() {
    let server = S3TestServer::with_versions().await;
    let a = server.put_version("a", "1").await;
    let b_old = server.put_version("b", "1").await;
    let b_new = server.put_version("b", "2").await;
    let ids = async |key: &str, version: Option<&str>| {
        let list = server.client.list_object_versions().bucket(VERSIONED).key_marker(key);
        let page = list.set_version_id_marker(version.map(str::to_owned)).send().await.unwrap();
        entries(&page).into_iter().map(|(_, id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids("a", None).await, [b_new.clone(), b_old.clone()]);
    assert_eq!(ids("a", Some(&a)).await, [b_new.clone(), b_old.clone()]);
    assert_eq!(ids("b", Some(&b_new)).await, std::slice::from_ref(&b_old));
    assert_eq!(ids("b", Some(&b_old)).await, [""; 0]);
    assert_eq!(ids("aa", None).await, [b_new.clone(), b_old.clone()]);
    // There is no null version: no version of the key is left out.
    assert_eq!(ids("b", Some("null")).await, [b_new, b_old]);

    let list = || server.client.list_object_versions().bucket(VERSIONED);
    let invalid = (400, "InvalidArgument".to_owned());
    assert_eq!(refusal(list().version_id_marker(&a).send().await), invalid);
    assert_eq!(refusal(list().key_marker("a").version_id_marker("v1").send().await), invalid);
    assert_eq!(refusal(list().max_keys(-1).send().await), invalid);
    assert_eq!(entries(&list().max_keys(0).send().await.unwrap()), []);
}

#[tokio::test]
async fn keys_are_encoded_on_request_and_unversioned_buckets_list_null_versions() {
    let server = S3TestServer::with_versions().await;
    server.put("f g+h%20é/1", b"x".to_vec()).await;
    let list = server.client.list_object_versions().bucket(RAW).encoding_type(EncodingType::Url);
    let listed = list.send().await.unwrap();
    assert_eq!(entries(&listed), [("f%20g%2Bh%2520%C3%A9/1".to_owned(), "null".to_owned(), true)]);
    let document =
        Signer::default().authorize(&server.host(), RawRequest::new("GET", format!("/{RAW}?versions=")));
    let document = document.send(server.address).await;
    assert_eq!(document.status, 200);
    let text = String::from_utf8(document.body).unwrap();
    for element in
        ["<ListVersionsResult", "<Version>", "<VersionId>null</VersionId>", "<IsLatest>true</IsLatest>"]
    {
        assert!(text.contains(element), "{element} in {text}");
    }
}
