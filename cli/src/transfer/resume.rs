//! The saved state of unfinished multipart uploads, so that the next run sends only the missing parts.
//!
//! There is one JSON file per upload. Its name is a hash of what identifies the upload: the file (path, size, modification
//! time), the API's address, the API key's id, and the request. It contains no signed URL and no key.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use streamio_events::id::KeyId;
use streamio_events::object_key::SourceKey;

use crate::client::wire::UploadRequest;
use crate::exit::{Exit, Failure};
use crate::transfer::baseline::Baseline;
use crate::transfer::source::Source;

/// Environment variable for another directory.
const DIRECTORY_VARIABLE: &str = "STREAMIO_STATE_DIR";
/// Version of the file format. Files with another version are ignored.
const FORMAT_VERSION: u32 = 2;
/// Multipart upload URLs expire by then, and buckets abort older uploads.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// The directory of the state files: `STREAMIO_STATE_DIR`, otherwise `streamio/uploads` in the user's state
/// directory (`XDG_STATE_HOME`, by default `~/.local/state`).
pub(crate) fn directory() -> Result<PathBuf, Failure> {
    if let Some(path) =
        std::env::var_os(DIRECTORY_VARIABLE).filter(|path| !path.to_string_lossy().trim().is_empty())
    {
        return Ok(PathBuf::from(path));
    }
    let strategy = etcetera::choose_base_strategy().map_err(|_| {
        Failure::new(
            Exit::Failed,
            "there is no home directory for the state of uploads",
            format!("set {DIRECTORY_VARIABLE} to a directory"),
        )
    })?;
    let base = strategy.state_dir().unwrap_or_else(|| strategy.cache_dir());
    Ok(base.join("streamio").join("uploads"))
}

/// What identifies an upload across runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity<'a> {
    path: &'a Path,
    size: u64,
    modified_nanos: u128,
    api: &'a str,
    key_id: &'a KeyId,
    request: &'a UploadRequest,
}

impl<'a> Identity<'a> {
    /// The upload of `source` to the API at `api` with the key `key_id` and `request`.
    pub(crate) fn new(
        source: &'a Source,
        api: &'a str,
        key_id: &'a KeyId,
        request: &'a UploadRequest,
    ) -> Self {
        let modified_nanos = source.modified.as_nanos();
        Self { path: &source.path, size: source.size, modified_nanos, api, key_id, request }
    }

    fn file_stem(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes());
        HEXLOWER.encode(&Sha256::digest(json))[..32].to_owned()
    }
}

/// A multipart upload in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unfinished {
    #[serde(rename = "shape")]
    format_version: u32,
    /// The path of the file, for humans who read the state file.
    file: String,
    /// S3's id of the upload.
    pub(crate) upload_id: String,
    /// Bytes of every part except the last.
    pub(crate) part_size: u64,
    /// The key that the upload was granted.
    pub(crate) s3_key: SourceKey,
    /// What the request for its URLs said about replacing a file.
    pub(crate) overwrite: Option<bool>,
    /// The video before the upload.
    pub(crate) baseline: Option<Baseline>,
    /// Entity tags of the stored parts, by part number.
    pub(crate) parts: BTreeMap<u32, String>,
}

impl Unfinished {
    /// An upload without stored parts.
    pub(crate) fn new(source: &Source, upload_id: String, part_size: u64, s3_key: SourceKey) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            file: source.path.display().to_string(),
            upload_id,
            part_size,
            s3_key,
            overwrite: None,
            baseline: None,
            parts: BTreeMap::new(),
        }
    }

    /// The request for new URLs of this upload, which was begun with `request`. It names the key that was granted: a request for
    /// a unique key would be for another one.
    pub(crate) fn continued(&self, request: &UploadRequest) -> UploadRequest {
        let (path, filename) = self.s3_key.rest().rsplit_once('/').unwrap_or(("", self.s3_key.rest()));
        let path = (!path.is_empty()).then(|| path.to_owned());
        UploadRequest {
            filename: filename.to_owned(),
            path,
            overwrite: self.overwrite,
            unique: None,
            upload_id: Some(self.upload_id.clone()),
            ..request.clone()
        }
    }
}

/// The state file of one upload. Locked against other processes while it is open.
#[derive(Debug)]
pub(crate) struct UploadState {
    path: PathBuf,
    unfinished: Option<Unfinished>,
    _lock: File,
}

impl UploadState {
    /// Opens the state of the upload `identity` in `directory`, including parts stored by an earlier run.
    pub(crate) fn open(directory: &Path, identity: &Identity<'_>) -> Result<Self, Failure> {
        let failed = |error: &io::Error| unusable(directory, error);
        fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        remove_old(directory, SystemTime::now());
        let path = directory.join(format!("{}.json", identity.file_stem()));
        let lock = open_private(&path.with_extension("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(
                    Exit::Failed,
                    "another run of this command is uploading the same file with the same options",
                    "wait for it to end",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // An unreadable file is ignored, and the upload starts again.
        let unfinished = fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let unfinished =
            unfinished.filter(|unfinished: &Unfinished| unfinished.format_version == FORMAT_VERSION);
        Ok(Self { path, unfinished, _lock: lock })
    }

    /// The upload in progress, if there is one.
    pub(crate) fn unfinished(&self) -> Option<&Unfinished> {
        self.unfinished.as_ref()
    }

    /// Saves a new upload.
    pub(crate) fn begin(&mut self, unfinished: Unfinished) -> Result<(), Failure> {
        self.unfinished = Some(unfinished);
        self.save()
    }

    /// Saves that a part is stored.
    pub(crate) fn record_part(&mut self, part_number: u32, etag: String) -> Result<(), Failure> {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.parts.insert(part_number, etag);
        }
        self.save()
    }

    /// Deletes the state: there is nothing to resume.
    pub(crate) fn clear(&mut self) {
        self.unfinished = None;
        // If the file remains, the next run finds that the upload no longer exists.
        let _ = fs::remove_file(&self.path);
    }

    /// Replaces the file atomically.
    fn save(&self) -> Result<(), Failure> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let failed = |error: &io::Error| unusable(directory, error);
        let json = serde_json::to_vec(&self.unfinished).map_err(|error| failed(&error.into()))?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|error| failed(&error))?;
        file.write_all(&json).map_err(|error| failed(&error))?;
        file.persist(&self.path).map_err(|error| failed(&error.error))?;
        Ok(())
    }
}

fn unusable(directory: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("cannot save the state of the upload in {}: {error}", directory.display()),
        format!("make it writable, or set {DIRECTORY_VARIABLE} to another directory"),
    )
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes state files that can no longer be resumed. Best effort; errors are ignored.
fn remove_old(directory: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let state = path.with_extension("json");
        let modified =
            [&path, &state].into_iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max();
        let old =
            modified.is_some_and(|modified| now.duration_since(modified).is_ok_and(|age| age > MAX_AGE));
        if old && File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_file(state);
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streamio_events::api_key::ApiKey;

    fn source() -> Source {
        Source {
            path: "/films/clip.mp4".into(),
            name: "clip.mp4".to_owned(),
            size: 100,
            modified: Duration::from_nanos(1_700_000_000_000_000_001),
        }
    }

    fn unfinished() -> Unfinished {
        let key = "projects/acme/films/clip.mp4".parse().unwrap();
        let new = Unfinished::new(&source(), "upload".to_owned(), 10, key);
        Unfinished { baseline: Some(Baseline::default()), ..new }
    }

    #[test]
    fn new_urls_are_requested_for_the_key_that_was_granted() {
        let first = UploadRequest {
            filename: "clip.mp4".to_owned(),
            unique: Some(true),
            overwrite: Some(false),
            size: Some(100),
            ..UploadRequest::default()
        };
        let next = unfinished().continued(&first);
        assert_eq!((next.path.as_deref(), next.filename.as_str()), (Some("films"), "clip.mp4"));
        assert_eq!((next.unique, next.overwrite, next.size), (None, None, Some(100)));
        assert_eq!(next.upload_id.as_deref(), Some("upload"));
    }

    fn open(directory: &Path, source: &Source, api: &str) -> Result<UploadState, Failure> {
        let key_id = ApiKey::generate("live", [7; 32]).unwrap().hash().key_id();
        let request = UploadRequest { filename: "clip.mp4".to_owned(), ..UploadRequest::default() };
        UploadState::open(directory, &Identity::new(source, api, &key_id, &request))
    }

    #[test]
    fn the_next_run_finds_the_stored_parts() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = open(directory.path(), &source(), "https://a").unwrap();
        assert_eq!(state.unfinished(), None);
        state.begin(unfinished()).unwrap();
        state.record_part(2, "\"etag\"".to_owned()).unwrap();
        let saved = state.unfinished().unwrap().clone();
        drop(state);
        let mut state = open(directory.path(), &source(), "https://a").unwrap();
        assert_eq!(state.unfinished(), Some(&saved));
        state.clear();
        drop(state);
        assert_eq!(open(directory.path(), &source(), "https://a").unwrap().unfinished(), None);
    }

    #[test]
    fn another_file_or_another_api_is_another_upload() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = open(directory.path(), &source(), "https://a").unwrap();
        state.begin(unfinished()).unwrap();
        let changed = Source { modified: Duration::from_nanos(1_700_000_000_000_000_002), ..source() };
        assert_eq!(open(directory.path(), &changed, "https://a").unwrap().unfinished(), None);
        assert_eq!(open(directory.path(), &source(), "https://b").unwrap().unfinished(), None);
    }

    #[test]
    fn two_runs_of_one_upload_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = open(directory.path(), &source(), "https://a").unwrap();
        let failure = open(directory.path(), &source(), "https://a").unwrap_err();
        assert!(failure.message.contains("another run"), "{failure:?}");
    }

    #[test]
    fn a_damaged_state_file_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = open(directory.path(), &source(), "https://a").unwrap();
        state.begin(unfinished()).unwrap();
        fs::write(&state.path, b"{\"shape\":1,").unwrap();
        drop(state);
        assert_eq!(open(directory.path(), &source(), "https://a").unwrap().unfinished(), None);
    }

    #[test]
    fn old_state_files_are_removed_unless_they_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + MAX_AGE + Duration::from_mins(1);
        let mut state = open(directory.path(), &source(), "https://a").unwrap();
        state.begin(unfinished()).unwrap();
        remove_old(directory.path(), later);
        assert!(state.path.exists());
        let path = state.path.clone();
        drop(state);
        remove_old(directory.path(), SystemTime::now());
        assert!(path.exists());
        remove_old(directory.path(), later);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
