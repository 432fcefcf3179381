//! The store equals a simple model of S3's versioning after any sequence of operations.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use streamio_local::s3::{
    CheckOptions, CopiedVersion, Deleted, ListRequest, NULL_VERSION, ObjectHeaders, ObjectVersion,
    Precondition, Store, StoreError, StoreOptions, VersionListRequest, Versioning, Watch, check_store,
};

use crate::listing::text;
use crate::server::files;

#[derive(Debug, Clone)]
enum Step {
    Put(String),
    PutIfAbsent(String),
    Delete(String),
    /// Deletes one of all versions.
    DeleteVersion(Index),
    /// Deletes one of all versions, and a key, in one transaction.
    DeleteMany(Index, String),
    /// Copies one of all versions to a key.
    Copy(Index, String),
    DeletePrefix(String),
    Versioning(Versioning),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys, so that they get several versions.
    let key = || select(vec!["a", "a/b", "a/c", "b", "é"]).prop_map(str::to_owned);
    let step = prop_oneof![
        8 => key().prop_map(Step::Put),
        1 => text(1..4).prop_map(Step::Put),
        2 => key().prop_map(Step::PutIfAbsent),
        4 => key().prop_map(Step::Delete),
        4 => any::<Index>().prop_map(Step::DeleteVersion),
        1 => (any::<Index>(), key()).prop_map(|(index, key)| Step::DeleteMany(index, key)),
        2 => (any::<Index>(), key()).prop_map(|(index, key)| Step::Copy(index, key)),
        1 => select(vec!["", "a/", "b"]).prop_map(|prefix| Step::DeletePrefix(prefix.to_owned())),
        2 => select(vec![Versioning::Enabled, Versioning::Suspended]).prop_map(Step::Versioning),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A version: its id and its content; `None` for a delete marker.
type Entry = (String, Option<String>);

/// S3's versioning in memory.
struct Model {
    versioning: Versioning,
    /// The newest version of each key first.
    keys: BTreeMap<String, Vec<Entry>>,
}

impl Model {
    fn current(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.first()?.1.as_deref()
    }

    fn add(&mut self, key: &str, version_id: Option<String>, content: Option<&str>) {
        let entries = self.keys.entry(key.to_owned()).or_default();
        let version_id = version_id.unwrap_or_else(|| NULL_VERSION.to_owned());
        if self.versioning == Versioning::Enabled {
            assert!(version_id != NULL_VERSION && entries.iter().all(|(other, _)| *other != version_id));
        } else {
            assert_eq!(version_id, NULL_VERSION);
            entries.retain(|(other, _)| other != NULL_VERSION);
        }
        entries.insert(0, (version_id, content.map(str::to_owned)));
    }

    fn delete(&mut self, key: &str, deleted: &Deleted) {
        assert_eq!(deleted.found, self.current(key).is_some());
        assert_eq!(deleted.delete_marker, self.versioning != Versioning::Off);
        if deleted.delete_marker {
            self.add(key, deleted.version_id.clone(), None);
        } else {
            assert_eq!(deleted.version_id, None);
            self.keys.remove(key);
        }
    }

    fn delete_version(&mut self, key: &str, version_id: &str, deleted: &Deleted) {
        let entries = self.keys.get_mut(key).unwrap();
        let place = entries.iter().position(|(other, _)| other == version_id).unwrap();
        let (_, content) = entries.remove(place);
        assert_eq!((deleted.found, deleted.delete_marker), (true, content.is_none()));
    }

    /// One of all versions; `None` if there is none.
    fn choose(&self, index: Index) -> Option<(String, String)> {
        let all: Vec<_> =
            self.keys.iter().flat_map(|(key, entries)| entries.iter().map(move |it| (key, &it.0))).collect();
        (!all.is_empty()).then(|| index.get(&all)).map(|(key, id)| ((*key).clone(), (*id).clone()))
    }

    fn content(&self, key: &str, version_id: &str) -> Option<String> {
        self.keys[key].iter().find(|(id, _)| id == version_id).unwrap().1.clone()
    }
}

async fn apply(store: &Store, bucket: &str, model: &mut Model, number: usize, step: Step) {
    let content = format!("content {number}");
    let none = Precondition::None;
    match step {
        Step::Put(key) => {
            let meta =
                store.put_bytes(bucket, &key, ObjectHeaders::default(), content.clone()).await.unwrap();
            model.add(&key, meta.version_id, Some(&content));
        }
        Step::PutIfAbsent(key) => {
            let body = futures::stream::iter([Ok::<_, std::io::Error>(content.clone().into())]);
            let staged = store.stage(body, None).await.unwrap();
            let put = store.put(bucket, &key, ObjectHeaders::default(), Precondition::Absent, staged).await;
            match put {
                Ok(meta) => {
                    assert_eq!(model.current(&key), None);
                    model.add(&key, meta.version_id, Some(&content));
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::PreconditionFailed { .. }), "{error}");
                    assert!(model.current(&key).is_some());
                }
            }
        }
        Step::Delete(key) => model.delete(&key, &store.delete(bucket, &key, none).await.unwrap()),
        Step::DeleteVersion(index) => {
            let Some((key, id)) = model.choose(index) else { return };
            let deleted = store.delete_version(bucket, &key, &id, none).await.unwrap();
            model.delete_version(&key, &id, &deleted);
        }
        Step::DeleteMany(index, other) => {
            let Some((key, id)) = model.choose(index) else { return };
            let list = vec![(key.clone(), Some(id.clone())), (other.clone(), None)];
            let deleted: Vec<_> =
                store.delete_many(bucket, list).await.unwrap().into_iter().map(Result::unwrap).collect();
            model.delete_version(&key, &id, &deleted[0]);
            model.delete(&other, &deleted[1]);
        }
        Step::Copy(index, target) => {
            let Some((key, id)) = model.choose(index) else { return };
            let source = CopiedVersion { bucket, key: &key, version_id: Some(&id) };
            let copied = store.copy(source, None, (bucket, &target), None, none).await;
            match model.content(&key, &id) {
                Some(content) => model.add(&target, copied.unwrap().version_id, Some(&content)),
                None => assert!(matches!(copied, Err(StoreError::DeleteMarker { .. }))),
            }
        }
        Step::DeletePrefix(prefix) => {
            let visible: Vec<String> =
                model.keys.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
            let visible: Vec<String> =
                visible.into_iter().filter(|key| model.current(key).is_some()).collect();
            let deleted = store.delete_prefix(bucket, &prefix).await.unwrap();
            assert_eq!(usize::try_from(deleted).unwrap(), visible.len());
            for key in visible {
                if model.versioning == Versioning::Off {
                    model.keys.remove(&key);
                } else {
                    let newest = store.versions(bucket, &key).await.unwrap().remove(0);
                    model.add(&key, Some(newest.version_id), None);
                }
            }
        }
        Step::Versioning(versioning) => {
            store.set_versioning(bucket, versioning).await.unwrap();
            model.versioning = versioning;
        }
    }
}

async fn content(store: &Store, bucket: &str, key: &str, version_id: &str) -> Option<String> {
    let object = store.get_version(bucket, key, version_id).await.unwrap()?;
    let mut stream = object.stream(0..u64::MAX);
    let mut bytes = Vec::new();
    while let Some(read) = stream.next().await {
        bytes.extend(read.unwrap());
    }
    Some(String::from_utf8(bytes).unwrap())
}

/// All pages of a listing of versions: the versions and the common prefixes.
async fn pages(
    store: &Store,
    bucket: &str,
    mut request: VersionListRequest,
) -> (Vec<ObjectVersion>, Vec<String>) {
    let (mut versions, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let page = store.list_versions(bucket, request.clone()).await.unwrap();
        let entries = page.versions.len() + page.common_prefixes.len();
        assert!(entries == request.limit || (page.next.is_none() && entries < request.limit));
        versions.extend(page.versions);
        prefixes.extend(page.common_prefixes);
        request.after = page.next;
        if request.after.is_none() {
            return (versions, prefixes);
        }
    }
}

/// Compares all that can be read of the bucket with the model.
async fn compare(store: &Store, bucket: &str, model: &Model, listing: &VersionListRequest) {
    let mut visible = BTreeSet::new();
    for (key, entries) in &model.keys {
        let versions = store.versions(bucket, key).await.unwrap();
        let ids: Vec<&str> = versions.iter().map(|version| version.version_id.as_str()).collect();
        assert_eq!(ids, entries.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), "{key:?}");
        assert!(versions.is_sorted_by(|newer, older| newer.sequencer > older.sequencer));
        for (place, (version, (id, expected))) in versions.iter().zip(entries).enumerate() {
            assert_eq!(version.is_latest, place == 0);
            assert_eq!(version.is_delete_marker(), expected.is_none());
            assert_eq!(content(store, bucket, key, id).await.as_ref(), expected.as_ref());
            let meta = store.head_version(bucket, key, id).await.unwrap();
            assert_eq!(meta, version.object);
            let named = (model.versioning != Versioning::Off).then_some(id);
            assert!(meta.is_none_or(|meta| meta.version_id.as_ref() == named));
        }
        let head = store.head(bucket, key).await.unwrap();
        assert_eq!(head.is_some(), model.current(key).is_some());
        assert_eq!(head, versions.first().and_then(|newest| newest.object.clone()));
        if head.is_some() {
            visible.insert(key.clone());
        }
    }
    let listed = store.list(bucket, ListRequest { limit: 1_000, ..ListRequest::default() }).await.unwrap();
    assert_eq!(listed.objects.into_iter().map(|meta| meta.key).collect::<BTreeSet<_>>(), visible);

    let (versions, prefixes) = pages(store, bucket, listing.clone()).await;
    let (mut expected, mut expected_prefixes) = (Vec::new(), BTreeSet::new());
    for (key, entries) in model.keys.iter().filter(|(key, _)| key.starts_with(&listing.prefix)) {
        let rest = &key[listing.prefix.len()..];
        let end =
            listing.delimiter.as_ref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        match end {
            Some(end) if !entries.is_empty() => {
                expected_prefixes.insert(format!("{}{}", listing.prefix, &rest[..end]));
            }
            Some(_) => {}
            None => expected.extend(entries.iter().map(|(id, _)| (key.clone(), id.clone()))),
        }
    }
    let versions: Vec<_> = versions.into_iter().map(|version| (version.key, version.version_id)).collect();
    assert_eq!(versions, expected);
    assert_eq!(prefixes, expected_prefixes.into_iter().collect::<Vec<_>>());
}

#[test]
fn any_sequence_of_operations_has_the_result_that_the_model_has() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let delimiter = select(vec![None, Some("/"), Some("a"), Some("é")]);
    let strategy = (steps(), select(vec!["", "a", "a/"]), delimiter, 1..6_usize, any::<bool>());
    let directory = tempfile::tempdir().unwrap();
    let open = async || Store::open(directory.path(), StoreOptions::default()).await.unwrap();
    let cases = std::sync::atomic::AtomicU32::new(0);
    proptest!(ProptestConfig::with_cases(32), |((steps, prefix, delimiter, limit, begins_versioned) in strategy)| {
        runtime.block_on(async {
            let bucket = format!("bucket-{}", cases.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let store = open().await;
            store.ensure_bucket(&bucket, Watch::Off).await.unwrap();
            let mut model = Model { versioning: Versioning::Off, keys: BTreeMap::new() };
            if begins_versioned {
                apply(&store, &bucket, &mut model, 0, Step::Versioning(Versioning::Enabled)).await;
            }
            let listing = VersionListRequest {
                prefix: prefix.to_owned(),
                delimiter: delimiter.map(str::to_owned),
                after: None,
                limit,
            };
            for (number, step) in steps.into_iter().enumerate() {
                apply(&store, &bucket, &mut model, number, step).await;
            }
            compare(&store, &bucket, &model, &listing).await;
            // The same after a restart, and with exactly the files that are needed.
            drop(store);
            let store = open().await;
            compare(&store, &bucket, &model, &listing).await;
            // And with an index that was rebuilt.
            store.close().await;
            std::fs::remove_file(directory.path().join("objects.db")).unwrap();
            let options = CheckOptions { repair: true, read_bytes: true };
            let report = check_store(directory.path(), options, |_, _| {}).unwrap();
            assert!(report.faults.is_empty() && report.unreferenced == 0, "{report:?}");
            let store = open().await;
            compare(&store, &bucket, &model, &listing).await;
            let contents: BTreeSet<_> = model.keys.values().flatten().filter_map(|(_, content)| content.clone()).collect();
            assert_eq!(files(directory.path()).len(), contents.len());
            for (key, entries) in &model.keys {
                for (id, _) in entries {
                    store.delete_version(&bucket, key, id, Precondition::None).await.unwrap();
                }
            }
            assert_eq!(files(directory.path()), Vec::<String>::new());
        });
    });
}
