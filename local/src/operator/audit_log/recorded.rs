//! The checkpoints that the log itself records.

use streamio_core::audit::comparison::Known;
use streamio_core::audit::keys::AuditKeys;
use streamio_events::event::AuditCheckpointed;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;

use super::super::error::OperatorError;
use super::project::verified;
use crate::changes::{self, Scope};

/// How many changes are read at a time.
const PAGE: usize = 1024;

/// The verified checkpoints that the log records for the project, the last one last. One that cannot be used is a finding; a damaged commit is one of
/// the verification of the chains.
pub(super) async fn recorded(
    log: &SqliteLog,
    project_id: &ProjectId,
    keys: Option<&AuditKeys>,
    findings: &mut Vec<String>,
) -> Result<Vec<Known>, OperatorError> {
    let stream = StreamId::Audit(project_id.clone()).to_string();
    let (mut all, mut position) = (Vec::new(), 0);
    loop {
        let changes = changes::read(log, Scope::Stream(&stream), position, PAGE).await?;
        let Some(last) = changes.last() else { break };
        position = last.position;
        for commit in changes.into_iter().filter_map(|change| change.commit.ok()) {
            for (version, event) in (commit.first..).zip(&commit.events) {
                match event.read::<AuditCheckpointed>() {
                    Ok(Some(event)) => all.push((version, event)),
                    Ok(None) => {}
                    Err(error) => {
                        findings.push(format!("version {version} of {stream} cannot be read: {error}"));
                    }
                }
            }
        }
    }
    let Some(keys) = keys else {
        if !all.is_empty() {
            findings.push(format!(
                "{stream} records checkpoints, but the key of the log is missing: restore secrets.json and audit.json"
            ));
        }
        return Ok(Vec::new());
    };
    let mut recorded = Vec::new();
    for (version, event) in all {
        match verified(&event.checkpoint, project_id, keys) {
            Ok(checkpoint) if checkpoint.size() == event.size => {
                let name = format!("the checkpoint that version {version} of {stream} records");
                recorded.push(Known { name, checkpoint });
            }
            Ok(checkpoint) => findings.push(format!(
                "version {version} of {stream} states a checkpoint of {} commits, and has one of {}",
                event.size,
                checkpoint.size()
            )),
            Err(reason) => {
                findings.push(format!(
                    "the checkpoint that version {version} of {stream} records was changed: {reason}"
                ));
            }
        }
    }
    Ok(recorded)
}
