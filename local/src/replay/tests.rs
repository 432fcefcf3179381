mod history;
mod world;

use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::params_from_iter;

use self::history::{Step, step};
use self::world::World;
use super::*;
use crate::lock_file::LockFile;
use crate::log_bound::LogBound;
use crate::progress::Progress;

/// A fault of one row of a live view: the table, its key, and a statement about the row with that key. A statement that inserts adds a row
/// with another first column of the key.
const FAULTS: &[(View, &str, &[&str], &str)] = &[
    (View::Status, "videos", VIDEO, "UPDATE videos SET version = version + 1 WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET version = 0 WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET state = coalesce(state, '') || 'x' WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET created_at = created_at + 1 WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET urgency = urgency + 1 WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET row = '{' WHERE"),
    (View::Status, "videos", VIDEO, "UPDATE videos SET row = replace(row, 'Id\":\"', 'Id\":\"x') WHERE"),
    (View::Status, "videos", VIDEO, "DELETE FROM videos WHERE"),
    (
        View::Status,
        "videos",
        VIDEO,
        "INSERT INTO videos SELECT 'added', video_id, version, state, s3_key, created_at, due_at, urgency, slot, row FROM videos WHERE",
    ),
    (View::Status, "video_metadata", METADATA, "DELETE FROM video_metadata WHERE"),
    (
        View::Status,
        "video_metadata",
        METADATA,
        "INSERT INTO video_metadata SELECT 'added', name, value, created_at, video_id FROM video_metadata WHERE",
    ),
    (View::Webhooks, "deliveries", DELIVERY, "UPDATE deliveries SET due_at = coalesce(due_at, 0) + 1 WHERE"),
    (View::Webhooks, "deliveries", DELIVERY, "UPDATE deliveries SET version = version + 9 WHERE"),
    (View::Webhooks, "deliveries", DELIVERY, "DELETE FROM deliveries WHERE"),
    (
        View::Webhooks,
        "receiving_endpoints",
        ENDPOINT,
        "UPDATE receiving_endpoints SET is_receiving = 1 - is_receiving WHERE",
    ),
    (View::Webhooks, "receiving_endpoints", ENDPOINT, "UPDATE receiving_endpoints SET version = 0 WHERE"),
    (
        View::Webhooks,
        "receiving_endpoints",
        ENDPOINT,
        "UPDATE receiving_endpoints SET version = version + 1000 WHERE",
    ),
    (View::Webhooks, "receiving_endpoints", ENDPOINT, "DELETE FROM receiving_endpoints WHERE"),
    (
        View::Webhooks,
        "receiving_endpoints",
        ENDPOINT,
        "INSERT INTO receiving_endpoints SELECT webhook_id, 'added', version, is_receiving FROM receiving_endpoints WHERE",
    ),
    (View::Usage, "usage", COUNTER, "UPDATE usage SET amount = amount + 1 WHERE"),
    (View::Usage, "usage", COUNTER, "DELETE FROM usage WHERE"),
    (View::Usage, "usage", COUNTER, "INSERT INTO usage SELECT 'added', day, name, amount FROM usage WHERE"),
];
const VIDEO: &[&str] = &["project_id", "video_id"];
const METADATA: &[&str] = &["project_id", "video_id", "name", "value", "created_at"];
const DELIVERY: &[&str] = &["project_id", "webhook_id", "message_id"];
const ENDPOINT: &[&str] = &["project_id", "webhook_id"];
const COUNTER: &[&str] = &["project_id", "day", "name"];

/// Makes the fault in one row. Returns the view and the key of the row that differs; `None` if the table has no rows.
fn make_fault(world: &World, fault: Index, row: Index) -> Option<(View, Vec<String>)> {
    let (view, table, columns, statement) = FAULTS[fault.index(FAULTS.len())];
    let connection = world.views_connection();
    let query = format!("SELECT {} FROM {table}", columns.join(", "));
    let keys: Vec<Vec<rusqlite::types::Value>> = connection
        .prepare(&query)
        .unwrap()
        .query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = keys.get(row.index(keys.len().max(1)))?;
    let condition: Vec<String> =
        columns.iter().zip(1..).map(|(column, at)| format!("{column} = ?{at}")).collect();
    let sql = format!("{statement} {}", condition.join(" AND "));
    assert_eq!(connection.execute(&sql, params_from_iter(key)).unwrap(), 1, "{sql}");
    let mut key: Vec<String> = key
        .iter()
        .map(|value| match value {
            rusqlite::types::Value::Text(text) => text.clone(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    if statement.starts_with("INSERT") {
        "added".clone_into(&mut key[0]);
    }
    Some((view, key))
}

fn equal(report: &Report) -> bool {
    report.live_hash.as_ref() == Some(&report.hash) && report.differences.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happened, however far the platform has brought the views, and wherever it was when it stopped.
    #[test]
    fn a_view_that_the_platform_made_is_the_one_that_a_replay_makes(
        steps in prop::collection::vec(step(), 1..60),
        rest in prop::collection::vec(step(), 0..10),
        cursor_is_behind in any::<bool>(),
        threads in 1usize..4,
    ) {
        let mut world = World::new();
        world.run(&steps);
        world.deliver();
        world.run(&rest);
        if cursor_is_behind {
            world.deliver_without_position();
        }
        for view in View::ALL {
            let options = Options { threads: Some(threads), ..Options::of(view) };
            let report = world.replay(&options).unwrap();
            prop_assert!(equal(&report), "{:?}", report);
            prop_assert!(report.unreadable.is_empty(), "{:?}", report);
        }
    }

    #[test]
    fn each_fault_of_a_row_is_found_with_its_key_and_mended(
        steps in prop::collection::vec(step(), 1..60),
        rest in prop::collection::vec(step(), 0..10),
        fault in any::<Index>(),
        row in any::<Index>(),
    ) {
        let mut world = World::new();
        world.run(&steps);
        world.deliver();
        world.run(&rest);
        let Some((view, key)) = make_fault(&world, fault, row) else { return Ok(()) };
        let found = world.replay(&Options::of(view)).unwrap();
        prop_assert_ne!(found.live_hash.as_ref(), Some(&found.hash));
        prop_assert!(found.differences.iter().any(|it| it.key == key), "{:?} is not in {:?}", key, found);
        let again = world.replay(&Options::of(view)).unwrap();
        prop_assert_eq!(&again.differences, &found.differences, "a replay without --swap changes nothing");

        let swapped = world.replay(&Options { swap: true, ..Options::of(view) }).unwrap();
        prop_assert!(swapped.swapped && swapped.live_hash.as_ref() == Some(&swapped.hash), "{:?}", swapped);
        prop_assert_eq!(&swapped.hash, &found.hash);
        // The platform goes on from the rows that were replaced.
        world.deliver();
        prop_assert!(equal(&world.replay(&Options::of(view)).unwrap()));
    }

    /// A view as of a position has the rows that nothing has changed since.
    #[test]
    fn a_part_of_the_log_is_compared_with_the_rows_that_it_alone_changed(
        steps in prop::collection::vec(step(), 2..60),
        at in any::<Index>(),
        use_time in any::<bool>(),
    ) {
        let mut world = World::new();
        world.run(&steps);
        world.deliver();
        let at = at.index(steps.len()) as u64 + 1;
        let (from, to) = if use_time {
            (LogBound::Time(World::time(at)), LogBound::Time(World::time(at + 1)))
        } else {
            (LogBound::Position(at), LogBound::Position(at))
        };
        for view in View::ALL {
            let before = world.replay(&Options { to: Some(to), ..Options::of(view) }).unwrap();
            prop_assert_eq!(before.position, at.min(before.position));
            prop_assert!(equal(&before), "{:?}", before);
            let since = world.replay(&Options { from: Some(from), ..Options::of(view) }).unwrap();
            prop_assert!(equal(&since), "{:?}", since);
            let whole = world.replay(&Options::of(view)).unwrap();
            prop_assert!(since.rows <= whole.rows);
        }
    }
}

#[test]
fn a_replay_that_is_stopped_changes_nothing_and_the_next_one_takes_its_file() {
    let mut world = World::new();
    world.run(&[Step::Upload { video: 1, generation: 1 }; 5]);
    world.deliver();
    let before = world.view_rows();
    let progress = Progress::default();
    progress.stop();
    let file = world.path("views.replay.db");
    let stopped = replay(&world.data_dir, &Options::of(View::Status), &progress);
    assert!(matches!(stopped, Err(ReplayError::Stopped)), "{stopped:?}");
    assert!(!file.exists());

    // A process that was killed leaves its file.
    let left = world.path("left.db");
    let begun = file::RebuiltView::create(&left).unwrap();
    std::fs::copy(&left, &file).unwrap();
    drop(begun);
    assert!(file.exists() && !left.exists());
    assert!(equal(&world.replay(&Options::of(View::Status)).unwrap()));
    assert!(!file.exists());
    assert_eq!(world.view_rows(), before);
}

/// Its stream, or that of its video, is quarantined then.
#[test]
fn a_delivery_that_cannot_be_continued_stays_due_at_no_time() {
    let mut world = World::new();
    let scheduled = Step::Schedule { webhook: 1, message: 2 };
    world.run(&[
        Step::Upload { video: 2, generation: 1 },
        scheduled,
        Step::Schedule { webhook: 1, message: 0 },
    ]);
    world.deliver();
    world.remove_due(1, 2);
    let lost = world.replay(&Options::of(View::Webhooks)).unwrap();
    let [difference] = &lost.differences[..] else { panic!("{lost:?}") };
    assert_eq!(
        (&difference.columns[..], &difference.key[2]),
        (&["due_at"][..], &history::delivery_key(1, 2).message_id.to_string())
    );

    world.run(&[Step::Quarantine { video: 2 }]);
    world.deliver();
    assert!(equal(&world.replay(&Options::of(View::Webhooks)).unwrap()));
    let connection = world.views_connection();
    connection.execute_batch("UPDATE deliveries SET version = 0").unwrap();
    let swapped = world.replay(&Options { swap: true, ..Options::of(View::Webhooks) }).unwrap();
    assert!(swapped.swapped && swapped.differences.len() == 2, "{swapped:?}");
    let count = |condition: &str| -> i64 {
        let query = format!("SELECT count(*) FROM deliveries WHERE version = 1 AND due_at IS {condition}");
        connection.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("NULL"), count("NOT NULL")), (1, 1));
}

#[test]
fn a_view_that_is_kept_has_the_rows_and_is_never_overwritten() {
    let mut world = World::new();
    world.run(&[Step::Upload { video: 1, generation: 1 }, Step::Metadata { video: 1, value: 3 }]);
    world.deliver();
    let into = world.path("then.db");
    let options = Options { into: Some(into.clone()), ..Options::of(View::Status) };
    let report = world.replay(&options).unwrap();
    assert!(equal(&report) && report.rows == 1, "{report:?}");
    let kept = rusqlite::Connection::open(&into).unwrap();
    assert_eq!(kept.query_row("SELECT count(*) FROM video_metadata", [], |row| row.get(0)), Ok(2));
    let again = world.replay(&options);
    assert!(matches!(&again, Err(ReplayError::Exists(path)) if *path == into), "{again:?}");

    let without_views = World::new();
    let error = without_views.replay(&Options::of(View::Status)).unwrap_err();
    assert!(matches!(error, ReplayError::NoViews(_)), "{error}");
}

#[test]
fn a_stream_with_a_changed_commit_is_named_and_the_others_are_compared() {
    let mut world = World::new();
    world.run(&[Step::Upload { video: 1, generation: 1 }, Step::Upload { video: 2, generation: 1 }]);
    world.deliver();
    let changed =
        "UPDATE commits SET events = replace(events, '\"bytes\":', '\"bytes\":1') WHERE position = 1";
    rusqlite::Connection::open(world.data_dir.log()).unwrap().execute_batch(changed).unwrap();
    let report = world.replay(&Options::of(View::Status)).unwrap();
    assert!(equal(&report) && report.rows == 1, "{report:?}");
    let [skipped] = &report.unreadable[..] else { panic!("{report:?}") };
    assert_eq!(skipped.reason, "it was changed");
    assert_eq!(skipped.stream, history::video_stream(1).to_string());
}

#[test]
fn only_one_replay_runs_on_a_data_directory() {
    let world = World::new();
    let lock = LockFile::try_lock(&world.data_dir.replay_lock()).unwrap().unwrap();
    let second = world.replay(&Options::of(View::Status)).unwrap_err();
    assert!(matches!(second, ReplayError::InUse), "{second}");
    drop(lock);
}

/// The variable with the number of events of the test that replays while writers go on. With a million of them it takes minutes without
/// optimization.
const EVENTS: &str = "STREAMIO_REPLAY_EVENTS";

#[test]
fn a_replay_while_writes_go_on_gives_the_hash_of_the_live_view() {
    let events = std::env::var(EVENTS).map_or(20_000, |text| text.parse().unwrap());
    let mut world = World::new();
    world.fill(events);
    world.deliver();
    let (report, written) = world
        .replay_during_writes(&Options { into: Some(world.path("new.db")), ..Options::of(View::Status) });
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 events")]
    let rate = report.events as f64 / report.rebuild_seconds;
    println!(
        "{} events of {} commits into {} rows in {:.2} s: {rate:.0} events/s; {written} commits were written meanwhile",
        report.events, report.commits, report.rows, report.rebuild_seconds,
    );
    assert!(equal(&report), "{:?}", report.differences);
    assert!(report.events >= events && written > 0);
}
