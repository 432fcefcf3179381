//! Reading the event log: the feed of a project, and verification.

use std::io;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::operator::{Chains, Filter, Verification};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::Part;

use super::deployment::AwsOperator;
use super::error::AwsOperatorError;

/// The time between two looks for new events.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How many commits of the log are read at a time.
pub(super) const PAGE: usize = 1000;

/// How many events of a feed are read at a time.
const EVENTS: usize = 256;

/// How many parts of the log are read at the same time.
pub(super) const PARTS: u32 = 4;

/// A commit of a feed that is damaged and left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the commit at the place {place} of the project's feed is damaged; `streamio events verify --aws` names it"
)]
pub struct Damaged {
    /// Its place.
    pub place: u64,
}

impl AwsOperator {
    /// Calls `each` with the last `count` events of a project that match `filter`, in the order of its feed. With `follow` it then calls
    /// `each` with every further event that gets its place, and does not return. Ends when `each` fails. A damaged commit is skipped and
    /// reported to `damaged`.
    pub async fn tail(
        &self,
        project_id: &ProjectId,
        filter: &Filter,
        count: usize,
        follow: bool,
        mut each: impl FnMut(&CloudEvent) -> io::Result<()>,
        mut damaged: impl FnMut(Damaged),
    ) -> Result<(), AwsOperatorError> {
        let end = self.views.feed_end(project_id).await.map_err(AwsOperatorError::Views)?;
        let (mut last, mut before) = (Vec::new(), end);
        while last.len() < count && before > 0 {
            let from = before.saturating_sub(count.clamp(16, EVENTS) as u64);
            let mut earlier = Vec::new();
            let mut place = from;
            while place < before {
                let commits = self.commits(project_id, place).await?;
                if commits.is_empty() {
                    break;
                }
                for commit in commits {
                    match commit.filter(|_| place < before) {
                        Some(commit) => earlier.extend(filter.events(&commit)),
                        None if place < before => damaged(Damaged { place }),
                        None => {}
                    }
                    place += 1;
                }
            }
            earlier.append(&mut last);
            (last, before) = (earlier, from);
        }
        let first = last.len().saturating_sub(count);
        last[first..].iter().try_for_each(&mut each).map_err(AwsOperatorError::Write)?;
        if !follow {
            return Ok(());
        }
        let mut place = end;
        loop {
            let commits = self.commits(project_id, place).await?;
            if commits.is_empty() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            for commit in commits {
                match commit {
                    Some(commit) => filter
                        .events(&commit)
                        .try_for_each(|event| each(&event))
                        .map_err(AwsOperatorError::Write)?,
                    None => damaged(Damaged { place }),
                }
                place += 1;
            }
        }
    }

    async fn commits(
        &self,
        project_id: &ProjectId,
        from: u64,
    ) -> Result<Vec<Option<Commit>>, AwsOperatorError> {
        self.views.feed_commits(project_id, from, EVENTS).await.map_err(AwsOperatorError::Views)
    }

    /// Verifies the hash chain of every stream, or of those of one project. Calls `progress` with the number of commits that were read
    /// since its last call. Reads the whole table of the log.
    pub async fn verify(
        &self,
        project_id: Option<&ProjectId>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verification, AwsOperatorError> {
        let parts = (0..PARTS).filter_map(|index| Part::new(index, PARTS));
        let parts: Vec<Verification> = stream::iter(parts)
            .map(|part| self.verify_part(part, project_id, progress))
            .buffered(PARTS as usize)
            .try_collect()
            .await?;
        Ok(parts.into_iter().fold(Verification::default(), |mut all, part| {
            all.streams += part.streams;
            all.commits += part.commits;
            all.events += part.events;
            all.findings.extend(part.findings);
            all
        }))
    }

    /// Each stream is in one part, completely.
    async fn verify_part(
        &self,
        part: Part,
        project_id: Option<&ProjectId>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verification, AwsOperatorError> {
        let (mut found, mut chains, mut after) = (Verification::default(), Chains::default(), None);
        loop {
            let page = self.log.scan_streams(part, None, after.as_deref(), PAGE).await?;
            progress(page.commits.len() as u64);
            for commit in page.commits {
                match commit {
                    Ok(commit) if project_id.is_none_or(|it| it == commit.stream.project_id()) => {
                        found.follow(&mut chains, &commit);
                    }
                    Ok(_) => {}
                    // The name of the stream may be damaged, too.
                    Err(damaged)
                        if project_id
                            .is_some_and(|it| damaged.stream.split('/').nth(1) != Some(it.as_str())) => {}
                    Err(damaged) => {
                        let stream = damaged.stream.parse().ok();
                        if stream.is_none_or(|stream| chains.is_first_damage(stream)) {
                            found.findings.push(damaged.to_string());
                        }
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                found.streams = chains.count();
                return Ok(found);
            }
        }
    }
}
