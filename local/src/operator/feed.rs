//! Reading the events of all projects, for display.

use std::collections::VecDeque;
use std::io;

use streamio_core::operator::Filter;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;

use super::error::OperatorError;
use super::handle::Operator;
use crate::changes::{self, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;

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
}
