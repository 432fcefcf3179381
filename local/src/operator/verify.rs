//! Verifying the hash chains of all streams, and the places of commits in their projects.

use std::collections::HashMap;

use serde::Serialize;
use streamio_events::audit::{Finding, Verifier};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::CommitPlace;
use streamio_events::stream::StreamId;

use super::error::OperatorError;
use super::handle::Operator;
use crate::changes::{self, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;

/// The chains of all streams, of which the commits are followed in the order of the log. Holds some 200 bytes for each stream.
#[derive(Default)]
pub(super) struct Chains {
    /// `None` after the first defect of a stream: what follows it cannot be judged.
    streams: HashMap<StreamId, Option<Verifier>>,
}

impl Chains {
    /// Follows the chain of the commit's stream. Returns the first defect of each stream.
    pub(super) fn follow(&mut self, commit: &Commit) -> Result<(), Finding> {
        let stream = &commit.stream;
        let verifier = match self.streams.get_mut(stream) {
            Some(verifier) => verifier,
            None => self.streams.entry(stream.clone()).or_insert(Some(Verifier::new(stream.clone(), None))),
        };
        let followed = verifier.as_mut().map_or(Ok(()), |verifier| verifier.follow(commit));
        if followed.is_err() {
            *verifier = None;
        }
        followed
    }

    /// Notes that a commit of `stream` cannot be read. Returns whether it is the first defect of the stream.
    fn is_first_damage(&mut self, stream: StreamId) -> bool {
        !matches!(self.streams.insert(stream, None), Some(None))
    }
}

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

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The number of streams.
    pub streams: u64,
    /// The number of readable commits.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
    /// The first defect of each stream, and the first wrong place of each project, in the order of the log.
    pub findings: Vec<String>,
}

impl Operator {
    /// Verifies the hash chain of every stream, and that the commits of each project have the places 0, 1, 2, … in the order of their
    /// positions. Calls `progress` with the position up to which the log is verified, and with its last position.
    ///
    /// Finds changed, missing, foreign and reordered commits. It cannot find that the last commits of a stream were removed, unless later
    /// commits of its project are left, or that a stream was computed again.
    pub async fn verify(&self, progress: impl FnMut(u64, u64)) -> Result<Verification, OperatorError> {
        self.verify_scope(None, progress).await
    }

    /// [`Self::verify`], of the streams of one project or of all. The places are verified only for all projects.
    pub(super) async fn verify_scope(
        &self,
        project_id: Option<&ProjectId>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verification, OperatorError> {
        let scope = project_id.map_or(Scope::All, Scope::Project);
        let end = self.log.last_position().await?;
        let (mut chains, mut places) = (Chains::default(), Places::default());
        let (mut found, mut position) = (Verification::default(), 0);
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
                    Ok(commit) => {
                        found.commits += 1;
                        found.events += commit.events.len() as u64;
                        found
                            .findings
                            .extend(chains.follow(&commit).err().map(|finding| finding.to_string()));
                    }
                    Err(damaged) => {
                        if damaged.stream_id().is_none_or(|stream| chains.is_first_damage(stream)) {
                            found.findings.push(damaged.to_string());
                        }
                    }
                }
            }
            progress(position.min(end), end);
        }
        found.streams = chains.streams.len() as u64;
        Ok(found)
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
        operator.verify(|_, _| ()).await.unwrap().findings
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
