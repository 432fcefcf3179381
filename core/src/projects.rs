//! The projects' settings and keys, which every accepted upload is checked against.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::ProjectId;
use streamio_events::log::{EventLog, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;

/// How many projects are cached. A project with ten keys takes about 3 KB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// How many commits are read at a time.
const PAGE: usize = 256;

/// Why a project is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Its stream cannot be read.
    #[error("the project's events cannot be read")]
    Read(#[from] ReadError),
    /// Its stream cannot be understood.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl Retryable for ProjectError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// Folded projects. The least recently used is evicted first.
///
/// A stream only grows, so a cached project is never wrong, only outdated. Each use reads the events that follow it, which are usually
/// none: the cost of a use does not depend on the length of the project's stream, and a key that was revoked before the use is found
/// revoked.
pub struct ProjectCache(Mutex<LruCache<ProjectId, Arc<Project>>>);

impl Default for ProjectCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl ProjectCache {
    /// Returns the project after every event that was recorded before this call.
    pub async fn current(
        &self,
        log: &dyn EventLog,
        project_id: &ProjectId,
    ) -> Result<Arc<Project>, ProjectError> {
        let mut project =
            self.cached(project_id).unwrap_or_else(|| Arc::new(Project::new(project_id.clone())));
        let stream = StreamId::Project(project_id.clone());
        let mut next = Some(project.version + 1);
        while let Some(version) = next {
            let page = log.read(&stream, version, PAGE).await?;
            for commit in &page.commits {
                Arc::make_mut(&mut project).apply_commit(commit)?;
            }
            next = page.next;
        }
        self.keep(&project);
        Ok(project)
    }

    fn cached(&self, project_id: &ProjectId) -> Option<Arc<Project>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(project_id).cloned()
    }

    /// Keeps `project` unless a concurrent use has kept a newer one.
    fn keep(&self, project: &Arc<Project>) {
        let mut projects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if projects.peek(&project.project_id).is_none_or(|kept| kept.version < project.version) {
            projects.put(project.project_id.clone(), Arc::clone(project));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;
    use streamio_events::commit::NewCommit;
    use streamio_events::event::{EventBody, ProjectCreated, ProjectResumed, ProjectSuspended};
    use streamio_events::fault::{Fault, FaultyLog};
    use streamio_events::id::CommitId;
    use streamio_events::log::{EventLogExt as _, Expected};
    use streamio_events::memory::MemoryLog;
    use streamio_events::timestamp::Timestamp;

    use super::*;

    fn acme() -> ProjectId {
        "acme".parse().unwrap()
    }

    fn append(log: &dyn EventLog, number: usize) {
        let body: EventBody = match number {
            0 => ProjectCreated { name: None }.into(),
            odd if odd % 2 == 1 => ProjectSuspended { reason: None }.into(),
            _ => ProjectResumed {}.into(),
        };
        let id = CommitId::derived_from(&[&number.to_string()]);
        let commit = NewCommit::new(id, Timestamp::from_unix_seconds(0), [body]);
        block_on(log.append(&StreamId::Project(acme()), Expected::Any, commit)).unwrap();
    }

    proptest! {
        /// Whatever was cached when: a use returns the fold of the whole stream.
        #[test]
        fn a_project_is_the_fold_of_all_events_before_its_use(appends in prop::collection::vec(0usize..4, 1..12)) {
            let (log, projects) = (MemoryLog::new(), ProjectCache::default());
            let mut recorded = 0;
            for count in appends {
                for number in recorded..recorded + count {
                    append(&log, number);
                }
                recorded += count;
                let commits = block_on(log.read_to_end(&StreamId::Project(acme()), 1)).unwrap();
                let project = block_on(projects.current(&log, &acme())).unwrap();
                prop_assert_eq!(&*project, &Project::fold(acme(), &commits).unwrap());
            }
        }
    }

    #[test]
    fn a_project_whose_events_cannot_be_read_is_not_taken_from_the_cache() {
        let log = FaultyLog::scripted(MemoryLog::new(), []);
        append(&log, 0);
        let projects = ProjectCache::default();
        block_on(projects.current(&log, &acme())).unwrap();
        log.plan_reads([Fault::Before]);
        let error = block_on(projects.current(&log, &acme())).unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
}
