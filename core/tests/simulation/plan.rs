//! What a run does: the calls of tenants and the periods of faults, derived from a seed. A run can be shrunk to some of them.

use std::collections::BTreeSet;
use std::time::Duration;

use streamio_events::limits::{Limit, ProjectLimits};
use streamio_events::video::Policy;

use crate::engine::{HOUR, MINUTE, Millis, SECOND};
use crate::faults::{CLOCK_ERROR, Fault, FaultPeriod};

/// The largest number of periods of faults after which running attempts expire: a video is errored after three failures.
pub(crate) const MAX_EXPIRING: usize = 2;

/// How long a rebuild of views may take while stores fail.
const LONGEST_REBUILD: Millis = 3 * HOUR;

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
    /// Whether the bucket of sources keeps versions. That of one machine does.
    pub(crate) has_versions: bool,
    /// How many times longer calls take than on a good network: slow calls race with more others.
    pub(crate) slowness: u64,
    /// How long rejected and replaced versions are kept.
    pub(crate) retention: Duration,
    /// How many attempts of a project may run at the same time.
    pub(crate) concurrent_encodes: Limit,
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
    /// Playback URLs are requested, one after another.
    Play {
        count: u32,
    },
    /// An operator limits the bytes that the project may upload in a day; `None`: to as many as it wants.
    Limit {
        bytes_per_day: Option<u64>,
    },
    /// An event that cannot be read is appended to the video's stream.
    UnreadableEvent,
    /// Something that is no fact is put into the intake.
    UnreadableFact,
    /// Something that is no event notification is delivered.
    UnreadableNotification,
    /// An operator rebuilds the views from the log.
    Rebuild {
        /// Whether the rows of videos were lost.
        is_lost: bool,
    },
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
    /// It can be processed, and has no pictures.
    Sound,
    /// It is no video.
    Bad,
    /// Each worker crashes.
    CrashesWorker,
}

impl Quality {
    /// Whether it can be processed.
    pub(crate) fn is_media(self) -> bool {
        matches!(self, Self::Good | Self::Sound)
    }
}

/// The number of projects.
pub(crate) const PROJECTS: usize = 3;

/// The number of files of each project.
pub(crate) const FILES: usize = 5;

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
        let concurrent_encodes = *random
            .choice(&[Limit::AtMost(1), Limit::AtMost(2), Limit::Unlimited])
            .unwrap_or(&Limit::Unlimited);
        let has_versions = has_one_clock || random.u8(..3) > 0;
        Self { seed, active, has_one_clock, has_versions, slowness, retention, concurrent_encodes, items }
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

    /// Whether clocks are wrong at some time.
    pub(crate) fn has_clock_faults(&self) -> bool {
        self.has(Fault::ClockAhead) || self.has(Fault::ClockBehind)
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
                        Action::Suspend { .. } | Action::Limit { .. } => true,
                        Action::Read
                        | Action::Play { .. }
                        | Action::Rebuild { .. }
                        | Action::UnreadableFact
                        | Action::UnreadableNotification => false,
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

    /// Whether a fault that delays the sweep is planned between these times, or a loss of the rows that it reads. What a clock that was
    /// ahead has postponed comes late for as long after it was set right.
    pub(crate) fn delays_sweep(&self, from: Millis, until: Millis) -> bool {
        let is_ahead = |fault| fault == Fault::ClockAhead;
        self.meets_any(Fault::delays_sweep, from, until)
            || self.meets_any(is_ahead, from.saturating_sub(CLOCK_ERROR), until)
            || self.loses_rows(from, until)
    }

    /// Whether something that delays publications is planned between these times.
    pub(crate) fn delays_publication(&self, from: Millis, until: Millis) -> bool {
        self.meets_any(Fault::delays_publication, from, until) || self.loses_rows(from, until)
    }

    fn meets_any(&self, is_wanted: impl Fn(Fault) -> bool, from: Millis, until: Millis) -> bool {
        let overlaps = |period: &FaultPeriod| period.from <= until && from <= period.until;
        self.periods().iter().any(|period| is_wanted(period.fault) && overlaps(period))
    }

    fn loses_rows(&self, from: Millis, until: Millis) -> bool {
        let is_loss = |operation: &Operation| {
            matches!(operation.action, Action::Rebuild { is_lost: true })
                && (from.saturating_sub(LONGEST_REBUILD)..=until).contains(&operation.at)
        };
        self.operations().any(is_loss)
    }

    /// The deployment's policy.
    pub(crate) fn policy(&self) -> Policy {
        let concurrent_encodes = self.concurrent_encodes;
        let project_limits = ProjectLimits { concurrent_encodes, ..ProjectLimits::UNLIMITED };
        let policy =
            Policy { rejected_retention: self.retention, project_limits, ..Policy::new("raw", "processed") };
        if self.has_one_clock {
            let clock_step = Duration::from_hours(2);
            Policy { grant_wait: Duration::ZERO, clock_tolerance: Duration::ZERO, clock_step, ..policy }
        } else {
            policy
        }
    }
}

fn any_operations(random: &mut fastrand::Rng, busy: &[Millis]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let any_time =
        |random: &mut fastrand::Rng| random.choice(busy).copied().unwrap_or_default() + random.u64(..BUSY);
    for id in 0..random.usize(10..22) {
        let at = any_time(random);
        let file = if random.bool() { random.usize(..FILES) } else { random.usize(..2) };
        let mut operation =
            Operation { id, at, project: random.usize(..PROJECTS), file, action: any_action(random) };
        // Most commands are about a video that is being uploaded or processed.
        let is_upload = matches!(operation.action, Action::Upload(_));
        let deletion = operations.iter().rfind(|other| other.action == Action::Delete);
        if let Some(deletion) = deletion.filter(|_| is_upload && random.u8(..4) == 0) {
            // A deleted video is uploaded again while it is being removed.
            operation.project = deletion.project;
            operation.file = deletion.file;
            operation.at = deletion.at + random.u64(..2 * MINUTE);
        }
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
    // Playback is more frequent than all else.
    for _ in 0..random.usize(1..3) {
        let (id, at) = (operations.len(), any_time(random));
        let (project, action) = (random.usize(..PROJECTS), any_playback(random));
        operations.push(Operation { id, at, project, file: 0, action });
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
        0..56 => Action::Upload(any_upload(random)),
        56..62 => Action::Delete,
        62..67 => Action::Reprocess,
        67..70 => Action::Update,
        70..73 => Action::Read,
        73..76 => Action::RevokeKey { key: random.usize(..KEYS) },
        76..79 => Action::Suspend { resumes_after: any_suspension(random) },
        79..81 => {
            Action::Limit { bytes_per_day: random.choice([Some(0), Some(25), None]).unwrap_or_default() }
        }
        81..87 => any_playback(random),
        87..90 => Action::UnreadableEvent,
        90..93 => Action::UnreadableFact,
        93..96 => Action::UnreadableNotification,
        _ => Action::Rebuild { is_lost: random.bool() },
    }
}

fn any_playback(random: &mut fastrand::Rng) -> Action {
    Action::Play { count: random.u32(5..60) }
}

/// How long a project is suspended: seconds by mistake, or longer.
fn any_suspension(random: &mut fastrand::Rng) -> Millis {
    if random.bool() { random.u64(10 * SECOND..2 * MINUTE) } else { random.u64(MINUTE..HOUR) }
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
            2 => Quality::CrashesWorker,
            3..6 => Quality::Sound,
            _ => Quality::Good,
        },
    }
}
