use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::tree::RightEdge;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, ProjectCreated};
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::timestamp::Timestamp;

use super::*;

fn keys() -> AuditKeys {
    AuditKeys::new(&[7; 32], "streamio.example").unwrap()
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn key() -> LogKey {
    keys().signer(&acme()).verifier_key().to_string().parse().unwrap()
}

/// The signed checkpoint of the first commits.
fn checkpoint(commits: &[Commit], size: usize) -> String {
    let mut edge = RightEdge::empty();
    edge.append(commits.iter().filter(|it| *it.stream.project_id() == acme()).take(size).map(|it| it.hash));
    let signer = keys().signer(&acme());
    let checkpoint = Checkpoint::new(signer.verifier_key().name(), edge.size(), edge.root()).unwrap();
    checkpoint.sign(&[&signer]).unwrap().to_string()
}

/// A log of 30 commits of acme, of which the one at place 10 records a checkpoint of 10, and 15 of another project.
async fn log(order: impl Fn(u64) -> u64) -> Vec<Commit> {
    let (log, mut commits) = (MemoryLog::new(), Vec::new());
    for number in 0..30 {
        let (stream, body): (StreamId, EventBody) = if number == 10 {
            let event = AuditCheckpointed { size: 10, checkpoint: checkpoint(&signed_ten().await, 10) };
            (StreamId::Audit(acme()), event.into())
        } else {
            let stream = format!("grants/acme/20260102030400/{}", order(number) % 4).parse().unwrap();
            (stream, ProjectCreated { name: Some(order(number).to_string()) }.into())
        };
        commits.push(append(&log, &stream, &order(number).to_string(), body).await);
        if number % 2 == 0 {
            let body = ProjectCreated { name: None }.into();
            commits.push(append(&log, &"project/zebra".parse().unwrap(), &number.to_string(), body).await);
        }
    }
    commits
}

async fn append(log: &MemoryLog, stream: &StreamId, id: &str, body: EventBody) -> Commit {
    let at = Timestamp::from_unix_seconds(1_767_323_045);
    let new = NewCommit::new(CommitId::derived_from(&[id]), at, [body]);
    log.append(stream, Expected::Any, new).await.unwrap().commit
}

/// The first ten commits of acme as they were signed.
async fn signed_ten() -> Vec<Commit> {
    let (log, mut commits) = (MemoryLog::new(), Vec::new());
    for number in 0..10_u64 {
        let stream = format!("grants/acme/20260102030400/{}", number % 4).parse().unwrap();
        let body = ProjectCreated { name: Some(number.to_string()) }.into();
        commits.push(append(&log, &stream, &number.to_string(), body).await);
    }
    commits
}

fn text(commits: &[Commit]) -> String {
    commits.iter().map(|commit| serde_json::to_string(commit).unwrap() + "\n").collect()
}

fn check(export: &str, checkpoint: &str) -> ExportCheck {
    check_export(export.as_bytes(), checkpoint, &key()).unwrap()
}

#[tokio::test]
async fn an_export_that_was_not_changed_matches_every_checkpoint() {
    let commits = log(|number| number).await;
    for size in [0, 1, 10, 11, 29, 30] {
        let found = check(&text(&commits), &checkpoint(&commits, size));
        let expected =
            ExportCheck { project_id: acme(), size: size as u64, commits: 30, findings: Vec::new() };
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn what_was_changed_is_named() {
    let commits = log(|number| number).await;
    let kept = checkpoint(&commits, 29);
    let export = text(&commits);
    let findings = |export: &str| check(export, &kept).findings;
    let changed = findings(&export.replacen("\"name\":\"7\"", "\"name\":\"8\"", 1));
    assert!(
        changed[0].ends_with("the commit at version 2 of grants/acme/20260102030400/3 was changed"),
        "{changed:?}"
    );
    let cut: String = export.split_inclusive('\n').take(40).collect();
    assert_eq!(
        findings(&cut),
        ["the checkpoint is of 29 commits, but there are 27: the last ones were removed"]
    );
    let damaged = findings(&export.replacen('{', "[", 1));
    assert!(damaged[0].starts_with("line 1 is not a commit: "), "{damaged:?}");
    // Chains that were computed again, before and after the recorded checkpoint.
    let swap = |one: u64, other: u64| {
        move |number| {
            if number == one {
                other
            } else if number == other {
                one
            } else {
                number
            }
        }
    };
    let early = findings(&text(&log(swap(3, 4)).await));
    assert_eq!(early.len(), 1, "{early:?}");
    let named = "a commit from 0 to 9 of the feed was changed, removed or inserted: the first 10 commits do not have the root of the checkpoint that version 1 of audit/acme records";
    assert_eq!(early[0], named);
    let late = findings(&text(&log(swap(20, 21)).await));
    let named = "a commit from 10 to 28 of the feed was changed, removed or inserted: the first 29 commits do not have the root of the checkpoint";
    assert_eq!(late, [named]);
}

#[tokio::test]
async fn an_export_of_events_is_refused() {
    let commits = log(|number| number).await;
    let events = commits.iter().flat_map(CloudEvent::all);
    let export: String = events.map(|event| serde_json::to_string(&event).unwrap() + "\n").collect();
    let refused = check_export(export.as_bytes(), &checkpoint(&commits, 5), &key());
    assert!(matches!(refused, Err(ExportError::Events(1))), "{refused:?}");
}

/// The file is somebody else's, and may be anything.
#[tokio::test]
async fn a_file_that_is_no_export_is_refused_in_bounded_memory() {
    let commits = log(|number| number).await;
    let checked = |file: &str| check_export(file.as_bytes(), &checkpoint(&commits, 5), &key());
    let others = "{}\n".repeat(usize::try_from(MAX_OTHERS).unwrap());
    assert!(checked(&others).unwrap().findings.len() > 1000);
    assert!(matches!(checked(&(others + "{}\n")), Err(ExportError::NoCommits(MAX_OTHERS))));
    let line = "x".repeat(usize::try_from(MAX_LINE).unwrap() + 1);
    let long = format!("{}{line}", text(&commits));
    let expected = commits.len() as u64 + 1;
    assert!(matches!(checked(&long), Err(ExportError::LongLine(number)) if number == expected));
}

#[tokio::test]
async fn a_checkpoint_of_another_log_or_key_is_an_error() {
    let commits = log(|number| number).await;
    let kept = checkpoint(&commits, 5);
    let changed = kept.replace("\n5\n", "\n6\n");
    check_export(text(&commits).as_bytes(), &changed, &key()).unwrap_err();
    let other = AuditKeys::new(&[8; 32], "streamio.example").unwrap();
    let other = other.signer(&acme()).verifier_key().to_string().parse().unwrap();
    check_export(text(&commits).as_bytes(), &kept, &other).unwrap_err();
    for text in ["", "streamio.example/acme", &kept] {
        assert!(text.parse::<LogKey>().is_err(), "{text}");
    }
}
