//! The launcher of workers, with the idempotency of ECS.

use std::collections::BTreeMap;

use streamio_events::job::Job;

use crate::engine::{HOUR, Millis};

/// How long the launcher knows an ended task by its token.
const REMEMBERED: Millis = HOUR;

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Queued or running.
    Running,
    /// Ended at this time.
    Ended(Millis),
}

/// A launched task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) job: Job,
    pub(crate) state: TaskState,
}

/// All tasks.
#[derive(Default)]
pub(crate) struct Launches {
    /// The latest task of each client token.
    by_token: BTreeMap<String, Task>,
    count: u64,
}

impl Launches {
    /// Returns the task of the token, unless it is forgotten.
    pub(crate) fn task_of(&self, token: &str, now: Millis) -> Option<&Task> {
        let is_known = |task: &&Task| !matches!(task.state, TaskState::Ended(at) if at + REMEMBERED <= now);
        self.by_token.get(token).filter(is_known)
    }

    /// Forgets all tasks, and returns the names of all that there were: the runner of one machine knows only those that it runs.
    pub(crate) fn forget_all(&mut self) -> Vec<String> {
        self.by_token.clear();
        (1..=self.count).map(name_of).collect()
    }

    /// Forgets the task `name`.
    pub(crate) fn forget(&mut self, name: &str) {
        self.by_token.retain(|_, task| task.name != name);
    }

    /// Adds a task for `job` and returns its name.
    pub(crate) fn add(&mut self, job: &Job) -> String {
        self.count += 1;
        let name = name_of(self.count);
        let task = Task { name: name.clone(), job: job.clone(), state: TaskState::Running };
        self.by_token.insert(job.client_token.clone(), task);
        name
    }

    /// Notes that the task `name` has ended.
    pub(crate) fn ended(&mut self, name: &str, now: Millis) {
        for task in self.by_token.values_mut().filter(|task| task.name == name) {
            task.state = TaskState::Ended(now);
        }
    }
}

fn name_of(number: u64) -> String {
    format!("task-{number}")
}
