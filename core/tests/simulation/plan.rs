//! What a run does: the calls of tenants and the periods of faults, derived from a seed. A run can be shrunk to some of them.

use std::collections::BTreeSet;
use std::time::Duration;

use streamio_events::video::Policy;

use crate::engine::{HOUR, MINUTE, Millis, SECOND};
use crate::faults::{Fault, FaultPeriod};

/// The largest number of periods of faults after which running attempts expire: a video is errored after three failures.
pub(crate) const MAX_EXPIRING: usize = 2;

/// How long faults have been over and tenants silent when a run ends. Longer than the 24 hours that an attempt may wait for its worker.
pub(crate) const QUIET: Millis = 26 * HOUR;

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How long tenants act and faults happen.
    pub(crate) active: Millis,
    /// Whether all components read one clock, and grants are in the log before their URLs are returned, as on one machine.
    pub(crate) has_one_clock: bool,
    /// How many times longer calls take than on a good network: slow calls race with more others.
    pub(crate) slowness: u64,
    /// How long rejected and replaced versions are kept.
    pub(crate) retention: Duration,
    pub(crate) items: Vec<Item>,
}

/// Something that is planned.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A call of a tenant.
    Operation(Operation),
    /// A period of faults.
    Fault(FaultPeriod),
}

/// A call of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// The number of the operation, which a shrunk plan keeps.
    pub(crate) id: usize,
    pub(crate) at: Millis,
    pub(crate) project: usize,
    /// The number of the file: operations with the same number are about the same video.
    pub(crate) file: usize,
    pub(crate) action: Action,
}

/// What a tenant does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Upload(Upload),
    Delete,
    Reprocess,
    Update,
    Read,
    RevokeKey {
        key: usize,
    },
    Suspend {
        resumes_after: Millis,
    },
    /// An event that cannot be read is appended to the video's stream.
    PoisonVideo,
    /// Something that is no fact is put into the intake.
    PoisonFact,
    /// Something that is no event notification is delivered.
    PoisonNotification,
    /// An operator rebuilds the views from the log.
    Rebuild,
}

/// An upload URL and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of one another")]
pub(crate) struct Upload {
    pub(crate) key: usize,
    pub(crate) lifetime: Millis,
    /// The time between the response and the upload.
    pub(crate) delay: Millis,
    /// How long the upload takes.
    pub(crate) duration: Millis,
    pub(crate) overwrite: bool,
    pub(crate) states_size: bool,
    pub(crate) is_multipart: bool,
    /// Whether the object names its grant, as all but URLs of earlier releases do.
    pub(crate) names_grant: bool,
    /// How often the URL is used; 0 if the tenant gives up.
    pub(crate) uses: u32,
    /// Whether the request is repeated, so that the grant has two URLs.
    pub(crate) is_requested_again: bool,
    pub(crate) quality: Quality,
}

/// What happens to an attempt at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    /// It can be processed.
    Good,
    /// It is no video.
    Bad,
    /// Each worker crashes.
    Deadly,
}

/// The number of projects.
pub(crate) const PROJECTS: usize = 3;

/// The number of files of each project.
const FILES: usize = 5;

/// The number of API keys of each project.
pub(crate) const KEYS: usize = 2;

/// The latest time after the beginning of a busy period at which something is planned in it.
const BUSY: Millis = 40 * MINUTE;

impl Plan {
    /// Returns the run of `seed`, in which tenants act for about `hours`, and only these kinds of faults happen.
    pub(crate) fn of_seed(seed: u64, hours: u64, kinds: &[Fault]) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1);
        let active = hours * HOUR;
        // Faults and operations coincide.
        let busy: Vec<Millis> =
            (0..random.usize(2..5)).map(|_| random.u64(..active.saturating_sub(2 * HOUR).max(1))).collect();
        let operations = any_operations(&mut random, &busy);
        let mut items: Vec<Item> = operations.into_iter().map(Item::Operation).collect();
        items.extend(any_faults(&mut random, &busy, active, kinds).into_iter().map(Item::Fault));
        let retention = Duration::from_hours(if random.bool() { 6 } else { 72 });
        let has_one_clock = random.bool();
        let slowness = if random.u8(..4) == 0 { 20 } else { 1 };
        Self { seed, active, has_one_clock, slowness, retention, items }
    }

    /// The operations.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.items.iter().filter_map(|item| match item {
            Item::Operation(operation) => Some(operation),
            Item::Fault(_) => None,
        })
    }

    /// The periods of faults.
    pub(crate) fn periods(&self) -> Vec<FaultPeriod> {
        let period = |item: &Item| match item {
            Item::Operation(_) => None,
            Item::Fault(period) => Some(*period),
        };
        self.items.iter().filter_map(period).collect()
    }

    /// Whether a fault of this kind is planned.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.periods().iter().any(|period| period.fault == fault)
    }

    /// The uploads that nothing disturbs: no other operation is about their video, their key is not revoked and their project not
    /// suspended. They must be accepted.
    pub(crate) fn undisturbed(&self) -> BTreeSet<usize> {
        let is_disturbed = |one: &Operation, upload: &Upload| {
            self.operations().any(|other| {
                other.id != one.id
                    && other.project == one.project
                    && match &other.action {
                        Action::RevokeKey { key } => *key == upload.key,
                        Action::Suspend { .. } => true,
                        Action::Read | Action::Rebuild | Action::PoisonFact | Action::PoisonNotification => {
                            false
                        }
                        _ => other.file == one.file,
                    }
            })
        };
        let uploads = self.operations().filter_map(|one| match &one.action {
            Action::Upload(upload) => Some((one, upload)),
            _ => None,
        });
        uploads.filter(|(one, upload)| !is_disturbed(one, upload)).map(|(one, _)| one.id).collect()
    }

    /// Whether a fault that delays the sweep is planned between these times.
    pub(crate) fn delays_sweep(&self, from: Millis, until: Millis) -> bool {
        let overlaps = |period: &FaultPeriod| period.from <= until && from <= period.until;
        self.periods().iter().any(|period| period.fault.delays_sweep() && overlaps(period))
    }

    /// The deployment's policy.
    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy { rejected_retention: self.retention, ..Policy::new("raw", "processed") };
        if self.has_one_clock {
            Policy { grant_wait: Duration::ZERO, clock_tolerance: Duration::ZERO, ..policy }
        } else {
            policy
        }
    }
}

fn any_operations(random: &mut fastrand::Rng, busy: &[Millis]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for id in 0..random.usize(10..22) {
        let at = random.choice(busy).copied().unwrap_or_default() + random.u64(..BUSY);
        let file = if random.bool() { random.usize(..FILES) } else { random.usize(..2) };
        let mut operation =
            Operation { id, at, project: random.usize(..PROJECTS), file, action: any_action(random) };
        // Most commands are about a video that is being uploaded or processed.
        let is_upload = matches!(operation.action, Action::Upload(_));
        let other = random.choice(&operations).cloned();
        if let Some(other) = other.filter(|_| !is_upload && random.u8(..4) > 0)
            && let Action::Upload(upload) = &other.action
        {
            operation.project = other.project;
            operation.file = other.file;
            operation.at = other.at + upload.delay + upload.duration + random.u64(..5 * MINUTE);
        }
        operations.push(operation);
    }
    operations
}

fn any_faults(
    random: &mut fastrand::Rng,
    busy: &[Millis],
    active: Millis,
    kinds: &[Fault],
) -> Vec<FaultPeriod> {
    let share = random.u64(5..50);
    let chosen: Vec<Fault> = kinds.iter().copied().filter(|_| random.u64(..100) < share).collect();
    let (mut periods, mut expiring) = (Vec::new(), 0);
    for fault in chosen {
        for _ in 0..random.usize(1..3) {
            expiring += usize::from(fault.expires_attempts());
            if fault.expires_attempts() && expiring > MAX_EXPIRING {
                continue;
            }
            let (longest, strongest) = fault.extent();
            let middle = random.choice(busy).copied().unwrap_or_default() + random.u64(..BUSY);
            let length = random.u64(MINUTE..=longest);
            let from = middle.saturating_sub(random.u64(..length));
            let until = (from + length).min(active);
            // With pauses in between, some faults would expire several attempts.
            let is_whole = strongest == 1000 && random.u8(..3) > 0;
            let per_mille =
                if fault.expires_attempts() || is_whole { 1000 } else { random.u64(1..=strongest) };
            periods.push(FaultPeriod { fault, from, until, per_mille });
        }
    }
    periods
}

fn any_action(random: &mut fastrand::Rng) -> Action {
    match random.u8(..100) {
        0..62 => Action::Upload(any_upload(random)),
        62..69 => Action::Delete,
        69..75 => Action::Reprocess,
        75..79 => Action::Update,
        79..83 => Action::Read,
        83..87 => Action::RevokeKey { key: random.usize(..KEYS) },
        87..89 => Action::Suspend { resumes_after: random.u64(MINUTE..HOUR) },
        89..92 => Action::PoisonVideo,
        92..95 => Action::PoisonFact,
        95..98 => Action::PoisonNotification,
        _ => Action::Rebuild,
    }
}

fn any_upload(random: &mut fastrand::Rng) -> Upload {
    let lifetime = *random.choice(&[10 * MINUTE, HOUR, 3 * HOUR]).unwrap_or(&HOUR);
    let delay = match random.u8(..10) {
        0..6 => random.u64(..10 * SECOND),
        6..8 => random.u64(..lifetime),
        _ => random.u64(..lifetime + 20 * MINUTE),
    };
    Upload {
        key: random.usize(..KEYS),
        lifetime,
        delay,
        duration: if random.u8(..5) == 0 { random.u64(..30 * MINUTE) } else { random.u64(..20 * SECOND) },
        overwrite: random.bool(),
        states_size: random.bool(),
        is_multipart: random.u8(..5) == 0,
        names_grant: random.u8(..10) > 0,
        uses: match random.u8(..10) {
            0 => 0,
            1..8 => 1,
            _ => 2,
        },
        is_requested_again: random.u8(..6) == 0,
        quality: match random.u8(..12) {
            0 | 1 => Quality::Bad,
            2 => Quality::Deadly,
            _ => Quality::Good,
        },
    }
}
