//! Which attempts are in progress, and which are made next: projects in turn, and of each endpoint only as many as it may have.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::webhook::Endpoints;
use tokio::time::Instant;

/// How many attempts are in progress at the same time.
pub(super) const MAX_ATTEMPTS: usize = 256;

/// How many attempts to one endpoint are in progress at the same time.
pub(super) const MAX_ATTEMPTS_PER_ENDPOINT: usize = 16;

/// After this many failures in a row an endpoint gets one attempt at a time, until one succeeds: a broken endpoint, of which each attempt
/// takes until its time limit, occupies few of the attempts that all share.
const FAILURES_OF_A_BROKEN_ENDPOINT: u32 = 5;

/// How long a delivery pauses that the platform could not continue.
const PAUSE: Duration = Duration::from_secs(5);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The endpoint took the message, or nothing was to be done.
    Succeeded,
    /// The endpoint did not take it.
    Failed,
    /// The platform could not continue the delivery.
    Unknown,
}

/// The attempts that are in progress, and those that are due.
#[derive(Default)]
pub(super) struct Attempts {
    in_progress: HashSet<DeliveryKey>,
    endpoints: HashMap<WebhookId, EndpointState>,
    /// What is due and not in progress, by project, in the order in which it is to be sent.
    due: BTreeMap<ProjectId, VecDeque<DeliveryKey>>,
    /// The projects in the order of their turns: the first one has waited longest.
    turns: VecDeque<ProjectId>,
    /// Whether endpoints have more due deliveries than were read.
    is_cut: bool,
    /// Deliveries that pause.
    paused: HashMap<DeliveryKey, Instant>,
}

#[derive(Default)]
struct EndpointState {
    in_progress: usize,
    failures: u32,
    /// The time between two attempts, if their rate is limited.
    interval: Option<Duration>,
    /// From when on the rate allows the next attempt.
    next_at: Option<Instant>,
}

impl EndpointState {
    fn most(&self) -> usize {
        if self.failures < FAILURES_OF_A_BROKEN_ENDPOINT { MAX_ATTEMPTS_PER_ENDPOINT } else { 1 }
    }

    /// Whether the state limits later attempts even if nothing is due now: messages may become due one by one.
    fn is_needed(&self, now: Instant) -> bool {
        self.in_progress > 0 || self.failures > 0 || self.next_at.is_some_and(|at| at > now)
    }

    /// From when on another attempt may be made; `None` before one has ended.
    fn free_at(&self, now: Instant) -> Option<Instant> {
        (self.in_progress < self.most()).then(|| self.next_at.unwrap_or(now).max(now))
    }
}

impl Attempts {
    /// Replaces what is due by `due`, of which each endpoint has at most `per_endpoint`. Returns the projects that have something due.
    pub(super) fn set_due(
        &mut self,
        due: Vec<DeliveryKey>,
        per_endpoint: usize,
        now: Instant,
    ) -> Vec<ProjectId> {
        self.due.clear();
        let mut counts: HashMap<WebhookId, usize> = HashMap::new();
        for key in due {
            *counts.entry(key.webhook_id.clone()).or_default() += 1;
            if !self.in_progress.contains(&key) {
                self.due.entry(key.project_id.clone()).or_default().push_back(key);
            }
        }
        self.is_cut = counts.values().any(|count| *count >= per_endpoint);
        self.endpoints.retain(|id, state| counts.contains_key(id) || state.is_needed(now));
        self.turns.retain(|project_id| self.due.contains_key(project_id));
        let known: HashSet<&ProjectId> = self.turns.iter().collect();
        let new: Vec<ProjectId> = self.due.keys().filter(|id| !known.contains(id)).cloned().collect();
        self.turns.extend(new);
        self.due.keys().cloned().collect()
    }

    /// Sets the limits of the rates of attempts.
    pub(super) fn set_rate_limits(&mut self, endpoints: &Endpoints) {
        for (webhook_id, endpoint) in &endpoints.endpoints {
            // What is pending to a disabled endpoint ends without a request.
            let rate_limit = endpoint.rate_limit.filter(|_| endpoint.disabled.is_none());
            let interval = rate_limit.map(|limit| Duration::from_secs(1) / limit.max(1));
            if interval.is_some() || self.endpoints.contains_key(webhook_id) {
                self.endpoints.entry(webhook_id.clone()).or_default().interval = interval;
            }
        }
    }

    /// Whether all that was read is in progress or done although there is more.
    pub(super) fn needs_more(&self) -> bool {
        self.is_cut && self.due.values().all(VecDeque::is_empty) && self.in_progress.len() < MAX_ATTEMPTS
    }

    /// The attempts that begin now: one of each project in turn, until no more may be in progress. They are in progress afterwards.
    pub(super) fn start(&mut self, now: Instant) -> Vec<DeliveryKey> {
        self.paused.retain(|_, until| *until > now);
        let mut started = Vec::new();
        let mut without = 0;
        while without < self.turns.len() && self.in_progress.len() < MAX_ATTEMPTS {
            let Some(project_id) = self.turns.pop_front() else { break };
            match self.take(&project_id, now) {
                Some(key) => {
                    started.push(key);
                    without = 0;
                }
                None => without += 1,
            }
            self.turns.push_back(project_id);
        }
        started
    }

    /// The first delivery of the project that may begin.
    fn take(&mut self, project_id: &ProjectId, now: Instant) -> Option<DeliveryKey> {
        let due = self.due.get_mut(project_id)?;
        let endpoints = &self.endpoints;
        let paused = &self.paused;
        let index = due.iter().position(|key| {
            let state = endpoints.get(&key.webhook_id);
            !paused.contains_key(key)
                && state.is_none_or(|state| state.free_at(now).is_some_and(|at| at <= now))
        })?;
        let key = due.remove(index)?;
        let state = self.endpoints.entry(key.webhook_id.clone()).or_default();
        state.in_progress += 1;
        state.next_at = state.interval.map(|interval| state.next_at.unwrap_or(now).max(now) + interval);
        self.in_progress.insert(key.clone());
        Some(key)
    }

    /// The attempt of `key` has ended.
    pub(super) fn end(&mut self, key: &DeliveryKey, end: End, now: Instant) {
        self.in_progress.remove(key);
        if end == End::Unknown {
            self.paused.insert(key.clone(), now + PAUSE);
        }
        if let Some(state) = self.endpoints.get_mut(&key.webhook_id) {
            state.in_progress = state.in_progress.saturating_sub(1);
            match end {
                End::Succeeded => state.failures = 0,
                End::Failed => state.failures = state.failures.saturating_add(1),
                End::Unknown => {}
            }
        }
    }

    /// When an attempt may begin that only waits for a time; `None` if none does.
    pub(super) fn next_start(&self, now: Instant) -> Option<Instant> {
        let of_rates = self
            .due
            .values()
            .flatten()
            .filter_map(|key| self.endpoints.get(&key.webhook_id)?.free_at(now).filter(|at| *at > now));
        of_rates.chain(self.paused.values().copied()).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::id::MessageId;

    use super::*;

    fn key(project: usize, endpoint: usize, number: usize) -> DeliveryKey {
        DeliveryKey {
            project_id: format!("project-{project}").parse().unwrap(),
            webhook_id: WebhookId::derived_from(&[&[
                u8::try_from(project).unwrap(),
                u8::try_from(endpoint).unwrap(),
            ]]),
            message_id: MessageId::derived_from(&[&number.to_string()]),
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Reads what is due.
        Read,
        Start,
        End(usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Read),
            Just(Step::Start),
            (any::<usize>(), any::<bool>()).prop_map(|(index, failed)| Step::End(index, failed)),
        ]
    }

    proptest! {
        /// No delivery is in progress twice, no endpoint has more attempts than it may have, and nothing that may begin is left out.
        #[test]
        fn the_limits_hold_and_nothing_is_left(
            backlogs in prop::collection::vec((0usize..3, 0usize..3, 1usize..40), 1..8),
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let mut waiting: Vec<DeliveryKey> = Vec::new();
            for (project, endpoint, count) in backlogs {
                waiting.extend((0..count).map(|number| key(project, endpoint, number)));
            }
            waiting.sort();
            waiting.dedup();
            let (mut attempts, mut running) = (Attempts::default(), Vec::<DeliveryKey>::new());
            let now = Instant::now();
            for step in steps {
                match step {
                    Step::Read => {
                        attempts.set_due(waiting.clone(), usize::MAX, now);
                    }
                    Step::Start => {
                        for started in attempts.start(now) {
                            prop_assert!(waiting.contains(&started) && !running.contains(&started));
                            running.push(started);
                        }
                    }
                    Step::End(index, failed) if !running.is_empty() => {
                        let ended = running.swap_remove(index % running.len());
                        waiting.retain(|key| *key != ended);
                        attempts.end(&ended, if failed { End::Failed } else { End::Succeeded }, now);
                        // A view that is not up to date is read before the next start.
                        attempts.set_due(waiting.clone(), usize::MAX, now);
                    }
                    Step::End(..) => {}
                }
                let mut counts: HashMap<&WebhookId, usize> = HashMap::new();
                for key in &running {
                    *counts.entry(&key.webhook_id).or_default() += 1;
                }
                prop_assert!(counts.values().all(|count| *count <= MAX_ATTEMPTS_PER_ENDPOINT));
            }
            attempts.set_due(waiting.clone(), usize::MAX, now);
            running.extend(attempts.start(now));
            for key in waiting.iter().filter(|key| !running.contains(key)) {
                let state = &attempts.endpoints[&key.webhook_id];
                prop_assert!(state.in_progress >= state.most(), "{key:?} could have begun");
            }
        }
    }

    #[test]
    fn a_project_with_a_long_backlog_delays_another_by_one_turn() {
        let mut attempts = Attempts::default();
        let mut due: Vec<DeliveryKey> =
            (0..20).flat_map(|endpoint| (0..16).map(move |number| key(0, endpoint, number))).collect();
        due.push(key(1, 0, 0));
        let now = Instant::now();
        attempts.set_due(due, 100, now);
        let started = attempts.start(now);
        assert_eq!(started.len(), MAX_ATTEMPTS);
        assert!(started[..2].contains(&key(1, 0, 0)), "it is among the first two");
    }

    #[test]
    fn a_broken_endpoint_has_one_attempt_at_a_time_until_one_succeeds() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let due: Vec<DeliveryKey> = (0..40).map(|number| key(0, 0, number)).collect();
        attempts.set_due(due, 100, now);
        let first = attempts.start(now);
        assert_eq!(first.len(), MAX_ATTEMPTS_PER_ENDPOINT);
        for key in &first {
            attempts.end(key, End::Failed, now);
        }
        let probe = attempts.start(now);
        assert_eq!(probe.len(), 1);
        assert!(attempts.start(now).is_empty());
        attempts.end(&probe[0], End::Succeeded, now);
        assert_eq!(attempts.start(now).len(), MAX_ATTEMPTS_PER_ENDPOINT);
    }

    #[test]
    fn a_rate_limit_spreads_attempts_and_a_pause_delays_one() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        attempts.set_due((0..5).map(|number| key(0, 0, number)).collect(), 100, now);
        let limited = key(0, 0, 0).webhook_id;
        attempts.endpoints.entry(limited).or_default().interval = Some(Duration::from_millis(100));
        assert_eq!(attempts.start(now).len(), 1);
        let next = attempts.next_start(now).unwrap();
        assert_eq!(next, now + Duration::from_millis(100));
        assert!(attempts.start(next - Duration::from_millis(1)).is_empty());
        let second = attempts.start(next);
        assert_eq!(second.len(), 1);
        attempts.end(&second[0], End::Unknown, next);
        attempts.set_due(second.clone(), 100, next);
        assert!(attempts.start(next + Duration::from_secs(1)).is_empty(), "it pauses");
        assert_eq!(attempts.start(next + PAUSE), second);
    }
    #[test]
    fn limits_hold_for_messages_that_become_due_one_by_one() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let interval = Duration::from_secs(1);
        attempts.set_due(vec![key(0, 0, 0)], 100, now);
        attempts.endpoints.entry(key(0, 0, 0).webhook_id).or_default().interval = Some(interval);
        assert_eq!(attempts.start(now), [key(0, 0, 0)]);
        attempts.end(&key(0, 0, 0), End::Succeeded, now);
        attempts.set_due(vec![], 100, now);
        attempts.set_due(vec![key(0, 0, 1)], 100, now);
        assert!(attempts.start(now).is_empty(), "the rate is limited");
        assert_eq!(attempts.start(now + interval), [key(0, 0, 1)]);

        let failing = |number| key(1, 0, number);
        for number in 0..FAILURES_OF_A_BROKEN_ENDPOINT as usize {
            attempts.set_due(vec![failing(number)], 100, now);
            assert_eq!(attempts.start(now), [failing(number)]);
            attempts.end(&failing(number), End::Failed, now);
            attempts.set_due(vec![], 100, now);
        }
        attempts.set_due((10..20).map(failing).collect(), 100, now);
        assert_eq!(attempts.start(now).len(), 1, "the endpoint is broken");
    }
}
