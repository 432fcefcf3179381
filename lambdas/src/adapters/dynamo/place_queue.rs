//! The commits of a project that wait in this process for their places in the feed, and get them together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::PlaceError;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::DynamoViews;
use super::places::{MAX_COMMITS, Placed};

type Answer = Result<Placed, AdapterError>;

/// The queues of all projects for which a place is asked at the moment.
#[derive(Default)]
pub(super) struct PlaceQueues(Mutex<HashMap<ProjectId, Arc<Queue>>>);

/// The call that holds `writer` gives places to all commits that wait.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<(Commit, oneshot::Sender<Answer>)>>,
    writer: tokio::sync::Mutex<()>,
}

impl PlaceQueues {
    fn of(&self, project_id: &ProjectId) -> Arc<Queue> {
        Arc::clone(locked(&self.0).entry(project_id.clone()).or_default())
    }

    /// Forgets the project's queue unless it is in use: the map holds one reference, the caller the other.
    fn leave(&self, project_id: &ProjectId, queue: &Arc<Queue>) {
        let mut queues = locked(&self.0);
        if Arc::strong_count(queue) <= 2 {
            queues.remove(project_id);
        }
    }
}

/// The content is only added to and taken out, so a panic does not leave it wrong.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DynamoViews {
    /// Waits until `commit` has a place, or cannot have one yet, together with the other commits of its project that wait.
    pub(super) async fn queued_place(&self, commit: &Commit) -> Result<Placed, PlaceError> {
        let project_id = commit.stream.project_id();
        let queue = self.places.of(project_id);
        let placed = self.wait(&queue, commit).await;
        self.places.leave(project_id, &queue);
        placed.map_err(PlaceError::Unavailable)
    }

    async fn wait(&self, queue: &Queue, commit: &Commit) -> Answer {
        loop {
            let (sender, mut answer) = oneshot::channel();
            locked(&queue.waiting).push((commit.clone(), sender));
            let _writer = queue.writer.lock().await;
            loop {
                match answer.try_recv() {
                    Ok(answer) => return answer,
                    // The call that was to answer was cancelled.
                    Err(TryRecvError::Closed) => break,
                    Err(TryRecvError::Empty) => self.answer_some(queue, commit.stream.project_id()).await,
                }
            }
        }
    }

    /// Gives places to the commits that have waited longest, and answers them.
    async fn answer_some(&self, queue: &Queue, project_id: &ProjectId) {
        let some: Vec<_> = {
            let mut waiting = locked(&queue.waiting);
            let count = waiting.len().min(MAX_COMMITS);
            waiting.drain(..count).collect()
        };
        let commits: Vec<&Commit> = some.iter().map(|(commit, _)| commit).collect();
        let placed = self.give_places(project_id, &commits).await;
        let answers: Vec<Answer> = match placed {
            Ok(placed) => placed.into_iter().map(Ok).collect(),
            Err(error) => {
                let reason = chain(&*error);
                some.iter().map(|_| Err(reason.clone().into())).collect()
            }
        };
        for ((_, sender), answer) in some.into_iter().zip(answers) {
            // A caller that was cancelled does not receive it.
            let _ = sender.send(answer);
        }
    }
}
