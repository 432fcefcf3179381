//! Which jobs make their next steps: projects in turn.
//!
//! A project may begin another step while it has fewer in progress than are free, as with the attempts of deliveries: so one project has at
//! most half of all. Times are those of a monotonic clock: how long it has run.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use streamio_events::id::{ProjectId, WebhookId};

/// The endpoint of a job.
pub type Key = (ProjectId, WebhookId);

/// The pause after a step that failed, doubled up to the maximum while steps fail.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The next one may begin after this time.
    Next(Duration),
    /// There is no active job. If the views still state one, it is looked at again later.
    Nothing,
    /// It failed.
    Failed,
}

#[derive(Debug)]
struct Job {
    next_at: Duration,
    /// The pause after the next failure.
    pause: Duration,
    is_running: bool,
    /// Whether the views state that it is active.
    is_active: bool,
    /// Its order among those that have waited equally long.
    order: u64,
}

/// The active jobs.
#[derive(Debug)]
pub struct Turns {
    /// The most steps that are made at the same time.
    max_steps: usize,
    seed: u64,
    jobs: BTreeMap<Key, Job>,
    /// When the last step of a project began, counted in steps.
    last_started: BTreeMap<ProjectId, u64>,
    turn: u64,
}

impl Turns {
    /// No jobs yet, of which at most `max_steps` steps (at least 2) are made at the same time. The order of the first steps depends on
    /// `seed`: a process that makes only some steps of many jobs begins with others than the one before.
    pub fn new(max_steps: usize, seed: u64) -> Self {
        let (jobs, last_started) = (BTreeMap::new(), BTreeMap::new());
        Self { max_steps: max_steps.max(2), seed, jobs, last_started, turn: 0 }
    }

    /// Replaces which jobs are active.
    pub fn set_active(&mut self, active: Vec<Key>, now: Duration) {
        for job in self.jobs.values_mut() {
            job.is_active = false;
        }
        for key in active {
            let order = order(self.seed, &key);
            let new = Job { next_at: now, pause: MIN_PAUSE, is_running: false, is_active: true, order };
            self.jobs.entry(key).or_insert(new).is_active = true;
        }
        self.jobs.retain(|_, job| job.is_active || job.is_running);
        let projects: BTreeSet<&ProjectId> = self.jobs.keys().map(|(project_id, _)| project_id).collect();
        self.last_started.retain(|project_id, _| projects.contains(project_id));
    }

    /// The steps that begin now. They are in progress afterwards.
    pub fn start(&mut self, now: Duration) -> Vec<Key> {
        let mut started = Vec::new();
        while let Some(key) = self.next(now) {
            self.turn += 1;
            self.last_started.insert(key.0.clone(), self.turn);
            if let Some(job) = self.jobs.get_mut(&key) {
                job.is_running = true;
            }
            started.push(key);
        }
        started
    }

    /// The job whose project has waited longest, and that of the project which has waited longest.
    fn next(&self, now: Duration) -> Option<Key> {
        let mut running: BTreeMap<&ProjectId, usize> = BTreeMap::new();
        for ((project_id, _), _) in self.jobs.iter().filter(|(_, job)| job.is_running) {
            *running.entry(project_id).or_default() += 1;
        }
        let free = self.max_steps.saturating_sub(running.values().sum());
        let may_begin = |(project_id, _): &Key| running.get(project_id).copied().unwrap_or(0) < free;
        let ready = self
            .jobs
            .iter()
            .filter(|(key, job)| job.is_active && !job.is_running && job.next_at <= now && may_begin(key));
        let turn = |(project_id, _): &Key| self.last_started.get(project_id).copied().unwrap_or(0);
        ready.min_by_key(|(key, job)| (turn(key), job.next_at, job.order)).map(|(key, _)| key.clone())
    }

    /// The step of the job has ended.
    pub fn end(&mut self, key: &Key, end: End, now: Duration) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        job.is_running = false;
        job.next_at = now
            + match end {
                End::Next(after) => after,
                End::Nothing => MAX_PAUSE,
                End::Failed => job.pause,
            };
        job.pause = if end == End::Failed { (job.pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE };
        if !job.is_active {
            self.jobs.remove(key);
        }
    }

    /// When a step may begin that only waits for a time; `None` if none does.
    pub fn next_start(&self, now: Duration) -> Option<Duration> {
        let waiting = self.jobs.values().filter(|job| job.is_active && !job.is_running && job.next_at > now);
        waiting.map(|job| job.next_at).min()
    }
}

fn order(seed: u64, key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_STEPS: usize = 32;

    fn key(project: usize, webhook: usize) -> Key {
        (format!("project-{project:03}").parse().unwrap(), WebhookId::derived_from(&[&webhook.to_be_bytes()]))
    }

    fn keys(projects: std::ops::Range<usize>, webhooks: usize) -> Vec<Key> {
        projects.flat_map(|project| (0..webhooks).map(move |webhook| key(project, webhook))).collect()
    }

    #[test]
    fn a_project_has_at_most_half_of_all_and_leaves_room_for_others() {
        let (mut turns, now) = (Turns::new(MAX_STEPS, 0), Duration::ZERO);
        turns.set_active(keys(0..2, 20), now);
        let started = turns.start(now);
        let of_first = started.iter().filter(|(project_id, _)| *project_id == key(0, 0).0).count();
        assert!(of_first <= MAX_STEPS / 2, "{of_first}");
        turns.set_active(keys(0..3, 20), now);
        assert!(turns.start(now).iter().any(|(project_id, _)| *project_id == key(2, 0).0));
    }

    /// Each job sleeps between its steps; what others have to do is done meanwhile.
    #[test]
    fn jobs_that_wait_occupy_nothing_and_projects_have_their_turns() {
        let (mut turns, mut now) = (Turns::new(MAX_STEPS, 0), Duration::ZERO);
        turns.set_active(keys(0..100, 1), now);
        let mut steps: BTreeMap<Key, usize> = BTreeMap::new();
        for _ in 0..40 {
            for key in turns.start(now) {
                *steps.entry(key.clone()).or_default() += 1;
                turns.end(&key, End::Next(Duration::from_secs(10)), now);
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(steps.len(), 100, "each job makes steps");
        assert!(steps.values().all(|count| *count == 4), "{steps:?}");
    }

    #[test]
    fn a_job_that_fails_is_tried_less_and_less_often() {
        let (mut turns, mut now) = (Turns::new(MAX_STEPS, 0), Duration::ZERO);
        turns.set_active(vec![key(0, 0)], now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(turns.start(now), [key(0, 0)]);
            turns.end(&key(0, 0), End::Failed, now);
            let next = turns.next_start(now).unwrap();
            pauses.push(next.saturating_sub(now));
            now = next;
        }
        assert_eq!((pauses[0], pauses[1], pauses[11]), (MIN_PAUSE, 2 * MIN_PAUSE, MAX_PAUSE));
        turns.set_active(Vec::new(), now);
        assert_eq!((turns.start(now), turns.next_start(now)), (vec![], None), "it has ended");
    }

    #[test]
    fn a_job_that_ends_during_its_step_is_forgotten_and_a_new_one_begins() {
        let (mut turns, now) = (Turns::new(MAX_STEPS, 0), Duration::ZERO);
        turns.set_active(vec![key(0, 0)], now);
        assert_eq!(turns.start(now).len(), 1);
        turns.set_active(Vec::new(), now);
        assert_eq!(turns.start(now), []);
        turns.end(&key(0, 0), End::Nothing, now);
        turns.set_active(vec![key(0, 0)], now);
        assert_eq!(turns.start(now).len(), 1);
    }
    /// Processes that follow one another know nothing of the steps of those before.
    #[test]
    fn each_job_makes_steps_although_a_process_makes_only_some() {
        let mut steps: BTreeMap<Key, usize> = BTreeMap::new();
        for seed in 0..200 {
            let (mut turns, now) = (Turns::new(4, seed), Duration::ZERO);
            turns.set_active(keys(0..20, 4), now);
            for _ in 0..2 {
                for key in turns.start(now) {
                    *steps.entry(key.clone()).or_default() += 1;
                    turns.end(&key, End::Next(Duration::from_secs(1)), now);
                }
            }
        }
        assert_eq!(steps.len(), 80, "{steps:?}");
    }
}
