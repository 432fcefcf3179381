//! Verifying the hash chains of all streams, and the places of commits in their projects.

use std::collections::HashMap;

use streamio_core::operator::{Chains, Verification};
use streamio_events::id::ProjectId;
use streamio_events::sqlite::CommitPlace;

use super::error::OperatorError;
use super::handle::Operator;
use crate::changes::{self, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;

/// The places of the commits of all projects, which are followed in the order of the log.
#[derive(Default)]
struct Places {
    /// The next place of each project; `None` after the first defect of a project: what follows it cannot be judged.
    next: HashMap<String, Option<u64>>,
}

impl Places {
    /// Follows the place of the next commit. Returns the first defect of each project.
    fn follow(&mut self, commit: CommitPlace) -> Option<String> {
        let CommitPlace { position, project_id, place } = commit;
        let next = self.next.entry(project_id.clone()).or_insert(Some(0));
        let expected = (*next)?;
        if place == Some(expected) {
            *next = Some(expected + 1);
            return None;
        }
        *next = None;
        let found = place.map_or_else(|| "no place".to_owned(), |place| format!("the place {place}"));
        Some(format!(
            "the commit at position {position} has {found} among the commits of the project {project_id} instead of {expected}"
        ))
    }
}

impl Operator {
    /// Verifies the hash chain of every stream, and that the commits of each project have the places 0, 1, 2, … in the order of their
    /// positions. Calls `progress` with the position up to which the log is verified, and with its last position.
    ///
    /// Finds changed, missing, foreign and reordered commits. It cannot find that the last commits of a stream were removed, unless later
    /// commits of its project are left, or that a stream was computed again. `found` has what was found also if an error ends the verification.
    pub async fn verify(
        &self,
        progress: impl FnMut(u64, u64),
        found: &mut Verification,
    ) -> Result<(), OperatorError> {
        self.verify_scope(None, progress, found).await
    }

    /// [`Self::verify`], of the streams of one project or of all. The places are verified only for all projects.
    pub(super) async fn verify_scope(
        &self,
        project_id: Option<&ProjectId>,
        mut progress: impl FnMut(u64, u64),
        found: &mut Verification,
    ) -> Result<(), OperatorError> {
        let scope = project_id.map_or(Scope::All, Scope::Project);
        let end = self.log.last_position().await?;
        let (mut chains, mut places) = (Chains::default(), Places::default());
        let mut position = 0;
        while position < end {
            let changes = changes::read(&self.log, scope, position, BATCH).await?;
            let Some(last) = changes.last() else { break };
            if project_id.is_none() {
                let stored = self.log.places_after(position, changes.len()).await?;
                found.findings.extend(stored.into_iter().filter_map(|commit| places.follow(commit)));
            }
            position = last.position;
            for change in changes {
                match change.commit {
                    Ok(commit) => found.follow(&mut chains, &commit),
                    Err(damaged) => {
                        if damaged.stream_id().is_none_or(|stream| chains.is_first_damage(stream)) {
                            found.findings.push(damaged.to_string());
                        }
                    }
                }
            }
            progress(position.min(end), end);
        }
        found.streams = chains.count();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::IfMissing;

    /// The findings after this change of a log with two projects of three commits each.
    async fn findings(change: &str) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        for project in ["acme", "globex"] {
            let project_id = project.parse().unwrap();
            operator.create_project(&project_id, None).await.unwrap();
            operator.suspend(&project_id, None).await.unwrap();
            operator.resume(&project_id).await.unwrap();
        }
        rusqlite::Connection::open(scratch.path().join("log.db")).unwrap().execute_batch(change).unwrap();
        let mut found = Verification::default();
        operator.verify(|_, _| (), &mut found).await.unwrap();
        found.findings
    }

    #[tokio::test]
    async fn the_first_wrong_place_of_each_project_is_found() {
        assert_eq!(findings("").await, [""; 0]);
        let changed = "UPDATE commits SET place = 7 WHERE position IN (2, 3, 6)";
        assert_eq!(
            findings(changed).await,
            [
                "the commit at position 2 has the place 7 among the commits of the project acme instead of 1",
                "the commit at position 6 has the place 7 among the commits of the project globex instead of 2",
            ]
        );
        let swapped = "UPDATE commits SET place = 3 - place WHERE position IN (5, 6)";
        assert_eq!(
            findings(swapped).await,
            ["the commit at position 5 has the place 2 among the commits of the project globex instead of 1"]
        );
    }
}
