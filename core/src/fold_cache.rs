//! What is folded from one stream of a project: its settings and keys, and its webhook endpoints.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use streamio_events::commit::Commit;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::ProjectId;
use streamio_events::log::{EventLog, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::webhook::Endpoints;

/// How many folds are cached. A project with ten keys takes about 3 KB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// How many commits are read at a time.
const PAGE: usize = 256;

/// Why a fold is not known.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The stream cannot be read.
    #[error("the events of the project cannot be read")]
    Read(#[from] ReadError),
    /// The stream cannot be understood.
    #[error("the events of the project cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl Retryable for FoldError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// What is folded from one stream of a project.
pub trait ProjectFold: Clone + Send + Sync {
    /// The state without events.
    fn empty(project_id: ProjectId) -> Self;

    /// The stream.
    fn stream(project_id: ProjectId) -> StreamId;

    /// The version that this was folded to.
    fn version(&self) -> u64;

    /// Applies the next commit of the stream.
    fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent>;
}

macro_rules! project_fold {
    ($name:ident, $stream:ident) => {
        impl ProjectFold for $name {
            fn empty(project_id: ProjectId) -> Self {
                Self::new(project_id)
            }

            fn stream(project_id: ProjectId) -> StreamId {
                StreamId::$stream(project_id)
            }

            fn version(&self) -> u64 {
                self.version
            }

            fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
                self.apply_commit(commit)
            }
        }
    };
}

project_fold!(Project, Project);
project_fold!(Endpoints, Webhooks);

/// Cached folds, one for each project. The least recently used is evicted first.
///
/// A stream only grows, so a cached fold is never wrong, only outdated. Each use reads the events that follow it, which are usually
/// none: the cost of a use does not depend on the length of the stream, and what was changed before the use is found changed.
pub struct FoldCache<T> {
    current: Mutex<LruCache<ProjectId, Arc<T>>>,
    /// Folds of the beginning of a stream, for uses that ask for the state at an earlier time, usually one after another.
    earlier: Mutex<LruCache<ProjectId, Arc<T>>>,
}

/// The projects' settings and keys, which every accepted upload is checked against.
pub type ProjectCache = FoldCache<Project>;

/// The projects' webhook endpoints.
pub type EndpointCache = FoldCache<Endpoints>;

impl<T> Default for FoldCache<T> {
    fn default() -> Self {
        let folds = || Mutex::new(LruCache::new(CAPACITY));
        Self { current: folds(), earlier: folds() }
    }
}

impl<T: ProjectFold> FoldCache<T> {
    /// Returns the fold after every event that was recorded before this call.
    pub async fn current(&self, log: &dyn EventLog, project_id: &ProjectId) -> Result<Arc<T>, FoldError> {
        let mut fold = self.cached(project_id).unwrap_or_else(|| Arc::new(T::empty(project_id.clone())));
        let stream = T::stream(project_id.clone());
        let mut next = Some(fold.version() + 1);
        while let Some(version) = next {
            let page = log.read(&stream, version, PAGE).await?;
            for commit in &page.commits {
                Arc::make_mut(&mut fold).apply_commit(commit)?;
            }
            next = page.next;
        }
        self.keep(project_id, &fold);
        Ok(fold)
    }

    fn cached(&self, project_id: &ProjectId) -> Option<Arc<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).get(project_id).cloned()
    }

    /// The fold that was last kept with [`Self::keep_earlier`].
    pub(crate) fn earlier(&self, project_id: &ProjectId) -> Option<Arc<T>> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner).get(project_id).cloned()
    }

    /// Keeps the fold of the beginning of a stream, with which a later use can begin.
    pub(crate) fn keep_earlier(&self, project_id: &ProjectId, fold: &Arc<T>) {
        let mut folds = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        folds.put(project_id.clone(), Arc::clone(fold));
    }

    /// Keeps `fold` unless a concurrent use has kept a newer one.
    fn keep(&self, project_id: &ProjectId, fold: &Arc<T>) {
        let mut folds = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if folds.peek(project_id).is_none_or(|kept| kept.version() < fold.version()) {
            folds.put(project_id.clone(), Arc::clone(fold));
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
                let project: Arc<Project> = block_on(projects.current(&log, &acme())).unwrap();
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
