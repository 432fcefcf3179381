//! The reactions and views against a log in memory, with ports that remember what was asked of them.

mod lost;
mod sweeping;

use std::sync::Arc;
use std::time::Duration;

use streamio_core::ports::view_store::{VideoRow, ViewStore as _};
use streamio_core::reactions::react::ReactError;
use streamio_core::reactions::sweep::{Swept, sweep};
use streamio_core::reactions::tasks;
use streamio_core::testing::{Earlier, World, notice};
use streamio_core::uploads::Received;
use streamio_core::views::status as views;
use streamio_core::{testing, uploads};
use streamio_events::event::EventBody;
use streamio_events::job::Job;
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::media::VideoError;
use streamio_events::retryable::Retryable as _;
use streamio_events::video::decide::{self, WorkerEnd};
use streamio_events::video::{Phase, VideoState, load};

#[tokio::test]
async fn an_upload_is_dispatched_and_launched_with_the_recorded_job() {
    let world = World::with_project().await;
    assert!(matches!(world.receive(notice("clip.mp4", "01")).await, Received::Accepted(_)));
    let video = world.react("clip.mp4").await.unwrap();
    let job = video.job.clone().unwrap();
    assert_eq!(world.launcher.launched(), std::slice::from_ref(&job));
    assert_eq!((job.generation, job.attempt), (1, 1));
    assert_eq!((job.raw_bucket.as_str(), job.processed_bucket.as_str()), ("raw", "processed"));
    assert!(job.client_token.len() <= 64 && job.client_token.is_ascii());
}

#[tokio::test]
async fn whoever_reacts_again_launches_the_same_job_and_records_nothing() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.react("clip.mp4").await.unwrap();
    let commits = world.log.scan_to_end().await.unwrap();
    world.react("clip.mp4").await.unwrap();
    assert_eq!(world.log.scan_to_end().await.unwrap(), commits);
    let launched = world.launcher.launched();
    assert_eq!(launched.len(), 2);
    assert_eq!(launched[0], launched[1]);
}

#[tokio::test]
async fn a_launch_that_fails_is_made_up_for_with_the_same_job() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.launcher.fail_next();
    let error = world.react("clip.mp4").await.unwrap_err();
    assert!(matches!(error, ReactError::Launch(_)) && error.is_retryable());
    let video = world.react("clip.mp4").await.unwrap();
    assert_eq!(world.launcher.launched(), [video.job.unwrap()]);
    assert_eq!(video.attempt, 1, "the failed launch is no attempt of its own");
}

/// The launch is made again after its answer was lost, and meanwhile the worker was quick.
#[tokio::test]
async fn a_worker_that_has_done_its_work_is_not_followed_by_another() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.launcher.find_ended([Earlier::WithItsWorkDone]);
    let video = world.react("clip.mp4").await.unwrap();
    assert!(matches!(video.phase, Phase::Completed { .. }), "{video:?}");
    assert_eq!(world.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_worker_that_ended_before_it_began_is_followed_by_one_whose_token_everybody_comes_to() {
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let world = World::with_project().await;
        world.receive(notice("clip.mp4", "01")).await;
        world.launcher.find_ended([Earlier::BeforeItBegan, Earlier::BeforeItBegan, Earlier::WithItsWorkDone]);
        let video = world.react("clip.mp4").await.unwrap();
        assert!(matches!(video.phase, Phase::Completed { .. }), "{video:?}");
        let of_run: Vec<_> = world.launcher.launched().into_iter().map(|job| job.client_token).collect();
        assert_eq!((of_run.len(), of_run[0].as_str()), (3, video.job.unwrap().client_token.as_str()));
        assert!(of_run.iter().all(|token| token.len() <= 64 && token.is_ascii()), "{of_run:?}");
        assert!(of_run[0] != of_run[1] && of_run[1] != of_run[2] && of_run[0] != of_run[2], "{of_run:?}");
        tokens.push(of_run);
    }
    assert_eq!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn workers_that_all_end_before_they_begin_are_left_for_the_sweep() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.launcher.find_ended([Earlier::BeforeItBegan; 20]);
    let error = world.react("clip.mp4").await.unwrap_err();
    assert!(matches!(&error, ReactError::Launch(launch) if launch.is_retryable()), "{error:?}");
    assert!(world.launcher.launched().len() < 20);
}

#[tokio::test]
async fn a_notice_that_comes_again_or_late_changes_nothing() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "02")).await;
    for sequencer in ["02", "01", "0200"] {
        assert!(
            matches!(world.receive(notice("clip.mp4", sequencer)).await, Received::Known(_)),
            "{sequencer}"
        );
    }
    assert_eq!(world.video("clip.mp4").await.generation, 1);
    assert!(matches!(world.receive(notice("clip.mp4", "03")).await, Received::Accepted(_)));
    assert_eq!(world.video("clip.mp4").await.generation, 2);
}

#[tokio::test]
async fn an_object_under_a_key_that_is_no_source_belongs_to_no_video() {
    let world = World::with_project().await;
    for key in ["stray.mp4", "projects/acme/../x.mp4", "projects/acme/clip.hls"] {
        let stray = uploads::ObjectNotice { key: key.to_owned(), ..notice("x", "01") };
        assert!(matches!(world.receive(stray).await, Received::NotASource(_)), "{key}");
    }
}

#[tokio::test]
async fn uploads_that_may_not_be_are_rejected_with_a_reason() {
    let mut world = World::new();
    world.policy.limits.max_bytes = 5;
    let rejected = |received: Received| match received {
        Received::Rejected(_, error) => error.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected(world.receive(notice("a.mp4", "01")).await), "project_unknown");
    world.create_project().await;
    assert_eq!(rejected(world.receive(notice("b.mp4", "01")).await), "too_large");
    world.policy.limits.max_bytes = 1000;
    world.suspend_project().await;
    assert_eq!(rejected(world.receive(notice("c.mp4", "01")).await), "project_suspended");
    let status = world.video("c.mp4").await.status().unwrap();
    assert_eq!(
        (status.state, status.error.unwrap().code.as_str()),
        (VideoState::Errored, "project_suspended")
    );
    world.react("c.mp4").await.unwrap();
    assert!(world.launcher.launched().is_empty());
}

#[tokio::test]
async fn a_permanent_failure_ends_the_video_at_once() {
    let world = World::with_project().await;
    let job = world.start("clip.mp4").await;
    world.fail(&job, VideoError::permanent("not_media", "not a media file")).await;
    let video = world.react("clip.mp4").await.unwrap();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "not_media"));
    assert_eq!(world.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_after_a_pause_and_at_most_three_times() {
    let mut world = World::with_project().await;
    for attempt in 1..=3 {
        let job = world.start("clip.mp4").await;
        assert_eq!(job.attempt, attempt);
        world.fail(&job, VideoError::retryable("storage_unavailable", "no answer")).await;
        if attempt < 3 {
            let video = world.react("clip.mp4").await.unwrap();
            assert!(matches!(video.phase, Phase::Failed { .. }), "the pause is kept");
        }
        world.wait(Duration::from_secs(400));
    }
    let video = world.react("clip.mp4").await.unwrap();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "storage_unavailable"));
}

#[tokio::test]
async fn a_worker_that_ends_without_a_word_is_a_failure_and_one_that_is_stopped_is_not() {
    let world = World::with_project().await;
    let job = world.start("clip.mp4").await;
    let end = WorkerEnd::Stopped("spot".to_owned());
    tasks::ended(&world.log, world.now, &job, "task-1", &end).await.unwrap();
    assert_eq!(world.video("clip.mp4").await.failures, 0);
    let job = world.start("clip.mp4").await;
    let end = WorkerEnd::Crashed("signal: 9".to_owned());
    let decided = tasks::ended(&world.log, world.now, &job, "task-2", &end).await.unwrap();
    assert_eq!((decided.appended, decided.video.failures), (true, 1));
    let again = tasks::ended(&world.log, world.now, &job, "task-2", &end).await.unwrap();
    assert!(!again.appended);
}

#[tokio::test]
async fn a_silent_worker_is_found_by_the_sweep_and_replaced() {
    let mut world = World::with_project().await;
    let old = world.start("clip.mp4").await;
    world.refresh("clip.mp4").await;
    assert_eq!(world.sweep().await, Swept::default(), "nothing is due yet");
    world.wait(Duration::from_secs(61));
    assert_eq!(world.sweep().await, Swept { handled: 1, ..Swept::default() });
    world.wait(Duration::from_secs(10));
    assert_eq!(world.sweep().await, Swept { handled: 1, ..Swept::default() });
    let video = world.video("clip.mp4").await;
    assert_eq!(video.attempt, 2);
    let late = decide::complete(&video, &old, "task-1", testing::source(), testing::outputs("clip.mp4"));
    assert!(late.is_err(), "the silent worker is fenced off");
}

#[tokio::test]
async fn an_attempt_that_was_completed_and_not_published_is_launched_to_be_published() {
    let mut world = World::with_project().await;
    let job = world.start("clip.mp4").await;
    world.complete(&job).await;
    world.refresh("clip.mp4").await;
    world.wait(Duration::from_secs(61));
    assert_eq!(world.sweep().await, Swept { handled: 1, ..Swept::default() });
    // Under a token of its own: ECS would answer the first one with the task that has ended.
    let client_token = Job::publisher_token_of(&job.video_id, 1, 1, 0);
    let publisher = Job { client_token, ..job.clone() };
    assert_eq!(world.launcher.launched(), [job.clone(), publisher]);
    assert_eq!(decide::start(&world.video("clip.mp4").await, &job, "task-9"), decide::Start::Publish);
    assert_eq!(world.sweep().await, Swept::default(), "it is not launched again and again");
}

#[tokio::test]
async fn one_video_that_cannot_be_handled_does_not_keep_the_others_waiting() {
    let mut world = World::with_project().await;
    for name in ["poisoned.mp4", "good.mp4"] {
        world.receive(notice(name, "01")).await;
        world.refresh(name).await;
    }
    world.poison("poisoned.mp4").await;
    world.wait(Duration::from_secs(1));
    assert_eq!(world.sweep().await, Swept { handled: 1, failed: 1, left: 0 });
    let events = world.events("poisoned.mp4").await;
    assert_eq!(events.last().unwrap().kind, "stream.quarantined");
    world.wait(Duration::from_hours(1));
    let swept = world.sweep().await;
    assert_eq!(swept.failed, 0, "a quarantined video waits for an operator");
    assert_eq!(world.events("poisoned.mp4").await.len(), events.len());
}

#[tokio::test]
async fn a_grant_that_was_not_used_expires_and_says_so() {
    let mut world = World::with_project().await;
    world.grant("clip.mp4", Duration::from_mins(1)).await;
    world.refresh("clip.mp4").await;
    world.wait(Duration::from_secs(60 + 3599));
    assert_eq!(world.sweep().await, Swept::default(), "an upload may have begun in time");
    world.wait(Duration::from_secs(2));
    world.sweep().await;
    let status = world.video("clip.mp4").await.status().unwrap();
    assert_eq!((status.state, status.error.unwrap().code.as_str()), (VideoState::Errored, "upload_expired"));
    world.receive(notice("clip.mp4", "01")).await;
    assert_eq!(
        world.video("clip.mp4").await.status().unwrap().state,
        VideoState::Uploaded,
        "late is not never"
    );
}

#[tokio::test]
async fn a_deleted_video_loses_its_objects_and_nothing_else() {
    let world = World::with_project().await;
    world.objects.put("films/clip.mp4", "01");
    world.receive(notice("films/clip.mp4", "01")).await;
    world.objects.point("films/clip.mp4", "first");
    world.objects.point("films/other.mp4", "first");
    for attempt in ["g1-a1", "g1-a2", "g2-a1"] {
        world.objects.put_processed(&format!("processed/acme/films/clip.mp4.hls/{attempt}/0.m4s"), "segment");
    }
    world.delete("films/clip.mp4").await;
    world.react("films/clip.mp4").await.unwrap();
    let removed = world.objects.removed();
    insta::assert_snapshot!(removed.join("\n"), @r"
    processed/processed/acme/films/clip.mp4.hls/master.m3u8 if first
    processed/processed/acme/films/clip.mp4.images/poster.jpg if first
    processed/processed/acme/films/clip.mp4 if first
    processed/processed/acme/films/clip.mp4.hls/g1-a1/*
    processed/processed/acme/films/clip.mp4.hls/g1-a2/*
    raw/projects/acme/films/clip.mp4 if etag-01
    ");
    assert_eq!(
        world.objects.standing("processed").len(),
        4,
        "the other video's, and those of a newer generation"
    );
    world.objects.fail_next();
    assert!(world.react("films/clip.mp4").await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_video_that_was_uploaded_anew_after_its_deletion_keeps_its_objects() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.delete("clip.mp4").await;
    world.receive(notice("clip.mp4", "02")).await;
    world.react("clip.mp4").await.unwrap();
    assert!(world.objects.removed().is_empty());
    assert_eq!(world.launcher.launched()[0].generation, 2);
}

/// The removal failed, and something newer came before it was tried again; nothing playable came of that.
#[tokio::test]
async fn what_was_deleted_is_removed_also_when_something_newer_came_before_that() {
    let world = World::with_project().await;
    world.objects.put("clip.mp4", "01");
    world.receive(notice("clip.mp4", "01")).await;
    world.objects.point("clip.mp4", "first");
    world.delete("clip.mp4").await;
    world.objects.fail_next();
    world.react("clip.mp4").await.unwrap_err();
    world.objects.put("clip.mp4", "02");
    world.receive(notice("clip.mp4", "02")).await;
    let job = world.start("clip.mp4").await;
    assert_eq!(world.objects.standing("processed"), Vec::<String>::new(), "what was deleted plays on");
    // A worker of what was deleted was slow.
    world.objects.point("clip.mp4", "late");
    world.fail(&job, VideoError::permanent("corrupt", "cut")).await;
    world.react("clip.mp4").await.unwrap();
    assert_eq!(world.video("clip.mp4").await.status().unwrap().state, VideoState::Errored);
    assert_eq!(world.objects.standing("processed"), Vec::<String>::new(), "what was deleted plays on");
    assert_eq!(
        world.objects.standing("raw"),
        ["projects/acme/clip.mp4"],
        "the newer source may be processed again"
    );
}

/// Who removes is slow: meanwhile a newer generation writes the stable keys.
#[tokio::test]
async fn what_is_published_while_something_older_is_removed_stays() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.objects.point("clip.mp4", "first");
    world.delete("clip.mp4").await;
    let (objects, mut newer) = (Arc::clone(&world.objects), World::new());
    newer.log = world.log.clone();
    world.objects.after_look("processed/processed/acme/clip.mp4.images/poster.jpg", move || {
        futures::executor::block_on(async {
            newer.receive(notice("clip.mp4", "02")).await;
            let job = newer.start("clip.mp4").await;
            newer.complete(&job).await;
        });
        objects.point("clip.mp4", "first");
    });
    let reacted = world.react("clip.mp4").await;
    assert!(reacted.is_ok(), "{reacted:?}");
    assert_eq!(world.objects.standing("processed").len(), 3, "{:?}", world.objects.removed());
}

/// The URL with which the deleted object was uploaded can still be used.
#[tokio::test]
async fn the_same_bytes_that_come_while_their_video_is_removed_stay() {
    let mut world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    world.delete("clip.mp4").await;
    world.wait(Duration::from_secs(5));
    world.objects.put_again("clip.mp4", "01", world.now);
    world.react("clip.mp4").await.unwrap();
    assert_eq!(world.objects.standing("raw"), ["projects/acme/clip.mp4"]);
}

#[tokio::test]
async fn a_deletion_that_a_new_grant_overtakes_is_carried_out_and_spares_what_may_be_on_its_way() {
    let mut world = World::with_project().await;
    world.objects.put("clip.mp4", "01");
    world.receive(notice("clip.mp4", "01")).await;
    world.objects.point("clip.mp4", "first");
    world.delete("clip.mp4").await;
    world.grant("clip.mp4", Duration::from_mins(5)).await;
    world.react("clip.mp4").await.unwrap();
    let removed = world.objects.removed();
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert!(removed.iter().all(|key| key.starts_with("processed/")), "{removed:?}");
    world.wait(Duration::from_mins(5) + world.policy.grant_grace);
    world.react("clip.mp4").await.unwrap();
    let removed = world.objects.removed();
    assert_eq!(removed.last().unwrap(), "raw/projects/acme/clip.mp4 if etag-01");
}

#[tokio::test]
async fn a_stream_is_quarantined_once_however_often_it_cannot_be_handled() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    let error = std::io::Error::other("nobody understands it");
    for version in [2, 3, 4] {
        let stream = testing::stream("clip.mp4");
        streamio_core::delivery::quarantine::report(&world.log, world.now, &stream, version, &error).await;
    }
    let told = world.events("clip.mp4").await;
    let told = told.iter().filter(|event| event.kind == "stream.quarantined").count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_view_is_the_fold_however_many_notices_were_lost() {
    let world = World::with_project().await;
    let job = world.start("clip.mp4").await;
    world.refresh("clip.mp4").await;
    world.complete(&job).await;
    let row = world.refresh("clip.mp4").await;
    assert_eq!(row, VideoRow::of(world.video("clip.mp4").await, &world.policy));
    assert_eq!(world.store.get(&row.video.project_id, &row.video.video_id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn the_log_that_is_away_is_an_error_to_be_tried_again() {
    let world = World::with_project().await;
    let log = testing::AwayLog;
    let ports = streamio_core::reactions::react::Ports { log: &log, ..world.ports() };
    let received = uploads::receive(ports.uploads(), world.now, notice("clip.mp4", "01")).await;
    assert!(received.unwrap_err().is_retryable());
    let (project_id, video_id) = testing::ids("clip.mp4");
    let refreshed = views::refresh(&log, &*world.store, &world.policy, &project_id, &video_id).await;
    assert!(refreshed.unwrap_err().is_retryable());
    assert!(load(&log, &project_id, &video_id).await.unwrap_err().is_retryable());
    assert_eq!(sweep(ports, &*world.store, &|| world.now, testing::BOUNDS).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn decisions_of_two_that_decide_at_once_are_recorded_once() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    let (a, b) = tokio::join!(world.react("clip.mp4"), world.react("clip.mp4"));
    a.unwrap();
    b.unwrap();
    let dispatched = world.events("clip.mp4").await;
    let dispatched = dispatched.iter().filter(|event| event.kind == "processing.dispatched");
    assert_eq!(dispatched.count(), 1);
}

#[tokio::test]
async fn an_event_of_the_future_is_kept_and_ignored() {
    let world = World::with_project().await;
    world.receive(notice("clip.mp4", "01")).await;
    let before = world.video("clip.mp4").await;
    let unknown = EventBody::Unknown {
        kind: "video.sparkled".to_owned(),
        version: 7,
        data: serde_json::json!({ "sparks": 3 }),
    };
    world.append("clip.mp4", Expected::Any, unknown).await;
    let after = world.video("clip.mp4").await;
    assert_eq!((after.phase, after.version), (before.phase, before.version + 1));
    let head = world.log.head(&testing::stream("clip.mp4")).await.unwrap();
    assert_eq!(head.version, 2);
}
