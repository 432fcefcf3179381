//! Verifying the hash chains of all streams.

use std::collections::HashMap;

use serde::Serialize;
use streamio_events::audit::{Finding, Verifier};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
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
    /// The first defect of each stream that has one, in the order of the log.
    pub findings: Vec<String>,
}

impl Operator {
    /// Verifies the hash chain of every stream. Calls `progress` with the position up to which the log is verified, and with its last
    /// position.
    ///
    /// Finds changed, missing, foreign and reordered commits. It cannot find that the last commits of a stream were removed, or that a
    /// stream was computed again.
    pub async fn verify(&self, progress: impl FnMut(u64, u64)) -> Result<Verification, OperatorError> {
        self.verify_scope(None, progress).await
    }

    /// [`Self::verify`], of the streams of one project or of all.
    pub(super) async fn verify_scope(
        &self,
        project_id: Option<&ProjectId>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verification, OperatorError> {
        let scope = project_id.map_or(Scope::All, Scope::Project);
        let end = self.log.last_position().await?;
        let (mut chains, mut found, mut position) = (Chains::default(), Verification::default(), 0);
        while position < end {
            let changes = changes::read(&self.log, scope, position, BATCH).await?;
            let Some(last) = changes.last() else { break };
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
