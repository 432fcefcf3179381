//! Reading all commits of the log, in parts.

use streamio_core::operator::Chains;
use streamio_events::commit::Commit;
use streamio_events::dynamo::DamagedItem;
use streamio_events::log::{Part, ReadError};

use super::deployment::AwsOperator;
use super::error::AwsOperatorError;
use super::events::{PAGE, PARTS};

/// A part of the log: some streams, completely.
pub struct LogPart<'a> {
    operator: &'a AwsOperator,
    part: Part,
    chains: Chains,
    next: Next,
    /// What is wrong with the commit after those that were returned.
    failure: Option<AwsOperatorError>,
}

/// The next page of a part.
enum Next {
    First,
    After(String),
    /// There is none.
    End,
}

impl AwsOperator {
    /// The parts of the log. They may be read at the same time.
    pub fn log_parts(&self) -> Vec<LogPart<'_>> {
        let parts = (0..PARTS).filter_map(|index| Part::new(index, PARTS));
        let part = |part| {
            let chains = Chains::default();
            LogPart { operator: self, part, chains, next: Next::First, failure: None }
        };
        parts.map(part).collect()
    }
}

impl LogPart<'_> {
    /// Returns the next commits, those of a stream in order, or `None` after the last ones. Commits that are appended meanwhile may or may not
    /// be among them.
    ///
    /// # Errors
    /// Also at a damaged commit, and at one that does not fit its stream's chain of hashes.
    pub async fn next(&mut self) -> Result<Option<Vec<Commit>>, AwsOperatorError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let after = match std::mem::replace(&mut self.next, Next::End) {
            Next::First => None,
            Next::After(cursor) => Some(cursor),
            Next::End => return Ok(None),
        };
        let page = self.operator.log.scan_streams(self.part, None, after.as_deref(), PAGE).await?;
        let mut commits = Vec::with_capacity(page.commits.len());
        for commit in page.commits {
            match self.follow(commit) {
                Ok(commit) => commits.push(commit),
                Err(failure) => {
                    self.failure = Some(failure);
                    return Ok(Some(commits));
                }
            }
        }
        self.next = page.next.map_or(Next::End, Next::After);
        Ok(Some(commits))
    }

    fn follow(&mut self, commit: Result<Commit, DamagedItem>) -> Result<Commit, AwsOperatorError> {
        let commit = commit.map_err(ReadError::from)?;
        self.chains.follow(&commit)?;
        Ok(commit)
    }
}
