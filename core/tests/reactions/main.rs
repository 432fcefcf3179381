//! Reactions, ingestion and status views on a region in memory.

mod bucket_checks;
mod clip;
mod deletions;
mod encode_slots;
mod grants;
mod limits;
mod lost_notifications;
mod measuring;
mod outages;
mod projects;
mod publication;
mod removals;
mod sweep;
mod versions;

use std::time::Duration;

use streamio_core::ports::view_store::{VideoRow, ViewStore as _};
use streamio_core::reactions::react::ReactError;
use streamio_core::reactions::sweep::{SweepReport, sweep as run_sweep};
use streamio_core::reactions::tasks;
use streamio_core::testing::{EndedWorker, TestRegion, notification};
use streamio_core::uploads::Received;
use streamio_core::views::status as views;
use streamio_core::{testing, uploads};
use streamio_events::event::EventBody;
use streamio_events::job::MediaLimits;
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected, Part};
use streamio_events::media::VideoError;
use streamio_events::retryable::Retryable as _;
use streamio_events::video::decide::{self, Interruption, WorkerEnd};
use streamio_events::video::{Phase, VideoState, load};

#[tokio::test]
async fn an_upload_is_dispatched_and_launched_with_the_recorded_job() {
    let region = TestRegion::with_project().await;
    assert!(matches!(region.receive(notification("clip.mp4", "01")).await, Received::Accepted(_)));
    let video = region.react("clip.mp4").await.unwrap();
    let job = video.job.clone().unwrap();
    assert_eq!(region.launcher.launched(), std::slice::from_ref(&job));
    assert_eq!((job.generation, job.attempt), (1, 1));
    assert_eq!((job.raw_bucket.as_str(), job.processed_bucket.as_str()), ("raw", "processed"));
    assert!(job.client_token.len() <= 64 && job.client_token.is_ascii());
}

#[tokio::test]
async fn a_job_has_the_limits_of_its_project_at_the_time_of_its_dispatch() {
    let region = TestRegion::with_project().await;
    let mut limits = Vec::new();
    for (name, allow) in [("a.mp4", None), ("b.mp4", Some(true)), ("c.mp4", Some(false))] {
        if let Some(allow) = allow {
            region.allow_truncated(allow).await;
        }
        region.receive(notification(name, "01")).await;
        limits.push(region.react(name).await.unwrap().job.unwrap().limits);
    }
    let of_deployment = region.policy.limits.clone();
    let allowing = MediaLimits { allow_truncated: true, ..of_deployment.clone() };
    assert_eq!(limits, [of_deployment.clone(), allowing.clone(), of_deployment]);
    // What was dispatched stays as it was.
    region.allow_truncated(true).await;
    assert_eq!(region.react("b.mp4").await.unwrap().job.unwrap().limits, allowing);
}

#[tokio::test]
async fn a_project_may_refuse_what_the_deployment_allows() {
    let mut region = TestRegion::with_project().await;
    region.policy.limits.allow_truncated = true;
    region.receive(notification("a.mp4", "01")).await;
    assert!(region.react("a.mp4").await.unwrap().job.unwrap().limits.allow_truncated);
    region.allow_truncated(false).await;
    region.receive(notification("b.mp4", "01")).await;
    assert!(!region.react("b.mp4").await.unwrap().job.unwrap().limits.allow_truncated);
}

#[tokio::test]
async fn an_upload_is_processed_although_the_settings_of_its_project_cannot_be_understood() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.poison_project().await;
    let job = region.react("clip.mp4").await.unwrap().job.unwrap();
    assert_eq!(job.limits, region.policy.limits);
}

#[tokio::test]
async fn reacting_again_launches_the_same_job_and_records_nothing() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.react("clip.mp4").await.unwrap();
    let commits = region.log.scan_to_end().await.unwrap();
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.log.scan_to_end().await.unwrap(), commits);
    let launched = region.launcher.launched();
    assert_eq!(launched.len(), 2);
    assert_eq!(launched[0], launched[1]);
}

#[tokio::test]
async fn a_failed_launch_is_retried_with_the_same_job() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.launcher.fail_next();
    let error = region.react("clip.mp4").await.unwrap_err();
    assert!(matches!(error, ReactError::Launch(_)) && error.is_retryable());
    let video = region.react("clip.mp4").await.unwrap();
    assert_eq!(region.launcher.launched(), [video.job.unwrap()]);
    assert_eq!(video.attempt, 1, "a failed launch is not an attempt");
}

/// The launch is repeated after its response was lost; meanwhile the worker has completed its attempt.
#[tokio::test]
async fn a_worker_that_completed_its_attempt_is_not_followed_by_another() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.launcher.report_ended([EndedWorker::AfterCompletion]);
    let video = region.react("clip.mp4").await.unwrap();
    assert!(matches!(video.phase, Phase::Completed { .. }), "{video:?}");
    assert_eq!(region.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_worker_that_ended_before_it_started_is_followed_by_one_with_a_deterministic_token() {
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let region = TestRegion::with_project().await;
        region.receive(notification("clip.mp4", "01")).await;
        region.launcher.report_ended([
            EndedWorker::BeforeStart,
            EndedWorker::BeforeStart,
            EndedWorker::AfterCompletion,
        ]);
        let video = region.react("clip.mp4").await.unwrap();
        assert!(matches!(video.phase, Phase::Completed { .. }), "{video:?}");
        let of_run: Vec<_> = region.launcher.launched().into_iter().map(|job| job.client_token).collect();
        assert_eq!((of_run.len(), of_run[0].as_str()), (3, video.job.unwrap().client_token.as_str()));
        assert!(of_run.iter().all(|token| token.len() <= 64 && token.is_ascii()), "{of_run:?}");
        assert!(of_run[0] != of_run[1] && of_run[1] != of_run[2] && of_run[0] != of_run[2], "{of_run:?}");
        tokens.push(of_run);
    }
    assert_eq!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn if_all_workers_end_before_they_start_the_sweep_retries() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.launcher.report_ended([EndedWorker::BeforeStart; 20]);
    let error = region.react("clip.mp4").await.unwrap_err();
    assert!(matches!(&error, ReactError::Launch(launch) if launch.is_retryable()), "{error:?}");
    assert!(region.launcher.launched().len() < 20);
}

#[tokio::test]
async fn a_repeated_or_late_event_notification_changes_nothing() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "02")).await;
    for sequencer in ["02", "01", "0200"] {
        assert!(
            matches!(region.receive(notification("clip.mp4", sequencer)).await, Received::Duplicate(_)),
            "{sequencer}"
        );
    }
    assert_eq!(region.video("clip.mp4").await.generation, 1);
    region.objects.put("clip.mp4", "03");
    assert!(matches!(region.receive(notification("clip.mp4", "03")).await, Received::Accepted(_)));
    assert_eq!(region.video("clip.mp4").await.generation, 2);
}

#[tokio::test]
async fn an_object_whose_key_is_not_a_source_key_belongs_to_no_video() {
    let region = TestRegion::with_project().await;
    for key in ["stray.mp4", "projects/acme/../x.mp4", "projects/acme/clip.hls"] {
        let stray = uploads::CreatedObject { key: key.to_owned(), ..notification("x", "01") };
        assert!(matches!(region.receive(stray).await, Received::NotASource(_)), "{key}");
    }
}

#[tokio::test]
async fn uploads_that_are_not_allowed_are_rejected_with_a_reason() {
    let mut region = TestRegion::new();
    region.policy.limits.max_bytes = 5;
    let rejected = |received: Received| match received {
        Received::Rejected(_, error) => error.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected(region.receive(notification("a.mp4", "01")).await), "project_unknown");
    region.create_project().await;
    assert_eq!(rejected(region.receive(notification("b.mp4", "01")).await), "too_large");
    region.policy.limits.max_bytes = 1000;
    region.suspend_project().await;
    assert_eq!(rejected(region.receive(notification("c.mp4", "01")).await), "project_suspended");
    let status = region.video("c.mp4").await.status().unwrap();
    assert_eq!(
        (status.state, status.error.unwrap().code.as_str()),
        (VideoState::Errored, "project_suspended")
    );
    region.react("c.mp4").await.unwrap();
    assert!(region.launcher.launched().is_empty());
}

#[tokio::test]
async fn a_permanent_failure_ends_the_video_immediately() {
    let region = TestRegion::with_project().await;
    let job = region.start("clip.mp4").await;
    region.fail(&job, VideoError::permanent("not_media", "not a media file")).await;
    let video = region.react("clip.mp4").await.unwrap();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "not_media"));
    assert_eq!(region.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_retryable_failure_is_retried_after_a_pause_and_at_most_three_times() {
    let mut region = TestRegion::with_project().await;
    for attempt in 1..=3 {
        let job = region.start("clip.mp4").await;
        assert_eq!(job.attempt, attempt);
        region.fail(&job, VideoError::retryable("storage_unavailable", "no response")).await;
        if attempt < 3 {
            let video = region.react("clip.mp4").await.unwrap();
            assert!(matches!(video.phase, Phase::Failed { .. }), "the pause is kept");
        }
        region.wait(Duration::from_secs(400));
    }
    let video = region.react("clip.mp4").await.unwrap();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "storage_unavailable"));
}

#[tokio::test]
async fn a_crashed_worker_counts_as_a_failure_and_a_stopped_one_does_not() {
    let region = TestRegion::with_project().await;
    let job = region.start("clip.mp4").await;
    let end = WorkerEnd::Interrupted(Interruption::Stopped("spot".to_owned()));
    tasks::ended(&region.log, region.now, &job, "task-1", &end).await.unwrap();
    assert_eq!(region.video("clip.mp4").await.failures, 0);
    let job = region.start("clip.mp4").await;
    let end = WorkerEnd::Crashed("signal: 9".to_owned());
    let decided = tasks::ended(&region.log, region.now, &job, "task-2", &end).await.unwrap();
    assert_eq!((decided.appended, decided.video.failures), (true, 1));
    let again = tasks::ended(&region.log, region.now, &job, "task-2", &end).await.unwrap();
    assert!(!again.appended);
}

#[tokio::test]
async fn a_worker_without_heartbeats_is_found_by_the_sweep_and_replaced() {
    let mut region = TestRegion::with_project().await;
    let old = region.start("clip.mp4").await;
    region.refresh("clip.mp4").await;
    assert_eq!(region.sweep().await, SweepReport::default(), "nothing is due yet");
    region.wait(Duration::from_secs(61));
    assert_eq!(region.sweep().await, SweepReport { handled: 1, ..SweepReport::default() });
    region.wait(Duration::from_secs(10));
    assert_eq!(region.sweep().await, SweepReport { handled: 1, ..SweepReport::default() });
    let video = region.video("clip.mp4").await;
    assert_eq!(video.attempt, 2);
    let late = decide::complete(&video, &old, "task-1", testing::source(), testing::outputs("clip.mp4"));
    assert!(late.is_err(), "the old worker is fenced off");
}

#[tokio::test]
async fn a_video_that_cannot_be_handled_does_not_delay_the_others() {
    let mut region = TestRegion::with_project().await;
    for name in ["poisoned.mp4", "good.mp4"] {
        region.receive(notification(name, "01")).await;
        region.refresh(name).await;
    }
    region.poison("poisoned.mp4").await;
    region.wait(Duration::from_secs(1));
    assert_eq!(region.sweep().await, SweepReport { handled: 1, failed: 1, ..SweepReport::default() });
    let events = region.events("poisoned.mp4").await;
    assert_eq!(events.last().unwrap().kind, "stream.quarantined");
    region.wait(Duration::from_hours(1));
    let swept = region.sweep().await;
    assert_eq!(swept.failed, 0, "a quarantined video waits for an operator");
    assert_eq!(region.events("poisoned.mp4").await.len(), events.len());
}

#[tokio::test]
async fn an_unused_grant_expires_when_its_url_does_and_a_late_upload_is_accepted() {
    let mut region = TestRegion::with_project().await;
    region.grant("clip.mp4", Duration::from_mins(1)).await;
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_secs(59));
    assert_eq!(region.sweep().await, SweepReport::default(), "the URL is still valid");
    region.wait(Duration::from_secs(1));
    region.sweep().await;
    let status = region.video("clip.mp4").await.status().unwrap();
    assert_eq!((status.state, status.error, status.expires_at), (VideoState::Expired, None, None));
    region.wait(Duration::from_mins(30));
    let late = uploads::CreatedObject { created_at: region.now, ..notification("clip.mp4", "01") };
    region.objects.put_object(&late);
    region.receive_only(late).await;
    let state = region.video("clip.mp4").await.status().unwrap().state;
    assert_eq!(state, VideoState::Uploaded, "it began in time");
}

#[tokio::test]
async fn after_the_grace_a_grant_takes_no_upload() {
    let mut region = TestRegion::with_project().await;
    region.grant("clip.mp4", Duration::from_mins(1)).await;
    region.refresh("clip.mp4").await;
    for wait in [Duration::from_mins(1), region.policy.grant_grace] {
        region.wait(wait);
        region.sweep().await;
    }
    assert!(region.video("clip.mp4").await.open_grants.is_empty());
    region.wait(Duration::from_secs(1));
    let late = uploads::CreatedObject { created_at: region.now, ..notification("clip.mp4", "01") };
    // The details of an object that waits are read from the bucket.
    region.objects.put("clip.mp4", "01");
    region.receive_only(late).await;
    region.refresh("clip.mp4").await;
    region.wait(region.policy.rejected_retention);
    region.sweep().await;
    let status = region.video("clip.mp4").await.status().unwrap();
    assert_eq!((status.state, status.error.unwrap().code.as_str()), (VideoState::Errored, "grant_expired"));
}

#[tokio::test]
async fn a_stream_that_repeatedly_cannot_be_handled_is_quarantined_once() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    let error = std::io::Error::other("unreadable");
    for version in [2, 3, 4] {
        let stream = testing::stream("clip.mp4");
        streamio_core::delivery::quarantine::report(&region.log, region.now, &stream, version, &error).await;
    }
    let quarantined = region.events("clip.mp4").await;
    let quarantined = quarantined.iter().filter(|event| event.kind == "stream.quarantined").count();
    assert_eq!(quarantined, 1);
}

#[tokio::test]
async fn a_view_equals_the_fold_after_lost_records() {
    let region = TestRegion::with_project().await;
    let job = region.start("clip.mp4").await;
    region.refresh("clip.mp4").await;
    region.complete(&job).await;
    let row = region.refresh("clip.mp4").await;
    assert_eq!(row, VideoRow::of(region.video("clip.mp4").await, &region.policy));
    assert_eq!(region.store.get(&row.video.project_id, &row.video.video_id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn an_unavailable_log_is_a_retryable_error() {
    let region = TestRegion::with_project().await;
    let log = testing::UnavailableLog;
    let ports = streamio_core::reactions::react::Ports { log: &log, ..region.ports() };
    let received = uploads::receive(ports.uploads(), region.now, notification("clip.mp4", "01")).await;
    assert!(received.unwrap_err().is_retryable());
    let (project_id, video_id) = testing::ids("clip.mp4");
    let refreshed = views::refresh(&log, &*region.store, &region.policy, &project_id, &video_id).await;
    assert!(refreshed.unwrap_err().is_retryable());
    assert!(load(&log, &project_id, &video_id).await.unwrap_err().is_retryable());
    assert_eq!(
        run_sweep(ports, &*region.store, &|| region.now, Part::WHOLE, testing::BOUNDS).await.unwrap(),
        SweepReport::default()
    );
}

#[tokio::test]
async fn two_concurrent_reactions_record_a_decision_once() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    let (a, b) = tokio::join!(region.react("clip.mp4"), region.react("clip.mp4"));
    a.unwrap();
    b.unwrap();
    let dispatched = region.events("clip.mp4").await;
    let dispatched = dispatched.iter().filter(|event| event.kind == "processing.dispatched");
    assert_eq!(dispatched.count(), 1);
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_kept_and_ignored() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    let before = region.video("clip.mp4").await;
    let unknown = EventBody::Unknown {
        kind: "video.sparkled".to_owned(),
        version: 7,
        data: serde_json::json!({ "sparks": 3 }),
    };
    region.append("clip.mp4", Expected::Any, unknown).await;
    let after = region.video("clip.mp4").await;
    assert_eq!((after.phase, after.version), (before.phase, before.version + 1));
    let head = region.log.head(&testing::stream("clip.mp4")).await.unwrap();
    assert_eq!(head.version, after.version);
}
