//! How many names are looked up at the same time, in total and for each project.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use streamio_events::id::ProjectId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of simultaneous look-ups. Each occupies a thread, for up to half a minute if the name servers do not answer, also
/// after its exchange has ended. tokio has 512 such threads, which other work of the process needs too.
const MAX_LOOKUPS: usize = 128;

/// The maximum number of simultaneous look-ups for one project. Names whose name servers do not answer therefore delay the look-ups of
/// the project that chose them, and not those of others.
const MAX_LOOKUPS_PER_PROJECT: usize = 16;

/// The permit for one look-up.
#[derive(Debug)]
pub struct LookupPermit {
    _of_project: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Gives out the permits for look-ups.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    /// Of the projects whose permits are in use or waited for.
    projects: Mutex<HashMap<ProjectId, Weak<Semaphore>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_LOOKUPS)), projects: Mutex::default() }
    }
}

impl Lookups {
    /// Waits for a permit for a look-up of the project. Only those of the project's requests that may begin a look-up wait for one of
    /// all permits, so that no project has more than its share of that queue.
    pub(super) async fn permit(&self, project_id: &ProjectId) -> LookupPermit {
        let of_project = acquire(self.of_project(project_id)).await;
        LookupPermit { _of_project: of_project, _of_all: acquire(Arc::clone(&self.all)).await }
    }

    fn of_project(&self, project_id: &ProjectId) -> Arc<Semaphore> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = projects.get(project_id).and_then(Weak::upgrade) {
            return known;
        }
        projects.retain(|_, semaphore| semaphore.strong_count() > 0);
        let new = Arc::new(Semaphore::new(MAX_LOOKUPS_PER_PROJECT));
        projects.insert(project_id.clone(), Arc::downgrade(&new));
        new
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn project(number: usize) -> ProjectId {
        format!("project-{number}").parse().unwrap()
    }

    #[test]
    fn a_project_has_its_share_of_the_permits_and_no_more() {
        let lookups = Lookups::default();
        let permit = |number| lookups.permit(&project(number)).now_or_never();
        let mut of_first: Vec<_> = (0..MAX_LOOKUPS_PER_PROJECT).map(|_| permit(0).unwrap()).collect();
        assert!(permit(0).is_none(), "its share is in use");
        let of_second = permit(1).unwrap();
        of_first.pop();
        of_first.push(permit(0).unwrap());
        drop((of_first, of_second));
        let all: Vec<_> = (0..MAX_LOOKUPS).map(permit).map(Option::unwrap).collect();
        assert!(permit(MAX_LOOKUPS).is_none(), "all are in use");
        drop(all);
        assert_eq!(lookups.all.available_permits(), MAX_LOOKUPS);
        let _one = permit(0).unwrap();
        assert_eq!(lookups.projects.lock().unwrap().len(), 1, "nothing is kept of projects without look-ups");
    }
}
