mod recorded;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::Connection;
use streamio_core::audit::integration::Integration;
use streamio_core::audit::recording::last_recorded;
use streamio_events::commit::NewCommit;
use streamio_events::event::ProjectCreated;
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::*;
use crate::audit_log::LogHashes;
use crate::operator::IfMissing;
use crate::secrets::Secrets;

/// The number of commits of each of two projects.
const COMMITS: u64 = 300;

fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

async fn append(operator: &Operator, number: u64) {
    let name = ["acme", "zebra"][usize::try_from(number % 2).unwrap()];
    let stream: StreamId = format!("grants/{name}/20260102030400/{}", number / 2 % 5).parse().unwrap();
    let at = Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(number).unwrap());
    let created = ProjectCreated { name: Some(number.to_string()) };
    let new = NewCommit::new(CommitId::derived_from(&[&number.to_string()]), at, [created.into()]);
    operator.log.append(&stream, Expected::Any, new).await.unwrap();
}

async fn integrate(operator: &Operator) {
    let keys = audit_log::existing_keys(&operator.data_dir).unwrap().unwrap();
    for name in ["acme", "zebra"] {
        let project_id = project(name);
        let feed = LogHashes { log: &operator.log, project_id: &project_id };
        let store = AuditFiles::new(operator.data_dir.audit()).of(&project_id);
        let recorded = last_recorded(&operator.log, &project_id).await.unwrap();
        let signer = keys.signer(&project_id);
        let integration =
            Integration { feed: &feed, store: &store, signer: &signer, recorded: recorded.as_ref() };
        integration.run().await.unwrap();
    }
}

/// Makes a data directory with two projects, whose trees have a full and several partial tiles.
async fn make(path: &Path) {
    let operator = Operator::open(path, IfMissing::Create).unwrap();
    let secrets = Secrets::load_or_generate(&operator.data_dir).unwrap();
    audit_log::keys(&operator.data_dir, &secrets, "http://streamio.example").unwrap();
    for number in 0..2 * COMMITS {
        append(&operator, number).await;
        if number % 97 == 0 || number + 1 == 2 * COMMITS {
            integrate(&operator).await;
        }
    }
}

/// The contents of all files by their paths.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut paths = Vec::new();
    crate::audit_log::paths_below(path, path, &mut paths).unwrap();
    paths.into_iter().map(|it| (it.clone(), std::fs::read(path.join(it)).unwrap())).collect()
}

fn write(path: &Path, contents: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in contents {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}

async fn verified(operator: &Operator, project_id: Option<&ProjectId>) -> AuditVerification {
    let mut found = AuditVerification::default();
    operator.verify_audit(project_id, |_, _| (), &mut found).await.unwrap();
    found
}

async fn verify(path: &Path) -> Vec<String> {
    let operator = Operator::open(path, IfMissing::Fail).unwrap();
    let found = verified(&operator, None).await;
    [found.chains.findings, found.audit_findings].concat()
}

/// A change of the log with SQL. `?1` is a position, `?2` another one.
const CHANGES: &[&str] = &[
    "DELETE FROM commits WHERE position = ?1 AND ?2 > 0",
    "DELETE FROM commits WHERE position >= ?1 AND ?2 > 0",
    "UPDATE commits SET events = replace(events, '\"name\":\"', '\"name\":\"x') WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET recorded_at = '2027-01-01T00:00:00.000Z' WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET commit_id = 'c_' || commit_id WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET hash = randomblob(32) WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET prev_hash = randomblob(32) WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET last = last + 1 WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET first = first + 1000, last = last + 1000 WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET place = place + 1 WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET stream = replace(stream, '400/', '410/') WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET position = 100000 WHERE position = ?1 AND position < 598 AND ?2 > 0",
    "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot, place)
     SELECT 'project/' || project_id, 1, 1, commit_id, recorded_at, events, zeroblob(32), hash, slot, place
     FROM commits WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET stream = CAST(x'ff' AS TEXT) WHERE position = ?1 AND ?2 > 0",
    "UPDATE commits SET stream = CAST(CAST(stream AS BLOB) || x'ff' AS TEXT) WHERE position = ?1 AND ?2 > 0",
];

/// What a finding about the change with this number names, of the commit at a position before the change: its stream and version, or its place.
fn named_by(which: usize, position: i64, log: &Connection) -> String {
    let sql = "SELECT stream, first, place, project_id FROM commits WHERE position = ?";
    let row = log.query_row(sql, [position], |row| {
        let number = |column| row.get(column).map(|it: i64| u64::try_from(it).unwrap());
        Ok((row.get::<_, String>(0)?, number(1)?, number(2)?, row.get::<_, String>(3)?))
    });
    let (stream, first, place, project_id) = row.unwrap();
    let last_removed =
        format!("{project_id}: the checkpoint is of {COMMITS} commits, but the feed has {place}");
    match which {
        1 => last_removed,
        0 | 13 if place + 1 == COMMITS => last_removed,
        0 | 11 | 13 => format!("{project_id}: commit {place} of the feed"),
        2 | 3 | 5 | 6 => format!("at version {first} of {stream}"),
        4 | 7 | 14 => format!("the commit at position {position}, of stream {stream}"),
        8 => format!("version {first} of {stream} should be next, but there is version {}", first + 1000),
        9 => format!("the commit at position {position} has the place {}", place + 1),
        10 => stream.replace("400/", "410/"),
        12 => format!("the commit at version 1 of project/{project_id} was changed"),
        other => panic!("the change {other} is not known"),
    }
}

/// What is changed.
#[derive(Debug, Clone)]
enum Change {
    Log(usize, Index),
    Flip(Index, Index),
    Truncate(Index),
    Extend(Index),
    Remove(Index),
    Add,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..CHANGES.len(), any::<Index>()).prop_map(|(which, at)| Change::Log(which, at)),
        4 => (any::<Index>(), any::<Index>()).prop_map(|(file, at)| Change::Flip(file, at)),
        1 => any::<Index>().prop_map(Change::Truncate),
        1 => any::<Index>().prop_map(Change::Extend),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => Just(Change::Add),
    ]
}

/// Makes the change. Returns what a finding about it names; `None` if nothing was changed.
fn apply(path: &Path, change: &Change) -> Option<String> {
    let files: Vec<String> = contents(&path.join("audit")).into_keys().collect();
    let edit = |file: &Index, change: &dyn Fn(&mut Vec<u8>)| {
        let name = &files[file.index(files.len())];
        let file = path.join("audit").join(name);
        let mut bytes = std::fs::read(&file).unwrap();
        change(&mut bytes);
        std::fs::write(file, bytes).unwrap();
        let (project_id, rest) = name.split_once('/').unwrap();
        Some(if rest == "checkpoint" { format!("{project_id}: the checkpoint") } else { rest.to_owned() })
    };
    match change {
        Change::Log(which, at) => {
            let log = Connection::open(path.join("log.db")).unwrap();
            log.execute_batch("DROP TRIGGER commits_have_the_next_place").unwrap();
            let position = i64::try_from(1 + at.index(599)).unwrap();
            let named = named_by(*which, position, &log);
            let changed = log.execute(CHANGES[*which], [position, 1]).unwrap();
            (changed > 0).then_some(named)
        }
        Change::Flip(file, at) => edit(file, &|bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
        }),
        Change::Truncate(file) => edit(file, &|bytes| bytes.truncate(bytes.len() - 1)),
        Change::Extend(file) => edit(file, &|bytes| bytes.push(b'\n')),
        Change::Remove(file) => {
            let name = &files[file.index(files.len())];
            let (_, rest) = name.split_once('/').unwrap();
            // An earlier partial tile may be missing: the tree does not need it.
            let is_needed = rest == "checkpoint"
                || rest.starts_with("tile/1/")
                || rest.contains(&format!(".p/{}", COMMITS % 256))
                || !rest.contains(".p/");
            std::fs::remove_file(path.join("audit").join(name)).unwrap();
            is_needed.then(|| {
                if rest == "checkpoint" { "the checkpoint is missing".to_owned() } else { rest.to_owned() }
            })
        }
        Change::Add => {
            std::fs::write(path.join("audit/acme/tile/0/note"), "").unwrap();
            Some("tile/0/note is not a tile".to_owned())
        }
    }
}

/// Every change is found, in the log or in the files, and an unchanged data directory has no finding.
#[test]
fn every_change_of_the_log_and_of_the_tree_is_found_with_its_place() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sound = tempfile::tempdir().unwrap();
    runtime.block_on(make(sound.path()));
    assert_eq!(runtime.block_on(verify(sound.path())), [""; 0]);
    let files = contents(sound.path());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(120));
    let outcome = runner.run(&change(), |change| {
        let copy = tempfile::tempdir().unwrap();
        write(copy.path(), &files);
        let named = apply(copy.path(), &change);
        let findings = runtime.block_on(verify(copy.path()));
        match named {
            Some(named) => {
                let is_named = findings.iter().any(|finding| finding.contains(&named));
                prop_assert!(is_named, "{:?} is not in {:?}", named, findings);
            }
            None => prop_assert!(findings.is_empty(), "{:?}", findings),
        }
        Ok(())
    });
    outcome.unwrap();
}

/// What is appended and integrated while a platform runs is no finding.
#[tokio::test]
async fn a_log_that_has_grown_since_the_checkpoint_is_sound() {
    let scratch = tempfile::tempdir().unwrap();
    make(scratch.path()).await;
    let operator = Operator::open(scratch.path(), IfMissing::Fail).unwrap();
    for number in 2 * COMMITS..2 * COMMITS + 20 {
        append(&operator, number).await;
    }
    let found = verified(&operator, None).await;
    assert_eq!((found.chains.findings, found.audit_findings), (vec![], vec![]));
    assert_eq!((found.checkpoints, found.proven, found.chains.commits), (2, 2 * COMMITS, 2 * COMMITS + 20));
    let found = verified(&operator, Some(&project("acme"))).await;
    assert_eq!((found.checkpoints, found.proven, found.chains.commits), (1, COMMITS, COMMITS + 10));
}

/// A history that was computed again, with all its hashes, is sound in itself. The checkpoint shows it.
#[tokio::test]
async fn a_history_that_was_computed_again_is_found_with_its_stream() {
    let (signed, forged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(signed.path()).await;
    let operator = Operator::open(forged.path(), IfMissing::Create).unwrap();
    for number in 0..2 * COMMITS {
        // Two commits of different streams in another order.
        append(
            &operator,
            match number {
                100 => 102,
                102 => 100,
                other => other,
            },
        )
        .await;
    }
    let files = contents(signed.path());
    write(forged.path(), &files.into_iter().filter(|(name, _)| !name.starts_with("log.db")).collect());
    let found = verified(&operator, None).await;
    assert_eq!(found.chains.findings, [""; 0]);
    let [finding] = &found.audit_findings[..] else { panic!("{:?}", found.audit_findings) };
    let named = "acme: commit 50 of the feed was changed, removed or inserted";
    let stream = "It is version 11 of grants/acme/20260102030400/1 now";
    assert!(finding.starts_with(named) && finding.ends_with(stream), "{finding}");
}

/// A restored platform has the checkpoints and no tiles.
#[tokio::test]
async fn a_tree_without_any_tile_is_no_finding_if_the_root_is_right() {
    let scratch = tempfile::tempdir().unwrap();
    make(scratch.path()).await;
    std::fs::remove_dir_all(scratch.path().join("audit/acme/tile")).unwrap();
    let operator = Operator::open(scratch.path(), IfMissing::Fail).unwrap();
    let found = verified(&operator, None).await;
    assert_eq!((found.audit_findings, found.proven), (vec![], 2 * COMMITS));
    assert!(found.notes.len() == 1 && found.notes[0].contains("no tiles are stored"), "{:?}", found.notes);
    let log = Connection::open(scratch.path().join("log.db")).unwrap();
    log.execute("UPDATE commits SET hash = randomblob(32) WHERE position = 7", []).unwrap();
    let found = verified(&operator, None).await;
    assert!(found.audit_findings[0].starts_with("acme: the first 300 commits have the root"), "{found:?}");
}

/// Neither in one project nor in all.
#[tokio::test]
async fn a_wrong_place_hides_no_other_change() {
    let scratch = tempfile::tempdir().unwrap();
    make(scratch.path()).await;
    let log = Connection::open(scratch.path().join("log.db")).unwrap();
    log.execute("UPDATE commits SET place = 7 WHERE position = 21", []).unwrap();
    let operator = Operator::open(scratch.path(), IfMissing::Fail).unwrap();
    for scope in [None, Some(project("acme"))] {
        let found = verified(&operator, scope.as_ref()).await;
        let [finding] = &[found.chains.findings, found.audit_findings].concat()[..] else {
            panic!("one finding")
        };
        assert!(finding.contains("the commit at position 21 has the place 7"), "{finding}");
    }
    log.execute("UPDATE commits SET hash = randomblob(32) WHERE position = 401", []).unwrap();
    for scope in [None, Some(project("acme"))] {
        let found = verified(&operator, scope.as_ref()).await;
        let named = "acme: commit 200 of the feed was changed, removed or inserted";
        assert!(found.audit_findings.iter().any(|finding| finding.starts_with(named)), "{found:?}");
        let removed = found.audit_findings.iter().any(|finding| finding.contains("were removed"));
        assert!(!removed, "{found:?}");
    }
}

/// What was found in one project is not lost by an error in another.
#[tokio::test]
async fn an_error_keeps_what_was_found() {
    let scratch = tempfile::tempdir().unwrap();
    make(scratch.path()).await;
    std::fs::remove_dir_all(scratch.path().join("audit/acme/tile")).unwrap();
    std::fs::write(scratch.path().join("audit/acme/tile"), "no folder").unwrap();
    let log = Connection::open(scratch.path().join("log.db")).unwrap();
    log.execute("UPDATE commits SET hash = randomblob(32) WHERE position = 8", []).unwrap();
    let operator = Operator::open(scratch.path(), IfMissing::Fail).unwrap();
    let mut found = AuditVerification::default();
    operator.verify_audit(None, |_, _| (), &mut found).await.unwrap_err();
    assert_eq!(found.chains.findings.len(), 1, "{found:?}");
    assert!(found.audit_findings[0].starts_with("zebra: commit 3 of the feed"), "{found:?}");
}
