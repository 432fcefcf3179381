//! What is remembered of an unfinished upload in parts, so that the next run sends only the rest.
//!
//! One JSON file per upload, named by what makes the upload the same one again: the file (path, size, time of change), the
//! API's address, the API key's id, and what was asked for. It holds no signed URL and no key.

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

use crate::client::wire::UploadRequest;
use crate::exit::{Exit, Failure};
use crate::transfer::Baseline;
use crate::transfer::source::Source;

/// Names the directory, for those who want another one.
const DIRECTORY_VARIABLE: &str = "STREAMIO_STATE_DIR";
/// The version of the file's shape; another one is not read.
const SHAPE: u32 = 1;
/// Upload URLs in parts live no longer than this, and buckets drop what is older.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// Where unfinished uploads are remembered: `STREAMIO_STATE_DIR`, otherwise `streamio/uploads` in the user's state
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
            "there is no home directory to remember uploads in",
            format!("set {DIRECTORY_VARIABLE} to a directory"),
        )
    })?;
    let base = strategy.state_dir().unwrap_or_else(|| strategy.cache_dir());
    Ok(base.join("streamio").join("uploads"))
}

/// What makes an upload the same one again.
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
    /// The upload of `source` to `api` as `key_id`, with what is asked for in `request`.
    pub(crate) fn new(
        source: &'a Source,
        api: &'a str,
        key_id: &'a KeyId,
        request: &'a UploadRequest,
    ) -> Self {
        let modified_nanos = source.modified.as_nanos();
        Self { path: &source.path, size: source.size, modified_nanos, api, key_id, request }
    }

    fn name(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes());
        HEXLOWER.encode(&Sha256::digest(json))[..32].to_owned()
    }
}

/// An upload in parts that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unfinished {
    shape: u32,
    /// The file, for people who look into the directory.
    file: String,
    /// S3's id of the upload.
    pub(crate) upload_id: String,
    /// Bytes of every part but the last.
    pub(crate) part_size: u64,
    /// The video before the upload.
    pub(crate) baseline: Option<Baseline>,
    /// Entity tags of the stored parts, by part number.
    pub(crate) parts: BTreeMap<u32, String>,
}

impl Unfinished {
    /// An upload of which nothing is stored.
    pub(crate) fn new(
        source: &Source,
        upload_id: String,
        part_size: u64,
        baseline: Option<Baseline>,
    ) -> Self {
        let file = source.path.display().to_string();
        Self { shape: SHAPE, file, upload_id, part_size, baseline, parts: BTreeMap::new() }
    }
}

/// The memory of one upload, which no other process may use at the same time.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    unfinished: Option<Unfinished>,
    _lock: File,
}

impl Memory {
    /// The memory of `identity` in `directory`, with what an earlier run left.
    pub(crate) fn open(directory: &Path, identity: &Identity<'_>) -> Result<Self, Failure> {
        let failed = |error: &io::Error| unusable(directory, error);
        fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        forget_old(directory, SystemTime::now());
        let path = directory.join(format!("{}.json", identity.name()));
        let lock = open_private(&path.with_extension("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(
                    Exit::Failed,
                    "another run of this command is uploading the same file to the same place",
                    "wait for it to end",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // What cannot be read is of no use: the upload begins anew.
        let unfinished = fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let unfinished = unfinished.filter(|unfinished: &Unfinished| unfinished.shape == SHAPE);
        Ok(Self { path, unfinished, _lock: lock })
    }

    /// What an earlier run, or this one, has stored.
    pub(crate) fn unfinished(&self) -> Option<&Unfinished> {
        self.unfinished.as_ref()
    }

    /// Remembers an upload that begins.
    pub(crate) fn begin(&mut self, unfinished: Unfinished) -> Result<(), Failure> {
        self.unfinished = Some(unfinished);
        self.save()
    }

    /// Remembers that a part is stored.
    pub(crate) fn stored(&mut self, part_number: u32, etag: String) -> Result<(), Failure> {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.parts.insert(part_number, etag);
        }
        self.save()
    }

    /// Nothing is left to be resumed.
    pub(crate) fn forget(&mut self) {
        self.unfinished = None;
        // What stays behind is an upload that the store no longer knows, which the next run finds out.
        let _ = fs::remove_file(&self.path);
    }

    /// A reader of the file sees the upload before or after, never half of it.
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
        format!("unfinished uploads cannot be remembered in {}: {error}", directory.display()),
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

/// Removes what can no longer be resumed. Losing this is harmless, so nothing here fails.
fn forget_old(directory: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let state = path.with_extension("json");
        let touched =
            [&path, &state].into_iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max();
        let old = touched.is_some_and(|touched| now.duration_since(touched).is_ok_and(|age| age > KEPT_FOR));
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

    fn open(directory: &Path, source: &Source, api: &str) -> Result<Memory, Failure> {
        let key_id = ApiKey::generate("live", [7; 32]).unwrap().hash().key_id();
        let request = UploadRequest { filename: "clip.mp4".to_owned(), ..UploadRequest::default() };
        Memory::open(directory, &Identity::new(source, api, &key_id, &request))
    }

    #[test]
    fn the_next_run_finds_the_parts_of_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = open(directory.path(), &source(), "https://a").unwrap();
        assert_eq!(memory.unfinished(), None);
        memory.begin(Unfinished::new(&source(), "upload".to_owned(), 10, Some(Baseline::default()))).unwrap();
        memory.stored(2, "\"etag\"".to_owned()).unwrap();
        let left = memory.unfinished().unwrap().clone();
        drop(memory);
        let mut memory = open(directory.path(), &source(), "https://a").unwrap();
        assert_eq!(memory.unfinished(), Some(&left));
        memory.forget();
        drop(memory);
        assert_eq!(open(directory.path(), &source(), "https://a").unwrap().unfinished(), None);
    }

    #[test]
    fn another_file_or_another_api_is_another_upload() {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = open(directory.path(), &source(), "https://a").unwrap();
        memory.begin(Unfinished::new(&source(), "upload".to_owned(), 10, None)).unwrap();
        let changed = Source { modified: Duration::from_nanos(1_700_000_000_000_000_002), ..source() };
        assert_eq!(open(directory.path(), &changed, "https://a").unwrap().unfinished(), None);
        assert_eq!(open(directory.path(), &source(), "https://b").unwrap().unfinished(), None);
    }

    #[test]
    fn two_runs_of_one_upload_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = open(directory.path(), &source(), "https://a").unwrap();
        let failure = open(directory.path(), &source(), "https://a").unwrap_err();
        assert!(failure.what.contains("another run"), "{failure:?}");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = open(directory.path(), &source(), "https://a").unwrap();
        memory.begin(Unfinished::new(&source(), "upload".to_owned(), 10, None)).unwrap();
        fs::write(&memory.path, b"{\"shape\":1,").unwrap();
        drop(memory);
        assert_eq!(open(directory.path(), &source(), "https://a").unwrap().unfinished(), None);
    }

    #[test]
    fn what_can_no_longer_be_resumed_is_forgotten_unless_it_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + KEPT_FOR + Duration::from_mins(1);
        let mut memory = open(directory.path(), &source(), "https://a").unwrap();
        memory.begin(Unfinished::new(&source(), "upload".to_owned(), 10, None)).unwrap();
        forget_old(directory.path(), later);
        assert!(memory.path.exists());
        let path = memory.path.clone();
        drop(memory);
        forget_old(directory.path(), SystemTime::now());
        assert!(path.exists());
        forget_old(directory.path(), later);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
