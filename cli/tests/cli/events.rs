use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use streamio_events::audit;
use streamio_events::commit::Commit;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::run::{Run, run_on, streamio};

async fn two_projects() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for project in ["acme", "zebra"] {
        run_on(scratch.path(), &["project", "create", project]).await.ok();
    }
    scratch
}

fn lines(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn tail_prints_cloud_events_one_per_line() {
    let data = two_projects().await;
    let all = run_on(data.path(), &["events", "tail"]).await.ok();
    let kinds: Vec<_> = lines(&all).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["project.created", "key.created", "project.created", "key.created"]);
    assert!(lines(&all).iter().all(|event| event["specversion"] == "1.0"));
    let some = run_on(
        data.path(),
        &["events", "tail", "-n", "1", "--project", "acme", "--type", "project,video.ready"],
    )
    .await
    .ok();
    assert_eq!(lines(&some).iter().map(|event| event["id"].clone()).collect::<Vec<_>>(), ["project/acme/1"]);
    let wrong = run_on(data.path(), &["events", "tail", "--type", "video.redy"]).await;
    assert!(
        wrong.code == Some(2) && wrong.stderr.starts_with("error: there is no event type video.redy; "),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn tail_follow_prints_new_events_until_it_is_interrupted() {
    let data = two_projects().await;
    let mut command = streamio(&["events", "tail", "--follow", "--type", "project"]);
    command.env("STREAMIO_DATA", data.path()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = lines.next_line().await.unwrap().expect("tail prints another event");
        serde_json::from_str::<Value>(&line).unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!([next().await, next().await], ["project/acme/1", "project/zebra/1"]);
    run_on(data.path(), &["project", "suspend", "acme"]).await.ok();
    assert_eq!(next().await, "project/acme/3");
    crate::upload::interrupt(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn an_export_is_atomic_and_can_be_verified() {
    let data = two_projects().await;
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("events.jsonl");
    let archive = ["events", "export", "--format", "commits"];
    let run = run_on(data.path(), &[&archive[..], &["--json", "--output", file.to_str().unwrap()]].concat())
        .await
        .ok();
    assert_eq!((&run.json()["commits"], &run.json()["events"]), (&2.into(), &4.into()));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, run_on(data.path(), &archive).await.ok().stdout);
    let commits: Vec<Commit> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let acme = "project/acme".parse().unwrap();
    audit::verify(&acme, commits.iter().filter(|commit| commit.stream == acme), None).unwrap();
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1);
    let nowhere = run_on(data.path(), &["events", "export", "--output", "/nowhere/events.jsonl"]).await;
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("choose another --output"), "{nowhere:?}");
}

#[tokio::test]
async fn an_interrupted_export_is_continued_and_never_overwritten() {
    let data = two_projects().await;
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("events.jsonl.gz");
    let path = file.to_str().unwrap();
    run_on(data.path(), &["events", "export", "--output", path]).await.ok();
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(whole[..2], [0x1f, 0x8b], "gzip, by the name of the file");

    std::fs::remove_file(&file).unwrap();
    let partial = to.path().join("events.jsonl.gz.partial");
    std::fs::write(&partial, &whole[..whole.len() / 2]).unwrap();
    let refused = run_on(data.path(), &["events", "export", "--output", path]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("continue it with --resume"), "{refused:?}");
    run_on(data.path(), &["events", "export", "--output", path, "--resume"]).await.ok();
    assert!(std::fs::read(&file).unwrap() == whole && !partial.exists());

    run_on(data.path(), &["project", "suspend", "acme"]).await.ok();
    let summary =
        run_on(data.path(), &["events", "export", "--output", path, "--resume", "--json"]).await.ok();
    assert_eq!(summary.json()["events"], 5);
    std::fs::write(&partial, "other").unwrap();
    let other = run_on(data.path(), &["events", "export", "--output", path, "--resume"]).await;
    assert!(other.code == Some(1) && other.stderr.contains("other content"), "{other:?}");
    assert_eq!(std::fs::read_to_string(&partial).unwrap(), "other");
    let without_file = run_on(data.path(), &["events", "export", "--resume"]).await;
    assert_eq!(without_file.code, Some(2));
}

#[tokio::test]
async fn a_file_is_written_by_one_export_at_a_time() {
    let data = two_projects().await;
    let to = tempfile::tempdir().unwrap();
    let (file, partial) = (to.path().join("events.jsonl"), to.path().join("events.jsonl.partial"));
    let other = std::fs::File::create(&partial).unwrap();
    other.lock().unwrap();
    let export = ["events", "export", "--resume", "--output", file.to_str().unwrap()];
    let refused = run_on(data.path(), &export).await;
    let message = "error: another export writes ";
    assert!(refused.code == Some(1) && refused.stderr.starts_with(message) && !file.exists(), "{refused:?}");
    drop(other);
    run_on(data.path(), &export).await.ok();
    assert!(file.exists() && !partial.exists());
}

#[tokio::test]
async fn an_export_of_one_project_has_its_commits_only() {
    let data = two_projects().await;
    for format in ["cloudevents", "commits"] {
        let export = ["events", "export", "--format", format];
        let all = run_on(data.path(), &export).await.ok();
        let acme = run_on(data.path(), &[&export[..], &["--project", "acme"]].concat()).await.ok();
        assert!(!acme.stdout.is_empty() && all.stdout.starts_with(&acme.stdout), "{acme:?}");
        assert!(!acme.stdout.contains("zebra") && all.stdout.contains("zebra"), "{acme:?}");
        let none = run_on(data.path(), &[&export[..], &["--project", "acm"]].concat()).await.ok();
        assert_eq!(none.stdout, "");
    }
}

#[tokio::test]
async fn an_export_has_the_cloud_events_that_tail_prints() {
    let data = two_projects().await;
    let tail = run_on(data.path(), &["events", "tail"]).await.ok();
    assert_eq!(run_on(data.path(), &["events", "export"]).await.ok().stdout, tail.stdout);
    let second = run_on(data.path(), &["events", "export", "--from", "2"]).await.ok();
    assert!(tail.stdout.ends_with(&second.stdout) && lines(&second).len() == 2, "{second:?}");
    assert_eq!(
        run_on(data.path(), &["events", "export", "--to", "2026-01-02T03:04:05Z"]).await.ok().stdout,
        ""
    );
}

/// Changes a byte of an event in the log of a platform that does not run, as anyone with access to the file can.
pub(crate) fn change_an_event(data: &Path) {
    let log = data.join("log.db");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(7).position(|window| window == b"\"admin\"").expect("the scope of the key");
    bytes[at + 5] = b'm';
    std::fs::write(log, bytes).unwrap();
}

#[tokio::test]
async fn verify_and_export_find_a_changed_event() {
    let data = tempfile::tempdir().unwrap();
    run_on(data.path(), &["project", "create", "acme"]).await.ok();
    let intact = run_on(data.path(), &["events", "verify"]).await.ok();
    assert_eq!(intact.stdout, "No change found: 1 streams with 2 events in 1 commits\n");
    change_an_event(data.path());
    let changed = run_on(data.path(), &["events", "verify"]).await;
    let finding = "the commit at version 1 of project/acme was changed";
    assert_eq!((changed.code, changed.stdout.as_str()), (Some(1), &*format!("{finding}\n")));
    assert!(changed.stderr.contains("error: defects of the log: 1"), "{changed:?}");
    let json = run_on(data.path(), &["--json", "events", "verify"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["findings"][0], finding);
    let export = run_on(data.path(), &["events", "export"]).await;
    let damaged = "the commit at position 1, of stream project/acme, is damaged: it was changed";
    assert!(export.code == Some(1) && export.stderr.contains(damaged), "{export:?}");
}
