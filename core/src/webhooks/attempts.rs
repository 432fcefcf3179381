//! Which attempts of a process are in progress, and which are made next: projects in turn, and of each endpoint only as many as it may have.
//!
//! Times are durations since any moment that the process chooses, by a clock that never goes back.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::webhook::status::EndpointHealth;
use streamio_events::webhook::{Delivery, Endpoints};

use crate::ports::delivery_store::DeliveryKey;

#[cfg(test)]
mod tests;

/// How many attempts are in progress at the same time.
pub const MAX_ATTEMPTS: usize = 256;

/// How many attempts to one endpoint are in progress at the same time.
pub const MAX_ATTEMPTS_PER_ENDPOINT: usize = 16;

/// After this many failures in a row an endpoint gets one attempt at a time, until one succeeds: a broken endpoint, of which each attempt
/// takes until its time limit, occupies few of the attempts that all share.
const FAILURES_OF_A_BROKEN_ENDPOINT: u32 = 5;

/// An endpoint that has failed for this long, as its health states, is broken for a process that has made no attempt to it yet.
const BROKEN_AFTER: Duration = Duration::from_secs(30);

/// How long a delivery pauses that the platform could not continue.
const PAUSE: Duration = Duration::from_secs(5);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The endpoint took the message, or nothing was to be done.
    Succeeded,
    /// The endpoint did not take it.
    Failed,
    /// The platform could not continue the delivery.
    Unknown,
}

impl End {
    /// How the attempt ended that left the delivery like this.
    pub fn of(delivery: &Delivery) -> Self {
        let has_failed = delivery.attempts.last().is_some_and(|attempt| attempt.error.is_some());
        if has_failed { Self::Failed } else { Self::Succeeded }
    }
}

/// An attempt that did not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The delivery.
    pub key: DeliveryKey,
    /// When it may begin, at the earliest; `None` if that is not known, because the endpoint is broken.
    pub at: Option<Duration>,
}

/// The attempts that are in progress, and those that are due.
#[derive(Debug, Default)]
pub struct Attempts {
    in_progress: HashSet<DeliveryKey>,
    endpoints: HashMap<WebhookId, EndpointState>,
    /// What is due and not in progress, by project, in the order in which it is to be sent.
    due: BTreeMap<ProjectId, VecDeque<DeliveryKey>>,
    /// The projects in the order of their turns: the first one has waited longest.
    turns: VecDeque<ProjectId>,
    /// Whether endpoints have more due deliveries than were read.
    is_cut: bool,
    /// Deliveries that pause.
    paused: HashMap<DeliveryKey, Duration>,
}

#[derive(Debug, Default)]
struct EndpointState {
    in_progress: usize,
    failures: u32,
    /// The time between two attempts, if their rate is limited.
    interval: Option<Duration>,
    /// From when on the rate allows the next attempt.
    next_at: Option<Duration>,
}

impl EndpointState {
    fn most(&self) -> usize {
        if self.failures < FAILURES_OF_A_BROKEN_ENDPOINT { MAX_ATTEMPTS_PER_ENDPOINT } else { 1 }
    }

    /// Whether the state limits later attempts even if nothing is due now: messages may become due one by one.
    fn is_needed(&self, now: Duration) -> bool {
        self.in_progress > 0 || self.failures > 0 || self.next_at.is_some_and(|at| at > now)
    }

    /// From when on another attempt may be made; `None` before one has ended.
    fn free_at(&self, now: Duration) -> Option<Duration> {
        (self.in_progress < self.most()).then(|| self.next_at.unwrap_or(now).max(now))
    }
}

impl Attempts {
    /// Replaces what is due by `due`, of which each endpoint has at most `per_endpoint`. Returns the projects that have something due.
    pub fn set_due(&mut self, due: Vec<DeliveryKey>, per_endpoint: usize, now: Duration) -> Vec<ProjectId> {
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
    pub fn set_rate_limits(&mut self, endpoints: &Endpoints) {
        for (webhook_id, endpoint) in &endpoints.endpoints {
            // What is pending to a disabled endpoint ends without a request.
            let rate_limit = endpoint.rate_limit.filter(|_| endpoint.disabled.is_none());
            let interval = rate_limit.map(|limit| Duration::from_secs(1) / limit.max(1));
            if interval.is_some() || self.endpoints.contains_key(webhook_id) {
                self.endpoints.entry(webhook_id.clone()).or_default().interval = interval;
            }
        }
    }

    /// Whether nothing is known of attempts to the endpoint.
    pub fn is_unknown(&self, webhook_id: &WebhookId) -> bool {
        !self.endpoints.contains_key(webhook_id)
    }

    /// Takes over what other processes know of an endpoint of which this one knows nothing.
    pub fn learn(&mut self, webhook_id: &WebhookId, health: &EndpointHealth) {
        let failing = health.failing_since.zip(health.failed_at);
        if failing.is_some_and(|(since, last)| last.since(since) >= BROKEN_AFTER)
            && self.is_unknown(webhook_id)
        {
            let state = EndpointState { failures: FAILURES_OF_A_BROKEN_ENDPOINT, ..EndpointState::default() };
            self.endpoints.insert(webhook_id.clone(), state);
        }
    }

    /// Removes what is due and not in progress, and returns it.
    pub fn take_left(&mut self, now: Duration) -> Vec<Left> {
        let mut next: HashMap<WebhookId, Duration> = HashMap::new();
        let mut left = Vec::new();
        for key in std::mem::take(&mut self.due).into_values().flatten() {
            let state = self.endpoints.get(&key.webhook_id);
            let is_broken = state.is_some_and(|state| state.failures >= FAILURES_OF_A_BROKEN_ENDPOINT);
            let first = state.and_then(|state| state.next_at).unwrap_or(now).max(now);
            let next = next.entry(key.webhook_id.clone()).or_insert(first);
            let at = (!is_broken).then_some(*next);
            *next += state.and_then(|state| state.interval).unwrap_or_default();
            left.push(Left { key, at });
        }
        left
    }

    /// Whether all that was read is in progress or done although there is more.
    pub fn needs_more(&self) -> bool {
        self.is_cut && self.due.values().all(VecDeque::is_empty) && self.in_progress.len() < MAX_ATTEMPTS
    }

    /// The attempts that begin now: one of each project in turn, until no more may be in progress. They are in progress afterwards.
    pub fn start(&mut self, now: Duration) -> Vec<DeliveryKey> {
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
    fn take(&mut self, project_id: &ProjectId, now: Duration) -> Option<DeliveryKey> {
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
    pub fn end(&mut self, key: &DeliveryKey, end: End, now: Duration) {
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
    pub fn next_start(&self, now: Duration) -> Option<Duration> {
        let of_rates = self
            .due
            .values()
            .flatten()
            .filter_map(|key| self.endpoints.get(&key.webhook_id)?.free_at(now).filter(|at| *at > now));
        let of_pauses = self.due.values().flatten().filter_map(|key| self.paused.get(key).copied());
        of_rates.chain(of_pauses).min()
    }
}
