//! The actions of a simulated history, and their effects.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Demand, Simulation, Worker, outputs, source};
use crate::event::ProcessingProgressed;
use crate::id::CommitId;
use crate::job::Job;
use crate::media::VideoError;
use crate::video::decide::{self, Decision, Interruption, WorkerEnd};

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// An object is uploaded without a notification.
    Put,
    /// An S3 notification of an upload arrives: late, twice or out of order. The upload is added first if it is
    /// missing.
    Upload {
        put: u8,
    },
    /// A grant issued this many seconds ago is recorded. It states nothing and may replace a video.
    Grant {
        age: u16,
    },
    /// A grant that demands more is recorded.
    Demand {
        age: u16,
        demand: Demand,
    },
    /// The record of another URL of an earlier grant, which was issued this many seconds ago.
    Repeat {
        grant: usize,
        age: u16,
    },
    Revoke {
        key: u8,
    },
    CheckBucket {
        notification: Option<u8>,
    },
    DecideCheck {
        check: usize,
    },
    React,
    Wait(u16),
    StartWorker {
        job: usize,
    },
    Reread {
        worker: usize,
    },
    Progress {
        worker: usize,
        percent: u8,
    },
    Complete {
        worker: usize,
    },
    /// The stable keys are written, and nothing follows.
    WriteStableKeys {
        worker: usize,
    },
    Publish {
        worker: usize,
    },
    Fail {
        worker: usize,
        retryable: bool,
    },
    Interrupt {
        worker: usize,
    },
    WorkerEnds {
        worker: usize,
        crashed: bool,
    },
    Delete,
    Reprocess,
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let worker = 0usize..6;
    prop_oneof![
        2 => Just(Action::Put),
        3 => (1u8..20).prop_map(|put| Action::Upload { put }),
        3 => (0u16..400).prop_map(|age| Action::Grant { age }),
        2 => proptest::option::of(1u8..20).prop_map(|notification| Action::CheckBucket { notification }),
        2 => (0usize..4).prop_map(|check| Action::DecideCheck { check }),
        8 => Just(Action::React),
        3 => prop_oneof![1u16..400, 3000u16..5000].prop_map(Action::Wait),
        6 => (0usize..8).prop_map(|job| Action::StartWorker { job }),
        4 => worker.clone().prop_map(|worker| Action::Reread { worker }),
        3 => (worker.clone(), any::<u8>()).prop_map(|(worker, percent)| Action::Progress { worker, percent }),
        4 => worker.clone().prop_map(|worker| Action::Complete { worker }),
        1 => worker.clone().prop_map(|worker| Action::WriteStableKeys { worker }),
        4 => worker.clone().prop_map(|worker| Action::Publish { worker }),
        2 => (worker.clone(), any::<bool>()).prop_map(|(worker, retryable)| Action::Fail { worker, retryable }),
        1 => worker.clone().prop_map(|worker| Action::Interrupt { worker }),
        1 => (worker, any::<bool>()).prop_map(|(worker, crashed)| Action::WorkerEnds { worker, crashed }),
        1 => Just(Action::Delete),
        1 => Just(Action::Reprocess),
    ]
}

/// Actions of users, notifications and time in any order, with grants that demand something.
pub(super) fn demanding_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => action(),
        3 => (0u16..1200, proptest::option::of(10u64..12), any::<(bool, bool)>(), 0u8..3).prop_map(
            |(age, size, (overwrite, multipart), key)| {
                Action::Demand { age, demand: Demand { size, overwrite, multipart, key } }
            },
        ),
        2 => (0usize..8, 0u16..1200).prop_map(|(grant, age)| Action::Repeat { grant, age }),
        1 => (1u8..3).prop_map(|key| Action::Revoke { key }),
    ]
}

impl Simulation {
    pub(super) fn act(&mut self, action: &Action) {
        match *action {
            Action::Put => {
                self.put_next();
            }
            Action::Upload { put } => {
                self.put(put);
                let object = self.notification(put);
                if self.removed.contains(&put) && self.is_versioned {
                    return;
                }
                if self.is_versioned || self.stored() == Some(put) {
                    self.arrive(&object);
                }
            }
            Action::Demand { age, ref demand } => {
                self.record_grant(Duration::from_secs(age.into()), demand);
            }
            Action::Repeat { grant, age } => self.repeat_grant(grant, Duration::from_secs(age.into())),
            Action::Revoke { key } => {
                // Events of the same millisecond have no order.
                self.now = self.now.plus(Duration::from_millis(1));
                let now = self.now;
                self.revoked.entry(key).or_insert(now);
            }
            Action::Grant { age } => self.grant(Duration::from_secs(age.into())),
            Action::CheckBucket { notification } => {
                if let Some(put) = notification {
                    self.put(put);
                }
                self.check_bucket(notification);
            }
            Action::DecideCheck { check } => {
                self.decide_check(check);
            }
            Action::React => {
                self.react();
            }
            Action::Wait(seconds) => self.now = self.now.plus(Duration::from_secs(u64::from(seconds))),
            Action::StartWorker { job } => {
                if let Some(job) = self.launched.get(job).cloned() {
                    let task = format!("task-{}", self.workers.len());
                    self.workers.push(Worker { job, task, video: self.video() });
                    let worker = self.workers.len() - 1;
                    self.start(worker);
                }
            }
            Action::Reread { worker } => {
                let video = self.video();
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.video = video;
                }
            }
            Action::Progress { worker, percent } => {
                if let Some(worker) = self.workers.get(worker) {
                    let Job { generation, attempt, .. } = worker.job;
                    self.facts += 1;
                    let commit_id = CommitId::derived_from(&["progress", &self.facts.to_string()]);
                    let events = vec![ProcessingProgressed { generation, attempt, percent }.into()];
                    self.append(None, Decision { commit_id, events });
                }
            }
            Action::Complete { worker } => self.worker_decides(worker, |worker| {
                let outputs = outputs(worker.job.generation);
                decide::complete(&worker.video, &worker.job, &worker.task, source(), outputs).ok()
            }),
            Action::WriteStableKeys { worker } => self.write_stable_keys(worker),
            Action::Publish { worker } => {
                self.write_stable_keys(worker);
                self.worker_decides(worker, |worker| decide::ready(&worker.video, &worker.job).ok());
            }
            Action::Fail { worker, retryable } => self.worker_decides(worker, |worker| {
                let error = VideoError { code: "corrupt".to_owned(), message: "cut".to_owned(), retryable };
                decide::fail(&worker.video, &worker.job, &worker.task, error).ok()
            }),
            Action::Interrupt { worker } => self.worker_decides(worker, |worker| {
                let interruption = Interruption::Unable("no storage".to_owned());
                decide::interrupt(&worker.video, &worker.job, &worker.task, interruption).ok()
            }),
            Action::WorkerEnds { worker, crashed } => {
                let video = self.video();
                if let Some(worker) = self.workers.get(worker) {
                    let how = "gone".to_owned();
                    let end = if crashed {
                        WorkerEnd::Crashed(how)
                    } else {
                        WorkerEnd::Interrupted(Interruption::Stopped(how))
                    };
                    let decision = decide::worker_ended(&video, &worker.job, &worker.task, end);
                    self.decide(decision, &video);
                }
            }
            Action::Delete => {
                let video = self.video();
                self.decide(decide::delete(&video).ok().flatten(), &video);
            }
            Action::Reprocess => {
                let video = self.video();
                self.decide(decide::reprocess(&video).ok(), &video);
            }
        }
    }
}
