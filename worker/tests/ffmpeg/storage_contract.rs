//! The contract of the storage ports, tested on the tests' directory adapter and on the S3 adapter against a server that
//! verifies signatures.

use bytes::Bytes;
use streamio_worker::storage::{
    Condition, Content, Location, ObjectHeaders, Storage, StorageError, WholeObjectStore,
};

use super::directory_storage::DirectoryStorage;
use super::s3_server::S3Server;

const PLAIN: ObjectHeaders = ObjectHeaders::immutable("text/plain");

fn at(key: &str) -> Location {
    Location { bucket: "bucket".into(), key: key.into() }
}

fn content(text: &str) -> Content {
    Content::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

async fn text(storage: &dyn Storage, key: &str) -> String {
    let info = storage.head(&at(key)).await.unwrap().expect("an object");
    let bytes = storage.read(&at(key), &info.etag, 0..info.bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, info.bytes);
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn contract(storage: &dyn Storage) {
    whole_objects(storage).await;
    conditions(storage).await;
    parts(storage).await;
    listing_and_deleting(storage).await;
}

async fn whole_objects(storage: &dyn Storage) {
    let key = "folder/a name with + % and é.txt";
    assert_eq!(storage.head(&at(key)).await.unwrap(), None);
    storage.put(&at(key), content("0123456789"), PLAIN, Condition::None).await.unwrap();
    assert_eq!(text(storage, key).await, "0123456789");
    let info = storage.head(&at(key)).await.unwrap().unwrap();
    assert_eq!(storage.read(&at(key), &info.etag, 2..5).await.unwrap(), "234");
    assert_eq!(storage.read(&at(key), &info.etag, 8..100).await.unwrap(), "89");
    let missing = storage.read(&at("nothing"), "\"x\"", 0..1).await;
    assert!(matches!(missing, Err(StorageError::NotFound { .. })), "{missing:?}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "from a file").unwrap();
    storage.put(&at(key), Content::File(file.path().to_owned()), PLAIN, Condition::None).await.unwrap();
    assert_eq!(text(storage, key).await, "from a file");
}

async fn conditions(storage: &dyn Storage) {
    let key = "pointer";
    storage.put(&at(key), content("1"), PLAIN, Condition::Absent).await.unwrap();
    let again = storage.put(&at(key), content("2"), PLAIN, Condition::Absent).await;
    assert!(matches!(again, Err(StorageError::PreconditionFailed { .. })), "{again:?}");
    let observed = storage.head(&at(key)).await.unwrap();
    storage.put(&at(key), content("3"), PLAIN, Condition::unchanged_since(observed.as_ref())).await.unwrap();
    let stale =
        storage.put(&at(key), content("4"), PLAIN, Condition::unchanged_since(observed.as_ref())).await;
    assert!(matches!(stale, Err(StorageError::PreconditionFailed { .. })), "{stale:?}");
    assert_eq!(text(storage, key).await, "3");
}

async fn parts(storage: &dyn Storage) {
    let first = "a".repeat(5 * 1024 * 1024);
    let key = "parts";
    let upload = storage.begin(&at(key), PLAIN).await.unwrap();
    // Parts can be uploaded in any order.
    let two = storage.upload_part(&upload, 2, "b".into()).await.unwrap();
    let one = storage.upload_part(&upload, 1, first.clone().into()).await.unwrap();
    assert_eq!(storage.head(&at(key)).await.unwrap(), None, "nothing is visible yet");
    storage.complete(&upload, &[one, two], Condition::Absent).await.unwrap();
    assert!(text(storage, key).await == format!("{first}b"));

    let source = "folder/source with + % and é";
    storage.put(&at(source), content("0123456789"), PLAIN, Condition::None).await.unwrap();
    let upload = storage.begin(&at("copy"), PLAIN).await.unwrap();
    let part = storage.copy_part(&upload, 1, &at(source), 2..6).await.unwrap();
    storage.complete(&upload, &[part], Condition::None).await.unwrap();
    assert_eq!(text(storage, "copy").await, "2345");

    let upload = storage.begin(&at("copy"), PLAIN).await.unwrap();
    let part = storage.copy_part(&upload, 1, &at(source), 0..1).await.unwrap();
    let refused = storage.complete(&upload, &[part], Condition::Absent).await;
    assert!(matches!(refused, Err(StorageError::PreconditionFailed { .. })), "{refused:?}");
    storage.abort(&upload).await.unwrap();
    let aborted = storage.upload_part(&upload, 2, "b".into()).await;
    assert!(aborted.is_err(), "{aborted:?}");
    assert_eq!(text(storage, "copy").await, "2345");
}

async fn listing_and_deleting(storage: &dyn Storage) {
    for key in ["list/a/1", "list/a/2 +%é", "list/b/1", "listing"] {
        storage.put(&at(key), content(key), PLAIN, Condition::None).await.unwrap();
    }
    let mut keys = storage.list("bucket", "list/a/").await.unwrap();
    keys.sort();
    assert_eq!(keys, ["list/a/1", "list/a/2 +%é"]);
    keys.push("list/a/never there".into());
    storage.delete("bucket", &keys).await.unwrap();
    assert_eq!(storage.list("bucket", "list/").await.unwrap(), ["list/b/1"]);
    assert_eq!(storage.list("bucket", "nothing/").await.unwrap(), Vec::<String>::new());
}

/// Separate from `contract`, because `s3s-fs` ignores `If-Match` when reading.
async fn reads_are_pinned(storage: &dyn Storage) {
    let key = "pinned";
    storage.put(&at(key), content("1"), PLAIN, Condition::None).await.unwrap();
    let info = storage.head(&at(key)).await.unwrap().unwrap();
    storage.put(&at(key), content("2"), PLAIN, Condition::None).await.unwrap();
    let replaced = storage.read(&at(key), &info.etag, 0..1).await;
    assert!(matches!(replaced, Err(StorageError::PreconditionFailed { .. })), "{replaced:?}");
}

#[tokio::test]
async fn the_directory_adapter_fulfils_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let storage = DirectoryStorage::new(directory.path());
    contract(&storage).await;
    reads_are_pinned(&storage).await;
}

#[tokio::test]
async fn the_s3_adapter_fulfils_the_contract() {
    let server = S3Server::start().await;
    contract(&server.client("secret").await).await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_is_not_in_the_error() {
    let server = S3Server::start().await;
    let wrong = server.client("a-wrong-secret").await;
    let error = wrong.put(&at("a"), content("a"), PLAIN, Condition::None).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { status: 403, .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("a-wrong-secret"));
}
