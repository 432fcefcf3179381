//! The events of all projects, as they are read for people and for archives.

use std::collections::VecDeque;
use std::io::{self, Write};

use serde::Serialize;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::event::EVENT_TYPES;
use streamio_events::id::ProjectId;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;

use super::{Operator, OperatorError};

/// Changes read at a time.
const BATCH: usize = 1024;

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this project.
    pub project_id: Option<ProjectId>,
    /// Only of these types, such as `video.ready`, or nouns, such as `video`; none: all.
    pub types: Vec<String>,
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Commits, one in a line.
    pub commits: u64,
    /// Events in these commits.
    pub events: u64,
}

impl Filter {
    /// The first of the wanted types that no event has.
    pub fn unknown_type(&self) -> Option<&str> {
        let is_known = |wanted: &str| EVENT_TYPES.iter().any(|(kind, _)| is_of(kind, wanted));
        self.types.iter().map(String::as_str).find(|wanted| !is_known(wanted))
    }

    fn events(&self, commit: &Commit) -> impl Iterator<Item = CloudEvent> {
        let of_project =
            self.project_id.as_ref().is_none_or(|project_id| project_id == commit.stream.project_id());
        let wanted =
            |kind: &str| self.types.is_empty() || self.types.iter().any(|wanted| is_of(kind, wanted));
        CloudEvent::all(commit).filter(move |event| of_project && wanted(&event.kind))
    }
}

fn is_of(kind: &str, wanted: &str) -> bool {
    kind == wanted || kind.split_once('.').is_some_and(|(noun, _)| noun == wanted)
}

impl Operator {
    /// Gives the last `count` events that pass `filter` to `each`, in the order in which they were recorded; then, with
    /// `follow`, every further one as it is recorded, for ever. Ends early when `each` fails. A damaged commit is passed
    /// over, and `damaged` hears of it.
    pub async fn tail(
        &self,
        filter: &Filter,
        count: usize,
        follow: bool,
        mut each: impl FnMut(&CloudEvent) -> io::Result<()>,
        mut damaged: impl FnMut(&ChangesError),
    ) -> Result<(), OperatorError> {
        let mut grown = self.log.watch();
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
            grown.borrow_and_update();
            while let Some(commits) = next(&self.log, &mut position, &mut damaged).await? {
                commits
                    .iter()
                    .flat_map(|commit| filter.events(commit))
                    .try_for_each(|event| each(&event))
                    .map_err(OperatorError::Write)?;
            }
            if grown.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Writes all commits that the log has now, in the order in which they were recorded, one JSON object in a line, with
    /// the hashes of their streams' chains. A damaged commit ends it with an error.
    pub async fn export(&self, to: &mut impl Write) -> Result<Written, OperatorError> {
        let end = self.log.last_position().await?;
        let mut written = Written::default();
        let mut position = 0;
        while position < end {
            let changes = self.log.changes_after(position, BATCH).await?;
            for (at, commit) in changes.iter().take_while(|(at, _)| *at <= end) {
                serde_json::to_writer(&mut *to, commit)
                    .map_err(|error| OperatorError::Write(error.into()))?;
                to.write_all(b"\n").map_err(OperatorError::Write)?;
                written.commits += 1;
                written.events += commit.events.len() as u64;
                position = *at;
            }
            if changes.last().is_none_or(|(at, _)| *at >= end) {
                break;
            }
        }
        to.flush().map_err(OperatorError::Write)?;
        Ok(written)
    }
}

/// The changes after `position`, which moves on; `None` when there are none at present.
async fn next(
    log: &SqliteLog,
    position: &mut u64,
    damaged: &mut impl FnMut(&ChangesError),
) -> Result<Option<Vec<Commit>>, OperatorError> {
    loop {
        match log.changes_after(*position, BATCH).await {
            Ok(changes) => {
                let Some((last, _)) = changes.last() else { return Ok(None) };
                *position = *last;
                return Ok(Some(changes.into_iter().map(|(_, commit)| commit).collect()));
            }
            Err(error @ ChangesError::Damaged { .. }) => {
                damaged(&error);
                if let ChangesError::Damaged { position: at, .. } = error {
                    *position = at;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Missing;
    use streamio_events::audit;

    async fn operator(directory: &tempfile::TempDir) -> Operator {
        let operator = Operator::open(directory.path(), Missing::Make).unwrap();
        for name in ["acme", "zebra"] {
            operator.create_project(&name.parse().unwrap(), None).await.unwrap();
        }
        operator.suspend(&"acme".parse().unwrap(), None).await.unwrap();
        operator
    }

    async fn last(operator: &Operator, filter: &Filter, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let each = |event: &CloudEvent| {
            seen.push(format!("{} {}", event.id, event.kind));
            Ok(())
        };
        operator.tail(filter, count, false, each, |error| panic!("{error}")).await.unwrap();
        seen
    }

    #[tokio::test]
    async fn the_last_events_come_in_the_order_of_their_recording() {
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
    async fn filters_take_a_project_a_type_and_a_noun() {
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
    async fn whoever_follows_hears_of_what_another_process_records() {
        let directory = tempfile::tempdir().unwrap();
        let follower = operator(&directory).await;
        let other = Operator::open(directory.path(), Missing::Refuse).unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let following = tokio::spawn(async move {
            let each = |event: &CloudEvent| sender.send(event.kind.clone()).map_err(io::Error::other);
            follower.tail(&Filter::default(), 1, true, each, |error| panic!("{error}")).await
        });
        assert_eq!(receiver.recv().await.as_deref(), Some("project.suspended"));
        other.resume(&"acme".parse().unwrap()).await.unwrap();
        assert_eq!(receiver.recv().await.as_deref(), Some("project.resumed"));
        // Nobody listens any more: the next event ends it.
        drop(receiver);
        other.suspend(&"acme".parse().unwrap(), None).await.unwrap();
        assert!(matches!(following.await.unwrap(), Err(OperatorError::Write(_))));
    }

    #[tokio::test]
    async fn an_export_carries_chains_that_can_be_verified() {
        let directory = tempfile::tempdir().unwrap();
        let operator = operator(&directory).await;
        let mut bytes = Vec::new();
        let written = operator.export(&mut bytes).await.unwrap();
        assert_eq!(written, Written { commits: 3, events: 5 });
        let text = String::from_utf8(bytes).unwrap();
        let commits: Vec<Commit> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for project in ["acme", "zebra"] {
            let stream = format!("project/{project}").parse().unwrap();
            let head = audit::verify(&stream, commits.iter().filter(|commit| commit.stream == stream), None);
            assert!(head.is_ok(), "{head:?}");
        }
    }
}
