//! The commits of a project by their places, in the SQLite log.

use std::collections::BTreeMap;

use rusqlite::Connection;
use streamio_events::commit::CommitHash;
use streamio_events::id::ProjectId;
use streamio_events::log::{AppendError, EventLog as _, Expected, ReadError};
use streamio_events::retryable::Retryable as _;
use streamio_events::sqlite::SqliteLog;

use super::samples::commit;
use super::sqlite::open;

fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

#[tokio::test]
async fn the_hashes_of_a_project_are_found_from_every_place_with_every_limit() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let mut appended: BTreeMap<&str, Vec<CommitHash>> = BTreeMap::new();
    // Runs of different lengths, so that the places of a project are far from the positions of the log.
    for n in 0..60 {
        let name = ["acme", "acme-2", "zebra"][(n / 4 + n % 3) % 3];
        let stream = format!("grants/{name}/2026010203/{}", n % 5).parse().unwrap();
        let new = commit(&n.to_string(), 1 + n % 2);
        let appended_commit = log.append(&stream, Expected::Any, new).await.unwrap().commit;
        appended.entry(name).or_default().push(appended_commit.hash);
    }
    for (name, hashes) in &appended {
        for from in 0..=hashes.len() + 1 {
            for limit in [1, 2, 7, 1000] {
                let found = log.hashes_of_project(&project(name), from as u64, limit).await.unwrap();
                let expected: Vec<_> = hashes.iter().skip(from).take(limit).copied().collect();
                assert_eq!(found, expected, "{name} from {from}, at most {limit}");
            }
        }
    }
    assert_eq!(log.hashes_of_project(&project("other"), 0, 10).await.unwrap(), []);
    assert_eq!(log.hashes_of_project(&project("acme"), u64::MAX, 10).await.unwrap(), []);
}

/// Appends `count` commits of `acme`, and returns their hashes.
async fn append_to_acme(log: &SqliteLog, count: usize) -> Vec<CommitHash> {
    let mut hashes = Vec::new();
    for n in 0..count {
        let stream = format!("grants/acme/2026010203/{n}").parse().unwrap();
        hashes.push(log.append(&stream, Expected::Any, commit(&n.to_string(), 1)).await.unwrap().commit.hash);
    }
    hashes
}

/// Changes one row of the log.
fn change(folder: &tempfile::TempDir, sql: &str) {
    let connection = Connection::open(folder.path().join("log.db")).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
}

#[tokio::test]
async fn a_missing_and_a_repeated_place_are_damage_after_the_hashes_before_it() {
    for (sql, wrong) in [
        ("DELETE FROM commits WHERE place = 3", 3),
        ("UPDATE commits SET place = 3 WHERE place = 4", 4),
        ("UPDATE commits SET place = -1 WHERE place = 3", 3),
        ("UPDATE commits SET place = 9223372036854775807 WHERE place = 0", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder);
        let hashes = append_to_acme(&log, 8).await;
        change(&folder, sql);
        if wrong > 0 {
            let before = log.hashes_of_project(&project("acme"), 0, 100).await.unwrap();
            assert_eq!(before, hashes[..wrong], "{sql}");
        }
        let error = log.hashes_of_project(&project("acme"), wrong as u64, 100).await.unwrap_err();
        assert!(matches!(&error, ReadError::Damaged { .. }), "{sql}: {error}");
        // In the order of the log all hashes that are left can be read.
        let stored = log.hashes_after(&project("acme"), 0, 100).await.unwrap();
        let left = hashes.iter().enumerate().filter(|(n, _)| *n != 3 || !sql.starts_with("DELETE"));
        let left: Vec<_> = left.map(|(_, hash)| Some(*hash)).collect();
        assert_eq!(stored.iter().map(|it| it.hash).collect::<Vec<_>>(), left, "{sql}");
    }
}

/// The place of a project's last commit decides about the next place of this project, and about nothing else.
#[tokio::test]
async fn a_damaged_last_place_concerns_its_own_project_only() {
    for place in ["-1", "-9223372036854775808", "9223372036854775807"] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder);
        append_to_acme(&log, 3).await;
        change(&folder, &format!("UPDATE commits SET place = {place} WHERE place = 2"));
        // Of one group, or of several.
        let appends = (0..20).map(|n| {
            let (log, name) = (log.clone(), ["acme", "zebra"][n % 2]);
            let stream = format!("grants/{name}/2026010204/{n}").parse().unwrap();
            tokio::spawn(async move { log.append(&stream, Expected::Any, commit(&n.to_string(), 1)).await })
        });
        for (n, append) in appends.collect::<Vec<_>>().into_iter().enumerate() {
            match append.await.unwrap() {
                Ok(_) => assert_eq!(n % 2, 1, "{place}"),
                Err(error) => {
                    let is_of_acme = n % 2 == 0 && matches!(error, AppendError::Damaged { .. });
                    assert!(is_of_acme && !error.is_retryable(), "{place}, {n}: {error:?}");
                }
            }
        }
        let error = log.next_place(&project("acme")).await.unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{place}: {error:?}");
        assert_eq!(log.next_place(&project("zebra")).await.unwrap(), 10);
        // A retry would not help the reader of a place either.
        let of_last = log.place_of(&"grants/acme/2026010203/2".parse().unwrap(), 1).await;
        if place.starts_with('-') {
            let error = of_last.unwrap_err();
            assert!(
                matches!(error, ReadError::Damaged { .. }) && !error.is_retryable(),
                "{place}: {error:?}"
            );
        } else {
            assert_eq!(of_last.unwrap(), Some(u64::try_from(i64::MAX).unwrap()));
        }
    }
}

/// SQLite accepts any bytes as text.
#[tokio::test]
async fn a_name_that_is_not_utf_8_hides_no_other_project() {
    for name in ["x'ff'", "x'70726f6a6563742fff'", "x'2fffff2f'", "x'00'"] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder);
        append_to_acme(&log, 3).await;
        let stream = "project/zebra".parse().unwrap();
        log.append(&stream, Expected::Any, commit("zebra", 1)).await.unwrap();
        change(&folder, &format!("UPDATE commits SET stream = CAST({name} AS TEXT) WHERE place = 1"));
        let (mut projects, last) = log.projects_after(0).await.unwrap();
        projects.sort();
        assert_eq!((projects, last), (vec![project("acme"), project("zebra")], 4), "{name}");
        let named = log.nth_commit(&project("acme"), 1).await.unwrap();
        assert_eq!(named, Some(("grants/acme/2026010203/2".to_owned(), 1)), "{name}");
    }
    // A name with the project in it, too.
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    append_to_acme(&log, 3).await;
    change(&folder, "UPDATE commits SET stream = CAST(x'ff2f61636d65' AS TEXT) WHERE place = 1");
    let named = log.nth_commit(&project("acme"), 1).await.unwrap();
    assert_eq!(named, Some(("\u{fffd}/acme".to_owned(), 1)));
    assert_eq!(log.nth_commit(&project("acme"), 3).await.unwrap(), None);
}

#[tokio::test]
async fn the_projects_with_new_commits_are_those_after_a_position() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    assert_eq!(log.projects_after(0).await.unwrap(), (vec![], 0));
    for (n, name) in ["acme", "acme-2", "acme", "zebra"].into_iter().enumerate() {
        let stream = format!("project/{name}").parse().unwrap();
        log.append(&stream, Expected::Any, commit(&n.to_string(), 1)).await.unwrap();
    }
    let after = async |position| {
        let (mut projects, last) = log.projects_after(position).await.unwrap();
        projects.sort();
        (projects.iter().map(ToString::to_string).collect::<Vec<_>>(), last)
    };
    assert_eq!(after(0).await, (["acme", "acme-2", "zebra"].map(str::to_owned).to_vec(), 4));
    assert_eq!(after(2).await, (["acme", "zebra"].map(str::to_owned).to_vec(), 4));
    assert_eq!(after(4).await, (vec![], 4));
}
