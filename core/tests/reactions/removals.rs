//! Removals of deleted and replaced content are tried until they are recorded, also if the reaction that began them was given up.

use std::time::Duration;

use streamio_core::reactions::sweep::SweepReport;
use streamio_core::testing::{self, TestRegion, notification};
use streamio_events::event::EventBody;
use streamio_events::media::Outputs;

/// The removals that are recorded, with generation or version.
async fn recorded(region: &TestRegion) -> Vec<String> {
    let bodies = region.events("clip.mp4").await.into_iter().map(|event| event.body().unwrap());
    let removals = bodies.filter_map(|body| match body {
        EventBody::OutputsRemoved(removed) => Some(format!("outputs {}", removed.generation)),
        EventBody::UploadRemoved(removed) => Some(format!("source {}", removed.version_id)),
        _ => None,
    });
    removals.collect()
}

/// A video in a bucket without versions that is published.
async fn published() -> TestRegion {
    let region = TestRegion::with_project().await;
    region.objects.put("clip.mp4", "01");
    region.receive(notification("clip.mp4", "01")).await;
    let job = region.start("clip.mp4").await;
    region.objects.put_processed("processed/acme/clip.mp4.hls/g1-a1/0.m4s", "segment");
    region.objects.put_stable_keys("clip.mp4", "first");
    region.publish(&job).await;
    region
}

/// Handles what is due until nothing is, for at most a day. Reactions to commits do not happen.
async fn sweep(region: &mut TestRegion) {
    region.refresh("clip.mp4").await;
    for _ in 0..24 * 60 {
        region.sweep().await;
        region.wait(Duration::from_mins(1));
    }
    assert_eq!(region.sweep().await, SweepReport::default(), "nothing is due any more");
}

#[tokio::test]
async fn the_sweep_removes_what_a_reaction_that_was_given_up_left_of_a_deleted_video() {
    let mut region = published().await;
    region.delete("clip.mp4").await;
    region.objects.fail_next();
    region.react("clip.mp4").await.unwrap_err();
    assert_eq!(recorded(&region).await, Vec::<String>::new());
    sweep(&mut region).await;
    assert_eq!(region.objects.stored("processed"), Vec::<String>::new(), "a deleted video still plays");
    assert_eq!(region.objects.stored("raw"), Vec::<String>::new());
    assert_eq!(recorded(&region).await, ["outputs 1", "source null"]);
}

#[tokio::test]
async fn a_removal_is_recorded_only_after_everything_is_gone_and_in_one_commit() {
    let mut operations = 0;
    loop {
        let region = published().await;
        region.delete("clip.mp4").await;
        let before = region.video("clip.mp4").await.version;
        region.objects.fail_after(operations);
        let reacted = region.react("clip.mp4").await;
        if !recorded(&region).await.is_empty() {
            assert_eq!(region.objects.stored("processed"), Vec::<String>::new());
            assert_eq!(region.objects.stored("raw"), Vec::<String>::new());
            assert_eq!(recorded(&region).await, ["outputs 1", "source null"]);
            assert_eq!(region.video("clip.mp4").await.version, before + 2);
            break;
        }
        assert!(reacted.is_err(), "nothing is recorded after {operations} operations");
        operations += 1;
    }
    assert!(operations > 8, "each of the operations has failed once: {operations}");
}

#[tokio::test]
async fn a_removal_is_recorded_once() {
    let region = published().await;
    region.delete("clip.mp4").await;
    region.react("clip.mp4").await.unwrap();
    let version = region.video("clip.mp4").await.version;
    for _ in 0..3 {
        region.react("clip.mp4").await.unwrap();
    }
    assert_eq!(region.video("clip.mp4").await.version, version);
    assert_eq!(recorded(&region).await, ["outputs 1", "source null"]);
    assert_eq!(region.refresh("clip.mp4").await.video.unremoved, None);
}

/// A worker that does not know of the deletion writes a stable key again while it is removed.
#[tokio::test]
async fn a_removal_is_not_recorded_while_a_late_worker_writes_the_same_key() {
    let region = published().await;
    region.delete("clip.mp4").await;
    let (objects, playlist) = (region.objects.clone(), "processed/acme/clip.mp4.hls/master.m3u8");
    region
        .objects
        .after_head(&format!("processed/{playlist}"), move || objects.put_processed(playlist, "late"));
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.stored("processed"), [playlist], "a conditional removal leaves it");
    assert_eq!(recorded(&region).await, Vec::<String>::new());
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.stored("processed"), Vec::<String>::new());
    assert_eq!(recorded(&region).await, ["outputs 1", "source null"]);
}

#[tokio::test]
async fn the_source_without_a_version_goes_when_the_last_grant_ends() {
    let mut failed_between = 0;
    for operations in 0..20 {
        let mut region = published().await;
        region.delete("clip.mp4").await;
        region.grant("clip.mp4", Duration::from_mins(5)).await;
        region.react("clip.mp4").await.unwrap();
        assert_eq!(recorded(&region).await, ["outputs 1"]);
        assert_eq!(region.objects.stored("raw").len(), 1, "the same bytes may be uploaded again");
        region.wait(Duration::from_mins(5) + region.policy.grant_grace);
        region.objects.fail_after(operations);
        let reacted = region.react("clip.mp4").await;
        let is_closed = region.video("clip.mp4").await.open_grants.is_empty();
        let is_failed_between = reacted.is_err() && is_closed && recorded(&region).await == ["outputs 1"];
        failed_between += usize::from(is_failed_between);
        sweep(&mut region).await;
        assert_eq!(region.objects.stored("raw"), Vec::<String>::new());
        assert_eq!(recorded(&region).await, ["outputs 1", "source null"]);
    }
    assert!(failed_between > 0, "the reaction that closes the grant never failed to remove the source");
}

#[tokio::test]
async fn the_outputs_of_a_deleted_video_go_although_it_was_uploaded_again() {
    let mut region = published().await;
    region.delete("clip.mp4").await;
    region.objects.fail_next();
    region.react("clip.mp4").await.unwrap_err();
    region.wait(Duration::from_secs(5));
    region.objects.put_again("clip.mp4", "02", region.now);
    region.receive(notification("clip.mp4", "02")).await;
    region.objects.fail_next();
    let _ = region.react("clip.mp4").await;
    let job = region.video("clip.mp4").await.job.unwrap();
    assert_eq!(job.generation, 2);
    region.refresh("clip.mp4").await;
    region.sweep().await;
    assert_eq!(recorded(&region).await, ["outputs 1"]);
    assert_eq!(region.objects.stored("processed"), Vec::<String>::new(), "a deleted video still plays");
    assert_eq!(region.objects.stored("raw").len(), 1, "the new upload stays");
}

/// A video is replaced by sound, which has no poster.
#[tokio::test]
async fn the_sweep_removes_the_poster_of_a_replaced_video() {
    let mut region = TestRegion::with_project().await;
    let first = region.start("clip.mp4").await;
    let poster = first.s3_key.processed().poster();
    let pictures = Outputs { poster_key: Some(poster.clone()), ..testing::outputs("clip.mp4") };
    region.complete_with(&first, &pictures).await;
    region.objects.put_stable_keys("clip.mp4", "first");
    region.ready(&first).await;
    region.react("clip.mp4").await.unwrap();
    region.objects.put("clip.mp4", "02");
    region.receive(notification("clip.mp4", "02")).await;
    let second = region.start("clip.mp4").await;
    region.publish(&second).await;
    region.objects.fail_next();
    region.react("clip.mp4").await.unwrap_err();
    assert!(region.objects.stored("processed").contains(&poster.to_string()));
    sweep(&mut region).await;
    assert!(!region.objects.stored("processed").contains(&poster.to_string()));
    assert_eq!(region.objects.stored("processed").len(), 2, "what is published stays");
    assert_eq!(recorded(&region).await, ["outputs 2"]);
}

#[tokio::test]
async fn nothing_is_recorded_where_nothing_was_deleted_or_replaced() {
    let mut region = published().await;
    region.objects.put("clip.mp4", "02");
    region.receive(notification("clip.mp4", "02")).await;
    let second = region.start("clip.mp4").await;
    region.publish(&second).await;
    region.react("clip.mp4").await.unwrap();
    sweep(&mut region).await;
    assert_eq!(recorded(&region).await, Vec::<String>::new());
}
