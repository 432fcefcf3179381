use std::path::Path;
use std::time::Duration;

use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::compare;
use streamio_core::audit::note::SignedNote;
use streamio_core::ports::tile_store::TileStore as _;
use streamio_events::commit::NewCommit;
use streamio_events::event::ProjectCreated;
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::stream::StreamId;

use super::*;

fn log(folder: &Path) -> SqliteLog {
    SqliteLog::open(folder.join("log.db")).unwrap()
}

fn audit(folder: &Path) -> Audit {
    let keys = AuditKeys::new(&[7; 32], "streamio.example").unwrap();
    Audit {
        log: log(folder),
        files: AuditFiles::new(folder.join("audit")),
        keys,
        intervals: CheckpointIntervals {
            signed: Duration::from_millis(10),
            ..CheckpointIntervals::default()
        },
    }
}

async fn append(log: &SqliteLog, project_id: &ProjectId, from: u64, to: u64) {
    for number in from..to {
        let id = CommitId::derived_from(&["test", &number.to_string()]);
        let new = NewCommit::new(id, clock::now(), [ProjectCreated { name: None }.into()]);
        log.append(&StreamId::Project(project_id.clone()), Expected::Any, new).await.unwrap();
    }
}

/// The stored checkpoint, which is verified with the key, the commits and the tiles; `None` if there is none.
async fn checkpoint(audit: &Audit, project_id: &ProjectId) -> Option<Checkpoint> {
    let store = audit.files.of(project_id);
    let note: SignedNote = store.checkpoint().await.unwrap()?.parse().unwrap();
    let key = audit.keys.signer(project_id).verifier_key().clone();
    let checkpoint = Checkpoint::verify(&note, &[key]).unwrap();
    let hashes = audit.log.hashes_of_project(project_id, 0, usize::MAX).await.unwrap();
    assert_eq!(compare(&store, &checkpoint, hashes).await.unwrap(), []);
    Some(checkpoint)
}

async fn until_size(audit: &Audit, project_id: &ProjectId, size: u64) {
    let started_at = std::time::Instant::now();
    while checkpoint(audit, project_id).await.is_none_or(|checkpoint| checkpoint.size() != size) {
        assert!(
            started_at.elapsed() < Duration::from_mins(1),
            "{project_id} has no checkpoint of {size} commits"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn every_commit_of_every_project_is_integrated_also_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let observer = audit(scratch.path());
    let projects: [ProjectId; 2] = ["acme", "zebra"].map(|name| name.parse().unwrap());
    append(&observer.log, &projects[0], 0, 3).await;
    let mut sizes = [3, 0];
    for run in 0..3 {
        let stop = CancellationToken::new();
        let task = tokio::spawn(audit(scratch.path()).run(stop.clone()));
        until_size(&observer, &projects[0], sizes[0]).await;
        for (project_id, size) in projects.iter().zip(&mut sizes) {
            append(&observer.log, project_id, *size, *size + 150).await;
            *size += 150;
            until_size(&observer, project_id, *size).await;
        }
        stop.cancel();
        task.await.unwrap();
        append(&observer.log, &projects[0], sizes[0], sizes[0] + run).await;
        sizes[0] += run;
    }
    let partial = scratch.path().join("audit/acme/tile/0/000.p");
    assert!(!partial.exists(), "partial tiles that became full are removed");
}

#[tokio::test]
async fn a_project_whose_tree_was_changed_does_not_delay_the_others_and_goes_on_when_it_is_restored() {
    let scratch = tempfile::tempdir().unwrap();
    let observer = audit(scratch.path());
    let projects: [ProjectId; 2] = ["acme", "zebra"].map(|name| name.parse().unwrap());
    let stop = CancellationToken::new();
    let task = tokio::spawn(audit(scratch.path()).run(stop.clone()));
    append(&observer.log, &projects[0], 0, 1).await;
    until_size(&observer, &projects[0], 1).await;
    let path = scratch.path().join("audit/acme/checkpoint");
    let kept = std::fs::read_to_string(&path).unwrap();
    let changed = kept.replace("\n1\n", "\n2\n");
    std::fs::write(&path, &changed).unwrap();
    append(&observer.log, &projects[0], 1, 2).await;
    append(&observer.log, &projects[1], 0, 1).await;
    until_size(&observer, &projects[1], 1).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
    std::fs::write(&path, kept).unwrap();
    until_size(&observer, &projects[0], 2).await;
    stop.cancel();
    task.await.unwrap();
}

/// The last checkpoint of a project is recorded when the interval has passed, also if nothing happens any more.
#[tokio::test]
async fn the_last_commits_before_a_quiet_time_get_into_a_recorded_checkpoint() {
    let scratch = tempfile::tempdir().unwrap();
    let mut audit = audit(scratch.path());
    audit.intervals.recorded = Duration::from_millis(500);
    let (log, acme): (_, ProjectId) = (audit.log.clone(), "acme".parse().unwrap());
    append(&log, &acme, 0, 5).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(audit.run(stop.clone()));
    let started_at = std::time::Instant::now();
    while last_recorded(&log, &acme).await.unwrap().is_none_or(|recorded| recorded.size < 5) {
        assert!(started_at.elapsed() < Duration::from_mins(1), "the checkpoint is not recorded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Also after a restart in the interval.
    stop.cancel();
    task.await.unwrap();
    append(&log, &acme, 5, 8).await;
    let stop = CancellationToken::new();
    let mut audit = self::audit(scratch.path());
    audit.intervals.recorded = Duration::from_millis(500);
    let task = tokio::spawn(audit.run(stop.clone()));
    let started_at = std::time::Instant::now();
    while last_recorded(&log, &acme).await.unwrap().is_none_or(|recorded| recorded.size < 9) {
        assert!(started_at.elapsed() < Duration::from_mins(1), "the checkpoint is not recorded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn the_last_commits_before_a_stop_get_into_a_checkpoint() {
    let scratch = tempfile::tempdir().unwrap();
    let observer = audit(scratch.path());
    let mut audit = audit(scratch.path());
    audit.intervals.signed = Duration::from_hours(1);
    let (log, acme): (_, ProjectId) = (audit.log.clone(), "acme".parse().unwrap());
    append(&log, &acme, 0, 1).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(audit.run(stop.clone()));
    until_size(&observer, &acme, 1).await;
    append(&log, &acme, 1, 300).await;
    append(&log, &"zebra".parse().unwrap(), 0, 2).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(checkpoint(&observer, &acme).await.unwrap().size(), 300);
    assert_eq!(checkpoint(&observer, &"zebra".parse().unwrap()).await.unwrap().size(), 2);
}

/// A name that is not UTF-8 is that of no project, and stops the log of none.
#[tokio::test]
async fn a_damaged_name_of_a_stream_stops_no_log() {
    let scratch = tempfile::tempdir().unwrap();
    let observer = audit(scratch.path());
    let projects: [ProjectId; 2] = ["acme", "zebra"].map(|name| name.parse().unwrap());
    append(&observer.log, &projects[0], 0, 3).await;
    append(&observer.log, &projects[1], 0, 3).await;
    let file = rusqlite::Connection::open(scratch.path().join("log.db")).unwrap();
    let change = "UPDATE commits SET stream = CAST(x'ff2fff' AS TEXT) WHERE position = 3";
    assert_eq!(file.execute(change, []).unwrap(), 1);
    let stop = CancellationToken::new();
    let task = tokio::spawn(audit(scratch.path()).run(stop.clone()));
    until_size(&observer, &projects[1], 3).await;
    until_size(&observer, &projects[0], 2).await;
    stop.cancel();
    task.await.unwrap();
}

/// The platform does not go on from an older checkpoint than it has recorded.
#[tokio::test]
async fn an_older_checkpoint_than_the_recorded_one_is_not_continued() {
    let scratch = tempfile::tempdir().unwrap();
    let observer = audit(scratch.path());
    let acme: ProjectId = "acme".parse().unwrap();
    append(&observer.log, &acme, 0, 3).await;
    let recorded = || async { last_recorded(&observer.log, &acme).await.unwrap() };
    let run = |folder: std::path::PathBuf| async move {
        let mut audit = audit(&folder);
        audit.intervals.recorded = Duration::ZERO;
        let (stop, log, acme) = (CancellationToken::new(), audit.log.clone(), "acme".parse().unwrap());
        let task = tokio::spawn(audit.run(stop.clone()));
        let started_at = std::time::Instant::now();
        while last_recorded(&log, &acme).await.unwrap().is_none() {
            assert!(started_at.elapsed() < Duration::from_mins(1), "the checkpoint is not recorded");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        task.await.unwrap();
    };
    run(scratch.path().to_owned()).await;
    assert_eq!(recorded().await.unwrap().size, 3);
    std::fs::remove_dir_all(scratch.path().join("audit")).unwrap();
    append(&observer.log, &acme, 3, 4).await;
    run(scratch.path().to_owned()).await;
    assert_eq!(checkpoint(&observer, &acme).await, None, "nothing was signed");
}
