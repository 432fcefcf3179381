//! The commits of a project by their places, in the SQLite log.

use std::collections::BTreeMap;

use rusqlite::Connection;
use streamio_events::commit::CommitHash;
use streamio_events::id::ProjectId;
use streamio_events::log::{EventLog as _, Expected, ReadError};

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

#[tokio::test]
async fn a_missing_and_a_repeated_place_are_damage() {
    for change in [
        "DELETE FROM commits WHERE place = 3",
        "UPDATE commits SET place = 3 WHERE place = 4",
        "UPDATE commits SET place = -1 WHERE place = 3",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder);
        for n in 0..8 {
            let stream = format!("grants/acme/2026010203/{n}").parse().unwrap();
            log.append(&stream, Expected::Any, commit(&n.to_string(), 1)).await.unwrap();
        }
        let connection = Connection::open(folder.path().join("log.db")).unwrap();
        assert_eq!(connection.execute(change, []).unwrap(), 1, "{change}");
        let error = log.hashes_of_project(&project("acme"), 0, 100).await.unwrap_err();
        assert!(matches!(&error, ReadError::Damaged { .. }), "{change}: {error}");
    }
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
