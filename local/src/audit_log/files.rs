//! Tiles and checkpoints as files in the data directory:
//!
//! | file | contents |
//! |---|---|
//! | `audit/{project}/checkpoint` | the last checkpoint |
//! | `audit/{project}/tile/…` | the tiles, under their paths |
//!
//! Only the integration writes them, in the process that has locked the data directory. A file gets its name when it is complete and
//! synced, so what exists under a name is whole after a crash at any time.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::audit::tiles::Tile;
use streamio_core::audit::tree::TileFile;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader;
use streamio_core::ports::tile_store::{CreateTileError, TileStore, TileStores};
use streamio_events::id::ProjectId;

use crate::data_dir::{create_durably, sync_if_possible};

/// The name of a project's checkpoint in its folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The files of all projects.
#[derive(Debug, Clone)]
pub(crate) struct AuditFiles {
    folder: PathBuf,
}

impl AuditFiles {
    /// The files in the folder `audit` of a data directory.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The files of one project.
    pub(crate) fn of(&self, project_id: &ProjectId) -> ProjectFiles {
        ProjectFiles { folder: self.folder.join(project_id.as_str()) }
    }
}

impl AuditFiles {
    /// The projects that have files.
    pub(crate) fn projects(&self) -> Result<Vec<ProjectId>, AdapterError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut projects = Vec::new();
        for entry in entries {
            projects.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
        }
        Ok(projects)
    }
}

impl TileStores for AuditFiles {
    fn of_project(&self, project_id: &ProjectId) -> Arc<dyn TileStore> {
        Arc::new(self.of(project_id))
    }
}

/// The files of one project.
#[derive(Debug, Clone)]
pub(crate) struct ProjectFiles {
    folder: PathBuf,
}

impl ProjectFiles {
    /// The paths of all files of the tree, whether or not they are tiles.
    pub(crate) fn paths(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        paths_below(&self.folder, &self.folder.join("tile"), &mut found)?;
        Ok(found)
    }

    fn path(&self, tile: Tile) -> PathBuf {
        self.folder.join(tile.to_string())
    }

    fn create_all(&self, files: &[TileFile]) -> Result<(), CreateTileError> {
        let mut folders = HashSet::new();
        for TileFile { tile, bytes } in files {
            let path = self.path(*tile);
            let folder = path.parent().unwrap_or(&self.folder);
            if !folders.contains(folder) {
                create_durably(folder, sync_if_possible).map_err(|error| failed("create", folder, error))?;
                folders.insert(folder.to_owned());
            }
            match read(&path).map_err(|error| failed("read", &path, error))? {
                Some(stored) if stored == *bytes => {}
                Some(_) => return Err(CreateTileError::Differs(*tile)),
                None => self.write(&path, bytes).map_err(|error| failed("write", &path, error))?,
            }
        }
        // Also of files that existed: a process that was killed may not have synced their names.
        folders
            .iter()
            .try_for_each(|folder| sync_if_possible(folder).map_err(|error| failed("sync", folder, error)))
    }

    /// Writes a file under a temporary name, syncs it and gives it its name, which is not synced yet.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join("new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(temporary, path)
    }

    fn read_checkpoint(&self) -> io::Result<Option<String>> {
        let bytes = read(&self.folder.join(CHECKPOINT))?;
        bytes.map(|bytes| String::from_utf8(bytes).map_err(io::Error::other)).transpose()
    }

    /// Runs `work` on a thread for blocking work.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        let files = self.clone();
        Ok(tokio::task::spawn_blocking(move || work(&files)).await?)
    }
}

/// The paths of all files below `folder`, relative to `root`.
pub(crate) fn paths_below(root: &Path, folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Also a folder of partial tiles that is removed now.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            paths_below(root, &path, found)?;
        } else if let Ok(path) = path.strip_prefix(root) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The contents of a file; `None` if there is no such file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(action: &str, path: &Path, error: io::Error) -> CreateTileError {
    let context = anyhow::Error::new(error).context(format!("cannot {action} {}", path.display()));
    CreateTileError::Store(context.into())
}

#[async_trait]
impl TileReader for ProjectFiles {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        let path = self.path(*tile);
        Ok(self.blocking(move |_| read(&path)).await??)
    }
}

#[async_trait]
impl TileStore for ProjectFiles {
    async fn create(&self, files: &[TileFile]) -> Result<(), CreateTileError> {
        let new = files.to_vec();
        self.blocking(move |files| files.create_all(&new)).await.map_err(CreateTileError::Store)?
    }

    async fn remove_partial(&self, full: &[Tile]) -> Result<(), AdapterError> {
        let full = full.to_vec();
        let remove = move |files: &Self| {
            full.iter().try_for_each(|tile| {
                let path = files.folder.join(format!("{tile}.p"));
                match fs::remove_dir_all(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    result => result,
                }
            })
        };
        Ok(self.blocking(remove).await??)
    }

    async fn checkpoint(&self) -> Result<Option<String>, AdapterError> {
        Ok(self.blocking(Self::read_checkpoint).await??)
    }

    async fn replace_checkpoint(&self, before: Option<&str>, after: &str) -> Result<bool, AdapterError> {
        let (before, after) = (before.map(str::to_owned), after.to_owned());
        let replace = move |files: &Self| {
            if files.read_checkpoint()? != before {
                return Ok(false);
            }
            create_durably(&files.folder, sync_if_possible)?;
            files.write(&files.folder.join(CHECKPOINT), after.as_bytes())?;
            File::open(&files.folder)?.sync_all()?;
            Ok::<_, io::Error>(true)
        };
        Ok(self.blocking(replace).await??)
    }
}

#[cfg(test)]
mod tests {
    use streamio_core::audit::tree::RightEdge;
    use streamio_events::commit::CommitHash;

    use super::*;

    fn files(scratch: &tempfile::TempDir) -> ProjectFiles {
        AuditFiles::new(scratch.path().join("audit")).of(&"acme".parse().unwrap())
    }

    fn tiles(size: u8) -> Vec<TileFile> {
        RightEdge::empty().append((0..size).map(|n| CommitHash::from_bytes([n; 32])))
    }

    #[tokio::test]
    async fn a_tile_is_stored_once_and_never_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let store = files(&scratch);
        let tiles = tiles(3);
        store.create(&tiles).await.unwrap();
        store.create(&tiles).await.unwrap();
        for TileFile { tile, bytes } in &tiles {
            assert_eq!(store.read(tile).await.unwrap().as_ref(), Some(bytes), "{tile}");
            let other = TileFile { tile: *tile, bytes: vec![9; bytes.len()] };
            let error = store.create(&[other]).await.unwrap_err();
            assert!(matches!(error, CreateTileError::Differs(differing) if differing == *tile), "{error}");
            assert_eq!(store.read(tile).await.unwrap().as_ref(), Some(bytes), "{tile}");
        }
        let path = scratch.path().join("audit/acme/tile/0/000.p/3");
        assert_eq!(fs::read(path).unwrap(), tiles[1].bytes);
        store.remove_partial(&[tiles[0].tile.full(), tiles[1].tile.full()]).await.unwrap();
        store.remove_partial(&[tiles[0].tile.full()]).await.unwrap();
        assert_eq!(store.read(&tiles[0].tile).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_checkpoint_replaces_the_one_that_it_follows_only() {
        let scratch = tempfile::tempdir().unwrap();
        let store = files(&scratch);
        assert_eq!(store.checkpoint().await.unwrap(), None);
        assert!(!store.replace_checkpoint(Some("none"), "one").await.unwrap());
        assert!(store.replace_checkpoint(None, "one").await.unwrap());
        assert!(!store.replace_checkpoint(None, "two").await.unwrap());
        assert!(store.replace_checkpoint(Some("one"), "two").await.unwrap());
        assert_eq!(store.checkpoint().await.unwrap().as_deref(), Some("two"));
    }
}
