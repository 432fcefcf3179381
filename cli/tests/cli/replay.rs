use std::path::Path;

use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, VideoUpdated};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::run::run_on;
use crate::up::started;

/// Records that the metadata of a video was changed.
async fn change_a_video(data: &Path) {
    let log = SqliteLog::open(data.join("log.db")).unwrap();
    let video = VideoId::of(&"projects/acme/clip.mp4".parse().unwrap());
    let body: EventBody =
        serde_json::from_value::<VideoUpdated>(serde_json::json!({"metadata": {"lesson": "3"}}))
            .unwrap()
            .into();
    let commit = NewCommit::new(CommitId::derived_from(&["a"]), Timestamp::from_unix_seconds(1), [body]);
    log.append(&StreamId::Video("acme".parse().unwrap(), video), Expected::Any, commit).await.unwrap();
}

#[tokio::test]
async fn a_view_of_a_running_platform_is_replayed() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    run_on(&data, &["project", "create", "acme"]).await.ok();
    let without = run_on(&data, &["events", "replay", "--view", "status"]).await;
    assert!(without.code == Some(3) && without.stderr.contains("start the platform"), "{without:?}");

    let (_platform, _) = started(&data).await;
    change_a_video(&data).await;
    // The platform brings the view to the end of the log.
    let report = loop {
        let report = run_on(&data, &["events", "replay", "--view", "status", "--json"]).await.ok().json();
        if report["rows"] == 1 {
            break report;
        }
    };
    assert_eq!((&report["hash"], &report["differences"]), (&report["liveHash"], &serde_json::json!([])));
    let text = run_on(&data, &["events", "replay", "--view", "status", "--swap", "--quiet"]).await.ok();
    let hash = report["hash"].as_str().unwrap();
    assert!(text.stdout.ends_with(&format!("The live view has the same hash: {hash}\n")), "{text:?}");

    let new = scratch.path().join("new.db");
    let into = ["events", "replay", "--view", "status", "--into", new.to_str().unwrap()];
    assert!(run_on(&data, &into).await.ok().stdout.contains(&format!("It is in {}", new.display())));
    let again = run_on(&data, &into).await;
    assert!(again.code == Some(1) && again.stderr.contains("that does not exist"), "{again:?}");
}

#[tokio::test]
async fn arguments_that_exclude_each_other_are_refused() {
    let data = tempfile::tempdir().unwrap();
    for arguments in [&["--swap", "--dry-run"][..], &["--swap", "--to", "3"], &["--from", "soon"]] {
        let run = run_on(data.path(), &[&["events", "replay", "--view", "status"], arguments].concat()).await;
        assert_eq!(run.code, Some(2), "{run:?}");
    }
    let unknown = run_on(data.path(), &["events", "replay", "--view", "videos"]).await;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("status, webhooks, usage"), "{unknown:?}");
}
