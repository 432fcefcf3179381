//! What is folded from one stream: the settings and keys of a project, its webhook endpoints, and the jobs of an endpoint.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use streamio_events::commit::Commit;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::{EventLog, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::webhook::Endpoints;
use streamio_events::webhook::replay::Replays;

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

/// What is folded from one stream.
pub trait Fold: Clone + Send + Sync {
    /// What the stream is named by.
    type Key: Clone + Eq + Hash + Send + Sync;

    /// The state without events.
    fn empty(key: Self::Key) -> Self;

    /// The stream.
    fn stream(key: Self::Key) -> StreamId;

    /// The version that this was folded to.
    fn version(&self) -> u64;

    /// Applies the next commit of the stream.
    fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent>;
}

macro_rules! project_fold {
    ($name:ident, $stream:ident) => {
        impl Fold for $name {
            type Key = ProjectId;

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

impl Fold for Replays {
    type Key = (ProjectId, WebhookId);

    fn empty((project_id, webhook_id): Self::Key) -> Self {
        Self::new(project_id, webhook_id)
    }

    fn stream((project_id, webhook_id): Self::Key) -> StreamId {
        StreamId::Replays(project_id, webhook_id)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        self.apply_commit(commit)
    }
}

/// Cached folds, one for each stream. The least recently used is evicted first.
///
/// A stream only grows, so a cached fold is never wrong, only outdated. Each use reads the events that follow it, which are usually
/// none: the cost of a use does not depend on the length of the stream, and what was changed before the use is found changed.
pub struct FoldCache<T: Fold> {
    current: Mutex<LruCache<T::Key, Arc<T>>>,
    /// Folds of the beginning of a stream, for uses that ask for the state at an earlier time, usually one after another.
    earlier: Mutex<LruCache<T::Key, Arc<T>>>,
}

/// The projects' settings and keys, which every accepted upload is checked against.
pub type ProjectCache = FoldCache<Project>;

/// The projects' webhook endpoints.
pub type EndpointCache = FoldCache<Endpoints>;

/// The jobs of webhook endpoints that send messages again.
pub type ReplayCache = FoldCache<Replays>;

/// The folds from which the views of webhooks are computed.
#[derive(Default)]
pub struct WebhookFolds {
    /// The projects' endpoints.
    pub endpoints: EndpointCache,
    /// The jobs of endpoints.
    pub replays: ReplayCache,
}

impl<T: Fold> Default for FoldCache<T> {
    fn default() -> Self {
        let folds = || Mutex::new(LruCache::new(CAPACITY));
        Self { current: folds(), earlier: folds() }
    }
}

impl<T: Fold> FoldCache<T> {
    /// Returns the fold after every event that was recorded before this call. If the stream cannot be read to its end, what was read is
    /// kept, and the next use goes on there.
    pub async fn current(&self, log: &dyn EventLog, key: &T::Key) -> Result<Arc<T>, FoldError> {
        let mut fold = get(&self.current, key).unwrap_or_else(|| Arc::new(T::empty(key.clone())));
        let stream = T::stream(key.clone());
        let mut next = Some(fold.version() + 1);
        while let Some(version) = next {
            let page = log.read(&stream, version, PAGE).await?;
            for commit in &page.commits {
                Arc::make_mut(&mut fold).apply_commit(commit)?;
            }
            self.keep(key, &fold);
            next = page.next;
        }
        Ok(fold)
    }

    /// Returns the fold after the version `version`, the last one of a commit.
    pub async fn at_version(
        &self,
        log: &dyn EventLog,
        key: &T::Key,
        version: u64,
    ) -> Result<Arc<T>, FoldError> {
        let known = [get(&self.current, key), get(&self.earlier, key)].into_iter().flatten();
        let known = known.filter(|fold| fold.version() <= version).max_by_key(|fold| fold.version());
        let mut fold = known.unwrap_or_else(|| Arc::new(T::empty(key.clone())));
        let stream = T::stream(key.clone());
        while fold.version() < version {
            let missing = usize::try_from(version - fold.version()).unwrap_or(PAGE);
            let page = log.read(&stream, fold.version() + 1, missing.min(PAGE)).await?;
            for commit in page.commits.iter().take_while(|commit| commit.last() <= version) {
                Arc::make_mut(&mut fold).apply_commit(commit)?;
            }
            lock(&self.earlier).put(key.clone(), Arc::clone(&fold));
            if page.next.is_none() {
                break;
            }
        }
        Ok(fold)
    }

    /// Keeps `fold` unless a concurrent use has kept a newer one.
    fn keep(&self, key: &T::Key, fold: &Arc<T>) {
        let mut folds = lock(&self.current);
        if folds.peek(key).is_none_or(|kept| kept.version() < fold.version()) {
            folds.put(key.clone(), Arc::clone(fold));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get<K: Eq + Hash, T>(folds: &Mutex<LruCache<K, Arc<T>>>, key: &K) -> Option<Arc<T>> {
    lock(folds).get(key).cloned()
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
                for before in [recorded / 2, recorded] {
                    let version = commits[..before].last().map_or(0, Commit::last);
                    let project = block_on(projects.at_version(&log, &acme(), version)).unwrap();
                    prop_assert_eq!(&*project, &Project::fold(acme(), &commits[..before]).unwrap());
                }
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

    /// A function that ends before it has read a long stream would otherwise begin again for ever.
    #[test]
    fn what_was_read_before_a_failure_is_kept() {
        let log = FaultyLog::scripted(MemoryLog::new(), []);
        for number in 0..3 * PAGE {
            append(&log, number);
        }
        let projects = ProjectCache::default();
        for known in 1..3 {
            log.plan_reads([Fault::None, Fault::Before]);
            block_on(projects.current(&log, &acme())).unwrap_err();
            let kept = get(&projects.current, &acme()).unwrap();
            assert_eq!(kept.version(), (known * PAGE) as u64);
        }
    }
}
