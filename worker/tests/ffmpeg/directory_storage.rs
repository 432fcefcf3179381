//! Storage adapter on a directory, `{root}/{bucket}/{key}`, with S3's conditions and multipart uploads, and fault injection.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::video::NULL_VERSION;
use streamio_worker::storage::{
    Condition, Content, Location, Multipart, MultipartStore, ObjectHeaders, ObjectInfo, Part, StorageError,
    WholeObjectStore,
};

/// Called before each operation with its name and key. If it returns an error, the operation fails with it.
pub(super) type Fault = Box<dyn Fn(&str, &str) -> Option<StorageError> + Send + Sync>;

pub(super) struct DirectoryStorage {
    root: PathBuf,
    state: Mutex<State>,
    fault: Mutex<Option<Fault>>,
    next: AtomicU64,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(String, String), Object>,
    uploads: BTreeMap<String, Upload>,
    operations: Vec<String>,
}

struct Object {
    etag: String,
    headers: Option<ObjectHeaders>,
}

struct Upload {
    headers: ObjectHeaders,
    parts: BTreeMap<u16, (String, Bytes)>,
}

impl DirectoryStorage {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            state: Mutex::default(),
            fault: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    pub(super) fn on_each_operation(
        &self,
        fault: impl Fn(&str, &str) -> Option<StorageError> + Send + Sync + 'static,
    ) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// All operations so far, as `Name key`.
    pub(super) fn operations(&self) -> Vec<String> {
        self.state.lock().unwrap().operations.clone()
    }

    pub(super) fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .objects
            .keys()
            .filter(|(in_bucket, _)| in_bucket == bucket)
            .map(|(_, key)| key.clone())
            .collect()
    }

    pub(super) fn headers(&self, bucket: &str, key: &str) -> ObjectHeaders {
        let state = self.state.lock().unwrap();
        state.objects[&(bucket.to_owned(), key.to_owned())]
            .headers
            .expect("the object was written by the worker")
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Stores an object as an uploader does. Returns a number that increases with each upload.
    pub(super) fn upload(&self, bucket: &str, key: &str, bytes: &[u8]) -> u64 {
        let location = Location { bucket: bucket.into(), key: key.into() };
        let mut state = self.state.lock().unwrap();
        self.write(&mut state, &location, bytes, None, &Condition::None, "PutObject").unwrap();
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The entity tag of a stored object. Unlike an operation, it can be called while a fault is injected into one.
    pub(super) fn stored_etag(&self, bucket: &str, key: &str) -> String {
        let id = (bucket.to_owned(), key.to_owned());
        self.state.lock().unwrap().objects[&id].etag.clone()
    }

    fn before_operation(&self, operation: &'static str, key: &str) -> Result<(), StorageError> {
        self.state.lock().unwrap().operations.push(format!("{operation} {key}"));
        self.fault.lock().unwrap().as_ref().and_then(|fault| fault(operation, key)).map_or(Ok(()), Err)
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn write(
        &self,
        state: &mut State,
        location: &Location,
        bytes: &[u8],
        headers: Option<ObjectHeaders>,
        condition: &Condition,
        operation: &'static str,
    ) -> Result<(), StorageError> {
        let id = (location.bucket.clone(), location.key.clone());
        let present = state.objects.get(&id).map(|object| &object.etag);
        let holds = match condition {
            Condition::None => true,
            Condition::Absent => present.is_none(),
            Condition::Matches(etag) => present == Some(etag),
        };
        if !holds {
            // S3 responds 404 to `If-Match` if the object does not exist.
            return Err(match (condition, present) {
                (Condition::Matches(_), None) => StorageError::NotFound { operation },
                _ => StorageError::PreconditionFailed { operation },
            });
        }
        let path = self.path(&location.bucket, &location.key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        state.objects.insert(id, Object { etag: self.etag(), headers });
        Ok(())
    }
}

#[async_trait]
impl WholeObjectStore for DirectoryStorage {
    async fn head(&self, location: &Location) -> Result<Option<ObjectInfo>, StorageError> {
        self.before_operation("HeadObject", &location.key)?;
        let state = self.state.lock().unwrap();
        let id = (location.bucket.clone(), location.key.clone());
        Ok(state.objects.get(&id).map(|object| ObjectInfo {
            bytes: std::fs::metadata(self.path(&location.bucket, &location.key)).unwrap().len(),
            etag: object.etag.clone(),
        }))
    }

    async fn read(&self, location: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.before_operation("GetObject", &location.key)?;
        let info = self.head(location).await?.ok_or(StorageError::NotFound { operation: "GetObject" })?;
        if info.etag != etag {
            return Err(StorageError::PreconditionFailed { operation: "GetObject" });
        }
        let bytes = std::fs::read(self.path(&location.bucket, &location.key)).unwrap();
        let end = usize::try_from(range.end).unwrap().min(bytes.len());
        Ok(Bytes::from(bytes).slice(usize::try_from(range.start).unwrap()..end))
    }

    /// The jobs of these tests name no version, and no object was there before its bucket had versions.
    async fn head_version(
        &self,
        location: &Location,
        version_id: &str,
    ) -> Result<Option<ObjectInfo>, StorageError> {
        assert_eq!(version_id, NULL_VERSION, "a version of {location:?} is read");
        Ok(None)
    }

    async fn read_version(&self, location: &Location, _: &str, _: Range<u64>) -> Result<Bytes, StorageError> {
        panic!("a version of {location:?} is read")
    }

    async fn put(
        &self,
        location: &Location,
        content: Content,
        headers: ObjectHeaders,
        condition: Condition,
    ) -> Result<(), StorageError> {
        self.before_operation("PutObject", &location.key)?;
        let bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::File(path) => std::fs::read(path).unwrap().into(),
        };
        let mut state = self.state.lock().unwrap();
        self.write(&mut state, location, &bytes, Some(headers), &condition, "PutObject")
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StorageError> {
        self.before_operation("ListObjectsV2", prefix)?;
        Ok(self.keys(bucket).into_iter().filter(|key| key.starts_with(prefix)).collect())
    }

    async fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), StorageError> {
        for key in keys {
            self.before_operation("DeleteObjects", key)?;
            if self.state.lock().unwrap().objects.remove(&(bucket.to_owned(), key.clone())).is_some() {
                std::fs::remove_file(self.path(bucket, key)).unwrap();
            }
        }
        Ok(())
    }

    async fn delete_if(&self, location: &Location, etag: &str) -> Result<(), StorageError> {
        self.before_operation("DeleteObject", &location.key)?;
        let id = (location.bucket.clone(), location.key.clone());
        let mut state = self.state.lock().unwrap();
        if state.objects.get(&id).is_some_and(|object| object.etag == etag) {
            state.objects.remove(&id);
            std::fs::remove_file(self.path(&location.bucket, &location.key)).unwrap();
        }
        Ok(())
    }
}

#[async_trait]
impl MultipartStore for DirectoryStorage {
    async fn begin(&self, location: &Location, headers: ObjectHeaders) -> Result<Multipart, StorageError> {
        self.before_operation("CreateMultipartUpload", &location.key)?;
        let upload_id = self.etag();
        let upload = Upload { headers, parts: BTreeMap::new() };
        self.state.lock().unwrap().uploads.insert(upload_id.clone(), upload);
        Ok(Multipart { location: location.clone(), upload_id })
    }

    async fn upload_part(&self, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part, StorageError> {
        self.before_operation("UploadPart", &upload.location.key)?;
        let etag = self.etag();
        let mut state = self.state.lock().unwrap();
        let stored = state
            .uploads
            .get_mut(&upload.upload_id)
            .ok_or(StorageError::NotFound { operation: "UploadPart" })?;
        stored.parts.insert(number, (etag.clone(), bytes));
        Ok(Part { number, etag })
    }

    async fn copy_part(
        &self,
        upload: &Multipart,
        number: u16,
        source: &Location,
        range: Range<u64>,
    ) -> Result<Part, StorageError> {
        let info = self.head(source).await?.ok_or(StorageError::NotFound { operation: "UploadPartCopy" })?;
        let bytes = self.read(source, &info.etag, range).await?;
        self.upload_part(upload, number, bytes).await
    }

    async fn complete(
        &self,
        upload: &Multipart,
        parts: &[Part],
        condition: Condition,
    ) -> Result<(), StorageError> {
        let operation = "CompleteMultipartUpload";
        self.before_operation(operation, &upload.location.key)?;
        let mut state = self.state.lock().unwrap();
        let stored = state.uploads.get(&upload.upload_id).ok_or(StorageError::NotFound { operation })?;
        assert!(parts.is_sorted_by_key(|part| part.number), "S3: InvalidPartOrder");
        let whole: Vec<u8> = parts
            .iter()
            .flat_map(|part| {
                let (etag, bytes) = &stored.parts[&part.number];
                assert_eq!(*etag, part.etag, "S3: InvalidPart");
                bytes.to_vec()
            })
            .collect();
        let headers = stored.headers;
        self.write(&mut state, &upload.location, &whole, Some(headers), &condition, operation)?;
        state.uploads.remove(&upload.upload_id);
        Ok(())
    }

    async fn abort(&self, upload: &Multipart) -> Result<(), StorageError> {
        self.before_operation("AbortMultipartUpload", &upload.location.key)?;
        self.state.lock().unwrap().uploads.remove(&upload.upload_id);
        Ok(())
    }
}
