//! Verifying the transparency log of one project.

use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::{Compared, Comparison, Finding, Known, KnownRoots, LaterTiles};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::note::SignedNote;
use streamio_core::audit::stored::TileError;
use streamio_core::audit::tiles::Tile;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader as _;
use streamio_core::ports::tile_store::TileStore as _;
use streamio_events::commit::CommitHash;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;

use super::super::error::OperatorError;
use super::AuditVerification;
use super::recorded::recorded;
use crate::audit_log::ProjectFiles;

/// How many hashes are read at a time.
const PAGE: usize = 16 * 1024;

/// The log, the files and the keys of one project.
pub(super) struct ProjectAudit<'a> {
    pub(super) log: &'a SqliteLog,
    pub(super) project_id: &'a ProjectId,
    pub(super) files: &'a ProjectFiles,
    pub(super) keys: Option<&'a AuditKeys>,
    /// Whether wrong places are findings.
    pub(super) with_places: bool,
}

impl ProjectAudit<'_> {
    /// Verifies the project, and adds to `found` what was found, also before an error.
    pub(super) async fn verify(&self, found: &mut AuditVerification) -> Result<(), OperatorError> {
        let mut findings = Vec::new();
        let result = self.compare(found, &mut findings).await;
        found.audit_findings.extend(findings.into_iter().map(|it| format!("{}: {it}", self.project_id)));
        result
    }

    async fn compare(
        &self,
        found: &mut AuditVerification,
        findings: &mut Vec<String>,
    ) -> Result<(), OperatorError> {
        // Before the commits, and in this order: what is read later has what was read before, because all of them only grow.
        let recorded = recorded(self.log, self.project_id, self.keys, findings).await?;
        let stored = self.stored(recorded.last(), findings).await?;
        let tiles = self.tiles(findings)?;
        let last = recorded.iter().map(|recorded| &recorded.checkpoint).max_by_key(|it| it.size());
        let signed = stored.as_ref().into_iter().chain(last).max_by_key(|it| it.size()).cloned();

        let size = signed.as_ref().map_or(0, Checkpoint::size);
        let mut comparison = signed.as_ref().map(|signed| Comparison::new(self.files, signed));
        let mut later = LaterTiles::new(self.files, size, tiles.iter().copied());
        let mut roots = KnownRoots::new(recorded);
        let (mut position, mut place) = (0, 0);
        let mut is_placed = true;
        loop {
            let page = self.log.hashes_after(self.project_id, position, PAGE).await?;
            let Some(last) = page.last() else { break };
            position = last.position;
            for stored in page {
                if is_placed && self.with_places && stored.place != Some(place) {
                    is_placed = false;
                    findings.push(wrong_place(stored.position, stored.place, place));
                }
                // One that is damaged is as good as changed.
                let hash = stored.hash.unwrap_or(CommitHash::from_bytes([0; 32]));
                if let Some(comparison) = &mut comparison {
                    comparison.follow(hash).await.map_err(unread)?;
                }
                later.follow(hash).await.map_err(unread)?;
                roots.follow(hash);
                place += 1;
            }
        }
        findings.extend(roots.finish().map(|finding| finding.to_string()));
        found.unsigned += place.saturating_sub(size);
        if let Some((comparison, signed)) = comparison.zip(signed) {
            let compared = comparison.finish().await.map_err(unread)?;
            self.report(&signed, compared, found, findings).await?;
            findings.extend(earlier_tiles(self.files, &tiles, &signed).await.map_err(OperatorError::Audit)?);
        }
        let later = later.finish().await.map_err(unread)?;
        findings.extend(later.into_iter().map(|finding| finding.to_string()));
        Ok(())
    }

    async fn report(
        &self,
        signed: &Checkpoint,
        compared: Compared,
        found: &mut AuditVerification,
        findings: &mut Vec<String>,
    ) -> Result<(), OperatorError> {
        for finding in compared.findings {
            let named = match finding {
                Finding::Commit { leaf, .. } => self.named(leaf).await?,
                _ => String::new(),
            };
            findings.push(format!("{finding}{named}"));
        }
        found.checkpoints += 1;
        if compared.is_signed {
            found.proven += signed.size();
            if !compared.has_tiles {
                found.notes.push(format!(
                    "{}: the commits have the root of the checkpoint, and no tiles are stored: the platform computes them at its next start",
                    self.project_id
                ));
            }
        }
        Ok(())
    }

    /// The verified stored checkpoint; `None` if there is none that can be used. `recorded` is the last one that the log records.
    async fn stored(
        &self,
        recorded: Option<&Known>,
        findings: &mut Vec<String>,
    ) -> Result<Option<Checkpoint>, OperatorError> {
        let note = match self.files.checkpoint().await {
            Ok(note) => note,
            Err(error) => {
                findings.push(format!("the checkpoint cannot be read: {}", chain(&*error)));
                return Ok(None);
            }
        };
        let Some(note) = note else {
            let has_tiles =
                !self.files.paths().map_err(|error| OperatorError::Audit(error.into()))?.is_empty();
            if let Some(Known { name, checkpoint }) = recorded {
                findings.push(format!(
                    "the checkpoint is missing, and {name} is of {} commits: it was removed",
                    checkpoint.size()
                ));
            } else if has_tiles {
                findings.push("the checkpoint is missing, and there are tiles: restore it from a backup, or start the platform if it is new".to_owned());
            }
            return Ok(None);
        };
        let Some(keys) = self.keys else {
            findings.push("there is a checkpoint, but the key of the log is missing: restore secrets.json and audit.json".to_owned());
            return Ok(None);
        };
        match verified(&note, self.project_id, keys) {
            Ok(stored) => {
                if let Some(Known { name, checkpoint }) = recorded
                    && checkpoint.size() > stored.size()
                {
                    findings.push(format!(
                        "the checkpoint is of {} commits, and {name} is of {}: an older one was put in its place",
                        stored.size(),
                        checkpoint.size()
                    ));
                }
                Ok(Some(stored))
            }
            Err(reason) => {
                findings.push(format!("the checkpoint was changed: {reason}"));
                Ok(None)
            }
        }
    }

    /// The stored tiles. Other files in their folder are findings.
    fn tiles(&self, findings: &mut Vec<String>) -> Result<Vec<Tile>, OperatorError> {
        let mut tiles = Vec::new();
        for path in self.files.paths().map_err(|error| OperatorError::Audit(error.into()))? {
            match path.parse() {
                Ok(tile) => tiles.push(tile),
                Err(_) => findings.push(format!("{path} is not a tile: it was added")),
            }
        }
        Ok(tiles)
    }

    /// Names the commit that is now at a place of the project.
    async fn named(&self, place: u64) -> Result<String, OperatorError> {
        Ok(match self.log.nth_commit(self.project_id, place).await? {
            Some((stream, version)) => format!(". It is version {version} of {stream} now"),
            None => String::new(),
        })
    }
}

/// The checkpoint in a note, which the key of the project's log has signed; or why it is none.
pub(super) fn verified(note: &str, project_id: &ProjectId, keys: &AuditKeys) -> Result<Checkpoint, String> {
    let signer = keys.signer(project_id);
    let note: SignedNote =
        note.parse().map_err(|error: streamio_core::audit::note::InvalidNote| error.to_string())?;
    Checkpoint::verify(&note, std::slice::from_ref(signer.verifier_key())).map_err(|error| error.to_string())
}

fn wrong_place(position: u64, found: Option<u64>, expected: u64) -> String {
    let found = found.map_or_else(|| "no place".to_owned(), |place| format!("the place {place}"));
    format!("the commit at position {position} has {found} instead of {expected}")
}

fn unread(error: TileError) -> OperatorError {
    OperatorError::Audit(error.into())
}

/// Compares earlier partial tiles than those of the checkpoint's tree: each must be the beginning of the present one.
async fn earlier_tiles(
    files: &ProjectFiles,
    tiles: &[Tile],
    checkpoint: &Checkpoint,
) -> Result<Vec<String>, AdapterError> {
    let mut findings = Vec::new();
    for tile in tiles {
        let Some(present) = Tile::in_tree(tile.kind(), tile.index(), checkpoint.size()) else { continue };
        if tile.width() >= present.width() {
            continue;
        }
        let whole = match files.read(&present).await? {
            Some(whole) => Some(whole),
            None => files.read(&present.full()).await?,
        };
        let (Some(whole), Some(stored)) = (whole, files.read(tile).await?) else { continue };
        if whole.get(..tile.bytes()) != Some(&stored[..]) {
            findings.push(format!("{tile} is damaged: it is not the beginning of {present}"));
        }
    }
    Ok(findings)
}
