use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::backup::restore;
use crate::operator::{IfMissing, Operator};
use crate::s3::{NewUpload, ObjectHeaders, Precondition, Store, StoreOptions, Versioning, Watch};

fn silent() -> Report {
    Arc::new(|_, _| ())
}

/// A data directory with a project and an object store that is open.
struct Data {
    scratch: tempfile::TempDir,
    store: Store,
}

impl Data {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        Operator::open(&data, IfMissing::Create)
            .unwrap()
            .create_project(&"acme".parse().unwrap(), None)
            .await
            .unwrap();
        let store = Store::open(data.join(STORE), StoreOptions::default()).await.unwrap();
        store.create_bucket("raw", Watch::Created).await.unwrap();
        Self { scratch, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    async fn put(&self, key: &str, bytes: &'static str) {
        self.store.put_bytes("raw", key, ObjectHeaders::default(), bytes).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.store.delete("raw", key, Precondition::None).await.unwrap();
    }

    /// The first step of a backup, with what happens after each time that the databases were read.
    async fn take(&self, meanwhile: impl FnMut(u32) + Send + 'static) -> Result<Vec<String>, BackupError> {
        let (data, to) = (self.path("data"), self.path("copy"));
        blocking(move || {
            let mut files = Files::new(&data.join(STORE), &to)?;
            files.take_all(|_| ())?;
            let (_, referenced) = snapshot_with_files(&data, &mut files, meanwhile)?;
            files.remove_others(&referenced)?;
            files.check(&referenced)?;
            Ok(contents_of(&to.join("blobs")).into_values().collect())
        })
        .await
    }

    /// The files of the stored objects.
    fn files(&self) -> Vec<PathBuf> {
        contents_of(&self.path("data/s3/blobs")).into_keys().collect()
    }
}

/// The contents of the files below a directory, by their paths.
fn contents_of(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents_of(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            found.insert(path, text);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_deleted_after_the_index_was_read_makes_it_be_read_again() {
    let data = Data::new().await;
    data.put("kept", "kept").await;
    data.put("before", "deleted before its file is linked").await;
    let files = data.files();
    // Its file is not there when all are linked, as if it was stored after that.
    let late = files.iter().find(|file| fs::read_to_string(file).unwrap().starts_with("deleted")).unwrap();
    let hidden = data.path("hidden");
    fs::rename(late, &hidden).unwrap();
    let (store, runtime) = (data.store.clone(), tokio::runtime::Handle::current());
    let attempts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let taken = data.take(move |attempt| {
        seen.lock().unwrap().push(attempt);
        if attempt == 1 {
            runtime.block_on(store.delete("raw", "before", Precondition::None)).unwrap();
        }
    });
    assert_eq!(taken.await.unwrap(), ["kept"]);
    assert_eq!(*attempts.lock().unwrap(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_without_end_end_the_backup_with_an_error() {
    let data = Data::new().await;
    data.put("0", "0").await;
    let (directory, store) = (data.path("data/s3/blobs"), data.store.clone());
    let runtime = tokio::runtime::Handle::current();
    // Each time the index was read, its only object is replaced by another one.
    fs::remove_file(&data.files()[0]).unwrap();
    let taken = data.take(move |attempt| {
        runtime.block_on(async {
            store.delete("raw", &(attempt - 1).to_string(), Precondition::None).await.unwrap();
            store.put_bytes("raw", &attempt.to_string(), ObjectHeaders::default(), "x").await.unwrap();
        });
        for file in contents_of(&directory).into_keys() {
            fs::remove_file(file).unwrap();
        }
    });
    let error = taken.await.unwrap_err();
    assert!(matches!(error, BackupError::DeletedMeanwhile(ATTEMPTS)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_is_named_and_no_backup_is_made() {
    let data = Data::new().await;
    data.put("lost", "lost").await;
    let lost = data.files().remove(0);
    fs::remove_file(&lost).unwrap();
    let error = back_up(&data.path("data"), &data.path("backup"), silent()).await.unwrap_err();
    assert!(matches!(&error, BackupError::FileMissing(path) if *path == lost), "{error}");
    fs::write(&lost, "longer").unwrap();
    let error = back_up(&data.path("data"), &data.path("backup"), silent()).await.unwrap_err();
    assert!(matches!(error, BackupError::FileLength { found: 6, expected: 4, .. }), "{error}");
    assert!(!data.path("backup").exists() && !data.path("backup.partial").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_versions_and_parts_are_restored_and_what_was_deleted_is_not() {
    let data = Data::new().await;
    data.store.set_versioning("raw", Versioning::Enabled).await.unwrap();
    data.put("key", "first").await;
    data.put("key", "second").await;
    data.delete("key").await;
    let upload = data.store.create_upload("raw", "parts", NewUpload::default()).await.unwrap();
    let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"part"))]);
    let staged = data.store.stage(body, None).await.unwrap();
    data.store.put_part("raw", "parts", &upload.id, 1, staged).await.unwrap();
    // Files that the index does not name.
    fs::write(data.files()[0].with_file_name("0".repeat(32)), "unnamed").unwrap();
    fs::create_dir(data.path("data/s3/lost+found")).unwrap();
    fs::write(data.path("data/views.db"), "views").unwrap();

    let made = back_up(&data.path("data"), &data.path("backup"), silent()).await.unwrap();
    let Contents { object_versions, object_files, object_bytes, events, .. } = made.contents;
    assert_eq!((object_versions, object_files, object_bytes, events), (3, 3, 15, 2));
    let mut names: Vec<_> =
        fs::read_dir(data.path("backup")).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backup.json", "log.db", "s3"], "one file for each database");

    let restored = restore(&data.path("backup"), &data.path("restored"), silent()).await.unwrap();
    assert_eq!(restored, made);
    let mut contents: Vec<_> = contents_of(&data.path("restored/s3/blobs")).into_values().collect();
    contents.sort();
    assert_eq!(contents, ["first", "part", "second"]);
    let store = Store::open(data.path("restored/s3"), StoreOptions::default()).await.unwrap();
    assert!(store.head("raw", "key").await.unwrap().is_none(), "the delete marker");
    assert_eq!(store.parts("raw", "parts", &upload.id, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_log_without_objects_is_backed_up_and_objects_without_an_index_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let missing = back_up(&path("data"), &path("backup"), silent()).await.unwrap_err();
    assert!(matches!(missing, BackupError::NoData(_)), "{missing}");
    Operator::open(&path("data"), IfMissing::Create).unwrap();
    back_up(&path("data"), &path("backup"), silent()).await.unwrap();
    let inside = back_up(&path("data"), &path("data/backup"), silent()).await.unwrap_err();
    assert!(matches!(inside, BackupError::InsideData(_)), "{inside}");
    restore(&path("backup"), &path("restored"), silent()).await.unwrap();
    assert!(!path("restored/s3").exists());

    fs::create_dir_all(path("data/s3/blobs/00")).unwrap();
    fs::write(path("data/s3/blobs/00").join("0".repeat(32)), "x").unwrap();
    let refused = back_up(&path("data"), &path("other"), silent()).await.unwrap_err();
    assert!(matches!(refused, BackupError::IndexMissing(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_appended_between_the_moments_at_which_the_two_databases_are_read() {
    let data = Data::new().await;
    let (log, index) = (data.path("data/log.db"), data.path("data/s3/objects.db"));
    let holder = super::super::snapshot::open(&log).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (sender, taken) = std::sync::mpsc::channel();
    let thread = std::thread::spawn({
        let (log, index) = (log.clone(), index.clone());
        move || {
            let snapshot = Snapshot::take(&log, Some(&index)).unwrap();
            let referenced = index::referenced(snapshot.index().unwrap().0, &index).unwrap();
            sender.send(referenced.len()).unwrap();
        }
    });
    // A writer of the log is at work: what it stores before its end is in the index that is read.
    data.put("key", "bytes").await;
    assert!(taken.try_recv().is_err());
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(taken.recv().unwrap(), 1);
    thread.join().unwrap();
    // Writers wait for nothing afterwards.
    holder.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
}

#[tokio::test]
async fn a_backup_without_a_file_or_with_another_one_is_not_restored_and_the_file_is_named() {
    let data = Data::new().await;
    data.put("key", "bytes").await;
    let (backup, to) = (data.path("backup"), data.path("restored"));
    back_up(&data.path("data"), &backup, silent()).await.unwrap();
    let file = contents_of(&backup.join("s3/blobs")).into_keys().next().unwrap();
    fs::remove_file(&file).unwrap();
    let missing = restore(&backup, &to, silent()).await.unwrap_err();
    assert!(matches!(&missing, BackupError::FileMissing(path) if *path == file), "{missing}");
    fs::write(&file, "byte").unwrap();
    let shorter = restore(&backup, &to, silent()).await.unwrap_err();
    assert!(
        matches!(&shorter, BackupError::FileLength { path, found: 4, expected: 5 } if *path == file),
        "{shorter}"
    );
    assert!(!to.exists() && !data.path("restored.partial").exists());
    fs::write(&file, "bytes").unwrap();
    restore(&backup, &to, silent()).await.unwrap();
}
