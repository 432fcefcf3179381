//! Which attempts of a process are in progress, and which are made next: projects in turn, and of each endpoint only as many as it may have.
//!
//! Times are durations since any moment that the process chooses, by a clock that never goes back.
//!
//! A project may begin another attempt while it has fewer in progress than are free, which is the rule that packet switches use for the
//! memory that their ports share (Choudhury and Hahne, "Dynamic Queue Length Thresholds in a Shared Memory Packet Switch", 1998). So one
//! project has at most half of all, two have a third each, and only many projects together can occupy all.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::status::EndpointHealth;
use streamio_events::webhook::{Delivery, Endpoints};

use crate::ports::delivery_store::DeliveryKey;

/// How many attempts are in progress at the same time.
pub const MAX_ATTEMPTS: usize = 256;

/// How many attempts to one endpoint are in progress at the same time.
pub const MAX_ATTEMPTS_PER_ENDPOINT: usize = 16;

/// After this many failures in a row an endpoint gets one attempt at a time, until one succeeds: a broken endpoint, of which each attempt
/// takes until its time limit, occupies few of the attempts that all share. An endpoint of which nothing is known begins like that, so
/// that nothing is gained by registering a broken endpoint again.
const FAILURES_OF_A_BROKEN_ENDPOINT: u32 = 5;

/// An endpoint that has failed for this long, as its health states, is broken for a process that has made no attempt to it yet.
const BROKEN_AFTER: Duration = Duration::from_secs(30);

/// For how long the state of an endpoint is kept after its last attempt: how many attempts it may have at the same time is not learnt again
/// when a message becomes due from time to time.
const KEPT_FOR: Duration = Duration::from_mins(10);

/// How long a delivery pauses that the platform could not continue.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a delivery pauses whose endpoints cannot be understood.
const BLOCKED_PAUSE: Duration = Duration::from_mins(1);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The endpoint took the message.
    Succeeded,
    /// The endpoint did not take it.
    Failed,
    /// No attempt was made: the delivery ended for another reason, or nothing was to be done.
    NotAttempted,
    /// The platform could not continue the delivery at present.
    Unknown,
    /// The endpoints of the project cannot be understood: the delivery waits until an operator has acted.
    Blocked,
}

impl End {
    /// How the attempt that began at `began` ended, which left the delivery like this. A delivery can end without an attempt, and the last
    /// attempt may be an earlier one.
    pub fn of(delivery: &Delivery, began: Timestamp) -> Self {
        let last = delivery.attempts.last();
        match last.filter(|attempt| attempt.number.is_some() && attempt.at >= began) {
            Some(attempt) if attempt.error.is_some() => Self::Failed,
            Some(_) => Self::Succeeded,
            None => Self::NotAttempted,
        }
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

/// How many due deliveries are read at a time.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Of one endpoint.
    pub per_endpoint: usize,
    /// In total. Each endpoint has one before any has two.
    pub total: usize,
}

/// The attempts that are in progress, and those that are due.
#[derive(Debug, Default)]
pub struct Attempts {
    /// What is in progress, and whether it was due when what is due was last read. That is so until the end is recorded, and afterwards
    /// if the message was scheduled again.
    in_progress: HashMap<DeliveryKey, bool>,
    /// How many attempts of each project are in progress.
    of_projects: HashMap<ProjectId, usize>,
    endpoints: HashMap<WebhookId, EndpointState>,
    /// What is due and not in progress, by project, in the order in which it is to be sent.
    due: BTreeMap<ProjectId, VecDeque<DeliveryKey>>,
    /// The projects in the order of their turns: the first one has waited longest.
    turns: VecDeque<ProjectId>,
    /// Whether as many deliveries were read as are read at a time, so that endpoints may be left out.
    is_full: bool,
    /// Deliveries that pause.
    paused: HashMap<DeliveryKey, Duration>,
}

#[derive(Debug, Default)]
struct EndpointState {
    in_progress: usize,
    /// How many of its deliveries are in [`Attempts::due`].
    due: usize,
    /// How many of its due deliveries were read.
    read: usize,
    /// Whether more of its deliveries may be due than were read.
    is_cut: bool,
    /// After how many further failures it gets one attempt at a time; 0 before its first success.
    failures_left: u32,
    /// The time between two attempts, if their rate is limited.
    interval: Option<Duration>,
    /// From when on the rate allows the next attempt.
    next_at: Option<Duration>,
    /// When its last attempt ended.
    ended_at: Option<Duration>,
}

impl EndpointState {
    fn most(&self) -> usize {
        if self.failures_left > 0 { MAX_ATTEMPTS_PER_ENDPOINT } else { 1 }
    }

    /// Whether the state limits later attempts even if nothing is due now: messages may become due one by one.
    fn is_needed(&self, now: Duration) -> bool {
        let is_kept = self.ended_at.is_some_and(|at| now < at + KEPT_FOR);
        self.in_progress > 0 || is_kept || self.next_at.is_some_and(|at| at > now)
    }

    /// From when on another attempt may be made; `None` before one has ended.
    fn free_at(&self, now: Duration) -> Option<Duration> {
        (self.in_progress < self.most()).then(|| self.next_at.unwrap_or(now).max(now))
    }

    /// Whether all that was read is in progress or done although there may be more.
    fn lacks_more(&self) -> bool {
        self.is_cut && self.due == 0
    }
}

impl Attempts {
    /// Replaces what is due by `due`, which was read with `limits`. Returns the projects that have something due.
    pub fn set_due(&mut self, due: Vec<DeliveryKey>, limits: ReadLimits, now: Duration) -> Vec<ProjectId> {
        self.due.clear();
        for state in self.endpoints.values_mut() {
            (state.due, state.read, state.is_cut) = (0, 0, false);
        }
        for is_due in self.in_progress.values_mut() {
            *is_due = false;
        }
        self.is_full = due.len() >= limits.total;
        for key in due {
            let state = self.endpoints.entry(key.webhook_id.clone()).or_default();
            state.read += 1;
            state.is_cut = self.is_full || state.read >= limits.per_endpoint;
            if let Some(is_due) = self.in_progress.get_mut(&key) {
                *is_due = true;
            } else {
                state.due += 1;
                self.due.entry(key.project_id.clone()).or_default().push_back(key);
            }
        }
        self.endpoints.retain(|_, state| state.read > 0 || state.is_needed(now));
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
        let is_broken = failing.is_some_and(|(since, last)| last.since(since) >= BROKEN_AFTER);
        if health.succeeded_at.is_some() && !is_broken && self.is_unknown(webhook_id) {
            let failures_left = FAILURES_OF_A_BROKEN_ENDPOINT;
            self.endpoints
                .insert(webhook_id.clone(), EndpointState { failures_left, ..EndpointState::default() });
        }
    }

    /// Removes what is due and not in progress, and returns it.
    pub fn take_left(&mut self, now: Duration) -> Vec<Left> {
        let mut next: HashMap<WebhookId, Duration> = HashMap::new();
        let mut left = Vec::new();
        for key in std::mem::take(&mut self.due).into_values().flatten() {
            let state = self.endpoints.get(&key.webhook_id);
            let is_broken = state.is_none_or(|state| state.failures_left == 0);
            let first = state.and_then(|state| state.next_at).unwrap_or(now).max(now);
            let next = next.entry(key.webhook_id.clone()).or_insert(first);
            let at = (!is_broken).then_some(*next);
            *next += state.and_then(|state| state.interval).unwrap_or_default();
            left.push(Left { key, at });
        }
        left
    }

    /// Whether attempts could begin now that were not read.
    pub fn needs_more(&self, now: Duration) -> bool {
        let may_begin = |state: &EndpointState| state.free_at(now).is_some_and(|at| at <= now);
        self.in_progress.len() < MAX_ATTEMPTS
            && (self.endpoints.values().any(|state| state.lacks_more() && may_begin(state))
                || (self.is_full && self.due.values().all(VecDeque::is_empty)))
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
        let of_project = self.of_projects.get(project_id).copied().unwrap_or(0);
        if of_project >= MAX_ATTEMPTS - self.in_progress.len() {
            return None;
        }
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
        state.due = state.due.saturating_sub(1);
        state.in_progress += 1;
        state.next_at = state.interval.map(|interval| state.next_at.unwrap_or(now).max(now) + interval);
        self.in_progress.insert(key.clone(), false);
        *self.of_projects.entry(project_id.clone()).or_default() += 1;
        Some(key)
    }

    /// The attempt of `key` has ended. Returns whether it is to be checked if the delivery is due again: it was when what is due was
    /// last read, but then the attempt was still in progress.
    #[must_use]
    pub fn end(&mut self, key: &DeliveryKey, end: End, now: Duration) -> bool {
        let was_due = self.in_progress.remove(key).unwrap_or(false);
        if let Some(count) = self.of_projects.get_mut(&key.project_id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_projects.remove(&key.project_id);
            }
        }
        let state = self.endpoints.entry(key.webhook_id.clone()).or_default();
        state.in_progress = state.in_progress.saturating_sub(1);
        if matches!(end, End::Succeeded | End::Failed) {
            state.ended_at = Some(now);
        }
        match end {
            End::Succeeded => state.failures_left = FAILURES_OF_A_BROKEN_ENDPOINT,
            End::Failed => state.failures_left = state.failures_left.saturating_sub(1),
            End::NotAttempted => {}
            End::Unknown | End::Blocked => {
                state.due += 1;
                let pause = if end == End::Blocked { BLOCKED_PAUSE } else { PAUSE };
                self.paused.insert(key.clone(), now + pause);
                self.due.entry(key.project_id.clone()).or_default().push_front(key.clone());
                if !self.turns.contains(&key.project_id) {
                    self.turns.push_back(key.project_id.clone());
                }
            }
        }
        was_due && !matches!(end, End::Unknown | End::Blocked)
    }

    /// When an attempt may begin that only waits for a time; `None` if none does.
    pub fn next_start(&self, now: Duration) -> Option<Duration> {
        let waiting = self.endpoints.values().filter(|state| state.due > 0 || state.lacks_more());
        let of_rates = waiting.filter_map(|state| state.free_at(now).filter(|at| *at > now));
        of_rates.chain(self.paused.values().copied()).min()
    }
}

#[cfg(test)]
mod tests;
