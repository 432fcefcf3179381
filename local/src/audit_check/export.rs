//! Compares an export of the log with a checkpoint.

use std::io::{self, BufRead, Read as _};

use serde::Serialize;
use streamio_core::audit::checkpoint::CheckpointError;
use streamio_core::audit::comparison::{Known, KnownRoots};
use streamio_core::operator::Chains;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::event::AuditCheckpointed;
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;

use super::LogKey;

/// The longest line, in bytes. A commit has at most some 350 KB.
const MAX_LINE: u64 = 16 << 20;

/// How many lines may be no commits. Each of them is a finding.
const MAX_OTHERS: u64 = 1000;

/// The result of comparing an export with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportCheck {
    /// The project of the log.
    pub project_id: ProjectId,
    /// The number of commits of the checkpoint.
    pub size: u64,
    /// The number of the project's commits in the export.
    pub commits: u64,
    /// What differs.
    pub findings: Vec<String>,
}

/// Why an export was not compared.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The checkpoint cannot be used.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The export has events instead of commits.
    #[error("line {0} of the export is an event and not a commit: it has no hashes")]
    Events(u64),
    /// A line is longer than that of any commit.
    #[error("line {0} of the file is too long for a commit: the file is no export")]
    LongLine(u64),
    /// Too many lines are no commits.
    #[error("more than {0} lines of the file are not commits: it is no export")]
    NoCommits(u64),
    /// The export cannot be read.
    #[error("the export cannot be read")]
    Read(#[from] io::Error),
}

/// Compares the commits of the key's project in an export, one commit in JSON a line, with a checkpoint: their chains of hashes, the root of their
/// tree, and the checkpoints that they record themselves. Lines of other projects are skipped.
pub fn check_export(
    mut export: impl BufRead,
    checkpoint: &str,
    key: &LogKey,
) -> Result<ExportCheck, ExportError> {
    let kept = key.verify(checkpoint)?;
    let project_id = key.project_id().clone();
    let mut check = ExportCheck { project_id, size: kept.size(), commits: 0, findings: Vec::new() };
    let mut known = vec![Known { name: "the checkpoint".to_owned(), checkpoint: kept }];
    let (mut chains, mut hashes, mut others) = (Chains::default(), Vec::new(), 0);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if export.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 > MAX_LINE {
            return Err(ExportError::LongLine(number));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let commit: Commit = match serde_json::from_slice(&line) {
            Ok(commit) => commit,
            Err(_) if serde_json::from_slice::<CloudEvent>(&line).is_ok() => {
                return Err(ExportError::Events(number));
            }
            Err(error) => {
                others += 1;
                if others > MAX_OTHERS {
                    return Err(ExportError::NoCommits(MAX_OTHERS));
                }
                check.findings.push(format!("line {number} is not a commit: {error}"));
                continue;
            }
        };
        if commit.stream.project_id() != key.project_id() {
            continue;
        }
        if let Err(finding) = chains.follow(&commit) {
            check.findings.push(format!("line {number}: {finding}"));
        }
        known.extend(recorded(&commit, key, &mut check.findings));
        check.commits += 1;
        hashes.push(commit.hash);
    }
    // The recorded checkpoints tell more exactly where a commit was changed. Only those that the kept one has are certain to be the log's.
    known.retain(|known| known.checkpoint.size() <= check.size);
    let mut roots = KnownRoots::new(known);
    for hash in hashes {
        roots.follow(hash);
    }
    check.findings.extend(roots.finish().map(|finding| finding.to_string()));
    Ok(check)
}

/// The checkpoints that a commit records. One that the key has not signed is a finding.
fn recorded(commit: &Commit, key: &LogKey, findings: &mut Vec<String>) -> Vec<Known> {
    let stream = &commit.stream;
    if !matches!(stream, StreamId::Audit(_)) {
        return Vec::new();
    }
    let mut known = Vec::new();
    for (version, event) in (commit.first..).zip(&commit.events) {
        let name = format!("the checkpoint that version {version} of {stream} records");
        match event.read::<AuditCheckpointed>() {
            Ok(Some(event)) => match key.verify(&event.checkpoint) {
                Ok(checkpoint) => known.push(Known { name, checkpoint }),
                Err(error) => findings.push(format!("{name} was changed: {error}")),
            },
            Ok(None) => {}
            Err(error) => findings.push(format!("version {version} of {stream} cannot be read: {error}")),
        }
    }
    known
}

#[cfg(test)]
mod tests;
