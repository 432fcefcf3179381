//! Which attempts are in progress, and which are made next: projects in turn, and of each endpoint only as many as it may have.
//!
//! A project may begin another attempt while it has fewer in progress than are free, which is the rule that packet switches use for the
//! memory that their ports share (Choudhury and Hahne, "Dynamic Queue Length Thresholds in a Shared Memory Packet Switch", 1998). So one
//! project has at most half of all, two have a third each, and only many projects together can occupy all.

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
/// takes until its time limit, occupies few of the attempts that all share. An endpoint of which nothing is known begins like that, so
/// that nothing is gained by registering a broken endpoint again.
const FAILURES_OF_A_BROKEN_ENDPOINT: u32 = 5;

/// How long a delivery pauses that the platform could not continue.
const PAUSE: Duration = Duration::from_secs(5);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The endpoint took the message.
    Succeeded,
    /// The endpoint did not take it.
    Failed,
    /// No attempt was made: the delivery ended for another reason, or nothing was to be done.
    NotAttempted,
    /// The platform could not continue the delivery.
    Unknown,
}

/// How many due deliveries are read at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// Of one endpoint.
    pub(super) per_endpoint: usize,
    /// In total. Each endpoint has one before any has two.
    pub(super) total: usize,
}

/// The attempts that are in progress, and those that are due.
#[derive(Default)]
pub(super) struct Attempts {
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
    paused: HashMap<DeliveryKey, Instant>,
}

#[derive(Default)]
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
    next_at: Option<Instant>,
}

impl EndpointState {
    fn most(&self) -> usize {
        if self.failures_left > 0 { MAX_ATTEMPTS_PER_ENDPOINT } else { 1 }
    }

    /// Whether the state limits later attempts even if nothing is due now: messages may become due one by one.
    fn is_needed(&self, now: Instant) -> bool {
        self.in_progress > 0 || self.next_at.is_some_and(|at| at > now)
    }

    /// From when on another attempt may be made; `None` before one has ended.
    fn free_at(&self, now: Instant) -> Option<Instant> {
        (self.in_progress < self.most()).then(|| self.next_at.unwrap_or(now).max(now))
    }

    /// Whether all that was read is in progress or done although there may be more.
    fn lacks_more(&self) -> bool {
        self.is_cut && self.due == 0
    }
}

impl Attempts {
    /// Replaces what is due by `due`, which was read with `limits`. Returns the projects that have something due.
    pub(super) fn set_due(
        &mut self,
        due: Vec<DeliveryKey>,
        limits: ReadLimits,
        now: Instant,
    ) -> Vec<ProjectId> {
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
    pub(super) fn set_rate_limits(&mut self, endpoints: &Endpoints) {
        for (webhook_id, endpoint) in &endpoints.endpoints {
            let interval = endpoint.rate_limit.map(|limit| Duration::from_secs(1) / limit.max(1));
            if interval.is_some() || self.endpoints.contains_key(webhook_id) {
                self.endpoints.entry(webhook_id.clone()).or_default().interval = interval;
            }
        }
    }

    /// Whether attempts could begin now that were not read.
    pub(super) fn needs_more(&self, now: Instant) -> bool {
        let may_begin = |state: &EndpointState| state.free_at(now).is_some_and(|at| at <= now);
        self.in_progress.len() < MAX_ATTEMPTS
            && (self.endpoints.values().any(|state| state.lacks_more() && may_begin(state))
                || (self.is_full && self.due.values().all(VecDeque::is_empty)))
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
    pub(super) fn end(&mut self, key: &DeliveryKey, end: End, now: Instant) -> bool {
        let was_due = self.in_progress.remove(key).unwrap_or(false);
        if let Some(count) = self.of_projects.get_mut(&key.project_id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_projects.remove(&key.project_id);
            }
        }
        let state = self.endpoints.entry(key.webhook_id.clone()).or_default();
        state.in_progress = state.in_progress.saturating_sub(1);
        match end {
            End::Succeeded => state.failures_left = FAILURES_OF_A_BROKEN_ENDPOINT,
            End::Failed => state.failures_left = state.failures_left.saturating_sub(1),
            End::NotAttempted => {}
            End::Unknown => {
                state.due += 1;
                self.paused.insert(key.clone(), now + PAUSE);
                self.due.entry(key.project_id.clone()).or_default().push_front(key.clone());
                if !self.turns.contains(&key.project_id) {
                    self.turns.push_back(key.project_id.clone());
                }
            }
        }
        was_due && end != End::Unknown
    }

    /// When an attempt may begin that only waits for a time; `None` if none does.
    pub(super) fn next_start(&self, now: Instant) -> Option<Instant> {
        let waiting = self.endpoints.values().filter(|state| state.due > 0 || state.lacks_more());
        let of_rates = waiting.filter_map(|state| state.free_at(now).filter(|at| *at > now));
        of_rates.chain(self.paused.values().copied()).min()
    }
}

#[cfg(test)]
mod tests;
