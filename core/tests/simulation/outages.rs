//! Outages of an hour, and a clock that is set back or forward by one: no video ends in error, and no upload is refused or lost.

use crate::engine::{HOUR, MINUTE, SECOND};
use crate::faults::{Fault, FaultPeriod};
use crate::plan::{Action, Item, Operation, PROJECTS, Plan, Quality, Upload};
use crate::run;

/// The number of seeds for each outage.
const SEEDS: u64 = 12;

/// The number of files of each project.
const FILES: usize = 3;

/// When the outage begins.
const BEGINS: u64 = HOUR;

/// Uploads of good files, before, in and after an outage, with URLs that are valid for two hours.
fn plan(seed: u64, fault: Fault, has_one_clock: bool) -> Plan {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut items = Vec::new();
    for id in 0..PROJECTS * FILES {
        let upload = Upload {
            key: 0,
            lifetime: 2 * HOUR,
            delay: random.u64(..20 * MINUTE),
            duration: random.u64(..MINUTE),
            overwrite: false,
            states_size: true,
            is_multipart: random.bool(),
            names_grant: true,
            uses: 1,
            is_requested_again: false,
            quality: Quality::Good,
        };
        let (project, file) = (id / FILES, id % FILES);
        let at = BEGINS - 10 * MINUTE + random.u64(..80 * MINUTE);
        items.push(Item::Operation(Operation { id, at, project, file, action: Action::Upload(upload) }));
    }
    let until = BEGINS + HOUR + SECOND;
    items.push(Item::Fault(FaultPeriod { fault, from: BEGINS, until, per_mille: 1000 }));
    let has_versions = has_one_clock || seed.is_multiple_of(2);
    Plan { has_one_clock, has_versions, items, ..Plan::of_seed(seed, 4, &[]) }
}

/// Uploads that take longer than their URLs are valid. Their event notifications are lost, and the clock is set forward while they are in
/// progress.
fn plan_of_long_uploads(seed: u64) -> Plan {
    let Plan { items, .. } = plan(seed, Fault::ClockAhead, true);
    let mut random = fastrand::Rng::with_seed(seed);
    let longer = |item: Item| match item {
        Item::Operation(Operation { id, project, file, action: Action::Upload(upload), .. }) => {
            let duration = random.u64(12 * MINUTE..30 * MINUTE);
            let (delay, lifetime) = (0, 10 * MINUTE);
            let action = Action::Upload(Upload { lifetime, delay, duration, ..upload });
            let at = BEGINS - random.u64(2 * MINUTE..duration);
            Item::Operation(Operation { id, at, project, file, action })
        }
        other => other,
    };
    let mut items: Vec<Item> = items.into_iter().map(longer).collect();
    let fault = Fault::LostNotification;
    items.push(Item::Fault(FaultPeriod { fault, from: 0, until: 3 * HOUR, per_mille: 1000 }));
    Plan { has_one_clock: true, has_versions: true, items, ..Plan::of_seed(seed, 4, &[]) }
}

fn check(fault: Fault, kinds_of_clock: &[bool]) {
    let mut happened = 0;
    for seed in 0..SEEDS {
        for has_one_clock in kinds_of_clock {
            let outcome = run::run(&plan(seed, fault, *has_one_clock), false);
            assert_eq!(outcome.violation, None, "{} with seed {seed}", fault.name());
            happened += outcome.faults[fault as usize];
        }
    }
    assert!(happened > 0, "{} never happened", fault.name());
}

#[test]
fn an_hour_without_the_log_ends_no_video() {
    check(Fault::LogUnavailable, &[false, true]);
}

#[test]
fn an_hour_with_a_full_disk_of_the_log_ends_no_video() {
    check(Fault::LogDiskFull, &[true]);
}

#[test]
fn an_hour_without_the_object_store_ends_no_video() {
    check(Fault::StoreUnavailable, &[false, true]);
}

#[test]
fn an_hour_without_the_launcher_ends_no_video() {
    check(Fault::LauncherUnavailable, &[false, true]);
    check(Fault::LauncherRefuses, &[false, true]);
}

#[test]
fn an_hour_without_the_views_ends_no_video() {
    check(Fault::ViewsUnavailable, &[false, true]);
}

#[test]
fn an_hour_without_the_network_of_the_workers_ends_no_video() {
    check(Fault::Partition, &[false, true]);
}

/// The clock of the functions alone, and that of one machine.
#[test]
fn a_clock_that_is_set_back_by_an_hour_ends_no_video() {
    check(Fault::ClockBehind, &[false, true]);
}

#[test]
fn a_clock_that_is_set_forward_by_an_hour_ends_no_video() {
    check(Fault::ClockAhead, &[false, true]);
}

#[test]
fn an_upload_whose_notification_is_lost_is_found_although_the_clock_was_set_forward() {
    for seed in 0..SEEDS {
        let outcome = run::run(&plan_of_long_uploads(seed), false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.faults[Fault::LostNotification as usize] > 0, "no notification was lost");
    }
}

/// What a clock that was ahead has postponed comes late for an hour after it was set right. Other faults delay nothing after their ends.
#[test]
fn a_clock_that_was_ahead_delays_the_sweep_for_another_hour_and_other_faults_do_not() {
    let period = |fault, from, until| Item::Fault(FaultPeriod { fault, from, until, per_mille: 1000 });
    let items = vec![period(Fault::SweepStopped, 0, HOUR), period(Fault::ClockAhead, 9 * HOUR, 10 * HOUR)];
    let plan = Plan { items, ..Plan::of_seed(0, 4, &[]) };
    assert!(plan.delays_sweep(HOUR - MINUTE, 2 * HOUR));
    assert!(!plan.delays_sweep(HOUR + MINUTE, 2 * HOUR), "the sweep runs again");
    assert!(plan.delays_sweep(11 * HOUR - MINUTE, 12 * HOUR));
    assert!(!plan.delays_sweep(11 * HOUR + MINUTE, 12 * HOUR));
}
