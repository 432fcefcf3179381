//! Reading the events of all projects, for display and for export.

use std::collections::VecDeque;
use std::io::{self, Write};

use serde::Serialize;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::event::EVENT_TYPES;
use streamio_events::id::ProjectId;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;

use super::error::OperatorError;
use super::handle::Operator;
use super::verify::Chains;
use crate::changes::{self, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;

/// Which events to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of this project.
    pub project_id: Option<ProjectId>,
    /// Only events of these types, such as `video.ready`, or nouns, such as `video`. Empty: all types.
    pub types: Vec<String>,
}

/// The size of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportSummary {
    /// The number of commits, one per line.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
}

impl Filter {
    /// The first requested type that does not exist.
    pub fn unknown_type(&self) -> Option<&str> {
        let is_known = |requested: &str| EVENT_TYPES.iter().any(|(kind, _)| is_of(kind, requested));
        self.types.iter().map(String::as_str).find(|requested| !is_known(requested))
    }

    fn events(&self, commit: &Commit) -> impl Iterator<Item = CloudEvent> {
        let of_project =
            self.project_id.as_ref().is_none_or(|project_id| project_id == commit.stream.project_id());
        let is_requested =
            |kind: &str| self.types.is_empty() || self.types.iter().any(|requested| is_of(kind, requested));
        CloudEvent::all(commit).filter(move |event| of_project && is_requested(&event.kind))
    }
}

/// Whether an event type equals the requested type or has the requested noun.
fn is_of(kind: &str, requested: &str) -> bool {
    kind == requested || kind.split_once('.').is_some_and(|(noun, _)| noun == requested)
}

impl Operator {
    /// Calls `each` with the last `count` events that match `filter`, in the order in which they were recorded. With
    /// `follow` it then calls `each` with every further event as it is recorded, and does not return. Ends when `each`
    /// fails. A damaged commit is skipped and reported to `damaged`.
    pub async fn tail(
        &self,
        filter: &Filter,
        count: usize,
        follow: bool,
        mut each: impl FnMut(&CloudEvent) -> io::Result<()>,
        mut damaged: impl FnMut(&ChangesError),
    ) -> Result<(), OperatorError> {
        let mut changes_signal = self.log.watch();
        let mut last: VecDeque<CloudEvent> = VecDeque::new();
        let mut position = 0;
        while let Some(commits) = next(&self.log, &mut position, &mut damaged).await? {
            for event in commits.iter().flat_map(|commit| filter.events(commit)) {
                if last.len() == count {
                    last.pop_front();
                }
                if count > 0 {
                    last.push_back(event);
                }
            }
        }
        last.iter().try_for_each(&mut each).map_err(OperatorError::Write)?;
        if !follow {
            return Ok(());
        }
        loop {
            changes_signal.borrow_and_update();
            while let Some(commits) = next(&self.log, &mut position, &mut damaged).await? {
                commits
                    .iter()
                    .flat_map(|commit| filter.events(commit))
                    .try_for_each(|event| each(&event))
                    .map_err(OperatorError::Write)?;
            }
            if changes_signal.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Writes all current commits of the log, in the order in which they were recorded, as one JSON object per line.
    /// They include the hashes of their streams' chains. Fails at a damaged commit, and at one that does not fit its stream's chain.
    pub async fn export(&self, to: &mut impl Write) -> Result<ExportSummary, OperatorError> {
        let end = self.log.last_position().await?;
        let (mut written, mut chains) = (ExportSummary::default(), Chains::default());
        let mut position = 0;
        while position < end {
            let changes = changes::read(&self.log, Scope::All, position, BATCH).await?;
            let Some(last) = changes.last() else { break };
            let last = last.position;
            for change in changes.into_iter().take_while(|change| change.position <= end) {
                let commit = &change.commit.map_err(ChangesError::from)?;
                chains.follow(commit)?;
                serde_json::to_writer(&mut *to, commit)
                    .map_err(|error| OperatorError::Write(error.into()))?;
                to.write_all(b"\n").map_err(OperatorError::Write)?;
                written.commits += 1;
                written.events += commit.events.len() as u64;
            }
            position = last;
        }
        to.flush().map_err(OperatorError::Write)?;
        Ok(written)
    }
}

/// The commits after `position`, which is advanced; `None` if there are none now. Damaged commits are reported and
/// skipped.
async fn next(
    log: &SqliteLog,
    position: &mut u64,
    damaged: &mut impl FnMut(&ChangesError),
) -> Result<Option<Vec<Commit>>, OperatorError> {
    let changes = changes::read(log, Scope::All, *position, BATCH).await?;
    let Some(last) = changes.last() else { return Ok(None) };
    *position = last.position;
    let mut commits = Vec::with_capacity(changes.len());
    for change in changes {
        match change.commit {
            Ok(commit) => commits.push(commit),
            Err(error) => damaged(&error.into()),
        }
    }
    Ok(Some(commits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::IfMissing;
    use streamio_events::audit;

    async fn operator(directory: &tempfile::TempDir) -> Operator {
        let operator = Operator::open(directory.path(), IfMissing::Create).unwrap();
        for name in ["acme", "zebra"] {
            operator.create_project(&name.parse().unwrap(), None).await.unwrap();
        }
        operator.suspend(&"acme".parse().unwrap(), None).await.unwrap();
        operator
    }

    async fn last(operator: &Operator, filter: &Filter, count: usize) -> Vec<String> {
        let mut output = Vec::new();
        let each = |event: &CloudEvent| {
            output.push(format!("{} {}", event.id, event.kind));
            Ok(())
        };
        operator.tail(filter, count, false, each, |error| panic!("{error}")).await.unwrap();
        output
    }

    #[tokio::test]
    async fn the_last_events_are_returned_in_the_order_of_recording() {
        let directory = tempfile::tempdir().unwrap();
        let operator = operator(&directory).await;
        let all = [
            "project/acme/1 project.created",
            "project/acme/2 key.created",
            "project/zebra/1 project.created",
            "project/zebra/2 key.created",
            "project/acme/3 project.suspended",
        ];
        assert_eq!(last(&operator, &Filter::default(), 100).await, all);
        assert_eq!(last(&operator, &Filter::default(), 2).await, all[3..]);
        assert_eq!(last(&operator, &Filter::default(), 0).await, [""; 0]);
    }

    #[tokio::test]
    async fn filters_match_a_project_a_type_and_a_noun() {
        let directory = tempfile::tempdir().unwrap();
        let operator = operator(&directory).await;
        let of = |project: Option<&str>, types: &[&str]| Filter {
            project_id: project.map(|project| project.parse().unwrap()),
            types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        assert_eq!(last(&operator, &of(Some("zebra"), &[]), 9).await.len(), 2);
        assert_eq!(last(&operator, &of(None, &["key.created"]), 9).await.len(), 2);
        assert_eq!(last(&operator, &of(Some("acme"), &["project"]), 9).await.len(), 2);
        assert_eq!(of(None, &["video", "video.ready"]).unknown_type(), None);
        assert_eq!(of(None, &["video", "video.redy"]).unknown_type(), Some("video.redy"));
    }

    #[tokio::test]
    async fn a_follower_receives_events_that_another_process_records() {
        let directory = tempfile::tempdir().unwrap();
        let follower = operator(&directory).await;
        let other = Operator::open(directory.path(), IfMissing::Fail).unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let following = tokio::spawn(async move {
            let each = |event: &CloudEvent| sender.send(event.kind.clone()).map_err(io::Error::other);
            follower.tail(&Filter::default(), 1, true, each, |error| panic!("{error}")).await
        });
        assert_eq!(receiver.recv().await.as_deref(), Some("project.suspended"));
        other.resume(&"acme".parse().unwrap()).await.unwrap();
        assert_eq!(receiver.recv().await.as_deref(), Some("project.resumed"));
        // The receiver is gone, so the next event ends the follower.
        drop(receiver);
        other.suspend(&"acme".parse().unwrap(), None).await.unwrap();
        assert!(matches!(following.await.unwrap(), Err(OperatorError::Write(_))));
    }

    #[tokio::test]
    async fn an_export_contains_chains_that_can_be_verified() {
        let directory = tempfile::tempdir().unwrap();
        let operator = operator(&directory).await;
        let mut bytes = Vec::new();
        let written = operator.export(&mut bytes).await.unwrap();
        assert_eq!(written, ExportSummary { commits: 3, events: 5 });
        let text = String::from_utf8(bytes).unwrap();
        let commits: Vec<Commit> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for project in ["acme", "zebra"] {
            let stream = format!("project/{project}").parse().unwrap();
            let head = audit::verify(&stream, commits.iter().filter(|commit| commit.stream == stream), None);
            assert!(head.is_ok(), "{head:?}");
        }
    }
}
