//! Publishers of completed attempts that were not published, or whose publication a newer upload ended.

use std::time::Duration;

use streamio_core::reactions::sweep::SweepReport;
use streamio_core::testing::{self, TestRegion, notification};
use streamio_core::uploads::Received;
use streamio_events::job::Job;
use streamio_events::media::{Outputs, VideoError};
use streamio_events::video::{VideoState, decide};

/// Uploads the video again.
async fn upload(region: &TestRegion, sequencer: &str) {
    region.objects.put("clip.mp4", sequencer);
    let received = region.receive(notification("clip.mp4", sequencer)).await;
    assert!(matches!(received, Received::Accepted(_)), "{received:?}");
}

/// A video whose first upload is published and whose third one failed. The worker of the second one had begun to publish.
async fn with_a_publication_that_was_ended() -> (TestRegion, Job) {
    let region = TestRegion::with_project().await;
    let first = region.start("clip.mp4").await;
    region.publish(&first).await;
    upload(&region, "02").await;
    let second = region.start("clip.mp4").await;
    region.complete(&second).await;
    upload(&region, "03").await;
    let third = region.start("clip.mp4").await;
    region.fail(&third, VideoError::permanent("not_media", "it is no video")).await;
    (region, second)
}

fn is_of(job: &Job, other: &Job) -> bool {
    (job.generation, job.attempt) == (other.generation, other.attempt)
}

#[tokio::test]
async fn for_a_completed_attempt_that_was_not_published_a_publisher_is_launched() {
    let mut region = TestRegion::with_project().await;
    let job = region.start("clip.mp4").await;
    region.complete(&job).await;
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_secs(61));
    assert_eq!(region.sweep().await, SweepReport { handled: 1, ..SweepReport::default() });
    // With another token: for the first one ECS would return the task that has ended.
    let client_token = Job::publisher_token_of(&job.video_id, 1, 1, 0);
    let publisher = Job { client_token, ..job.clone() };
    assert_eq!(region.launcher.launched(), [job.clone(), publisher]);
    assert_eq!(decide::start(&region.video("clip.mp4").await, &job, "task-9"), decide::Start::Publish);
    assert_eq!(region.sweep().await, SweepReport::default(), "it is launched once");
}

#[tokio::test]
async fn a_publication_that_a_failed_upload_ended_is_continued() {
    let (region, second) = with_a_publication_that_was_ended().await;
    let video = region.react("clip.mp4").await.unwrap();
    assert_eq!(video.status().unwrap().state, VideoState::Errored);
    assert_eq!(video.published, Some((1, 1)));
    let launched = region.launcher.launched();
    let publisher = launched.last().unwrap();
    assert!(
        is_of(publisher, &second),
        "some of the stable keys hold files of an attempt that is not published: {launched:?}"
    );
    assert_ne!(publisher.client_token, second.client_token, "the launcher knows the worker that has ended");
    region.ready(publisher).await;
    let status = region.video("clip.mp4").await.status().unwrap();
    assert_eq!((status.state, status.outputs.is_some()), (VideoState::Errored, true));
    assert_eq!(region.video("clip.mp4").await.published, Some((2, 1)));
}

#[tokio::test]
async fn the_sweep_launches_a_publisher_again_that_is_lost() {
    let (mut region, second) = with_a_publication_that_was_ended().await;
    region.launcher.fail_next();
    region.react("clip.mp4").await.unwrap_err();
    region.refresh("clip.mp4").await;
    let before = region.launcher.launched().len();
    let mut pauses = Vec::new();
    for minute in 1..=240 {
        region.wait(Duration::from_mins(1));
        let known = region.launcher.launched().len();
        region.sweep().await;
        if region.launcher.launched().len() > known {
            pauses.push(minute);
        }
    }
    let launched = region.launcher.launched().split_off(before);
    assert!(launched.iter().all(|job| is_of(job, &second)), "{launched:?}");
    assert!(pauses.len() > 3, "it is launched until it has published: {pauses:?}");
    assert!(pauses.len() < 12, "more and more rarely: {pauses:?}");
}

/// A video is replaced by sound, which has no poster.
#[tokio::test]
async fn the_poster_of_an_earlier_upload_is_removed_when_a_later_one_is_published_without_one() {
    let region = TestRegion::with_project().await;
    let first = region.start("clip.mp4").await;
    let poster = first.s3_key.processed().poster();
    let pictures = Outputs { poster_key: Some(poster.clone()), ..testing::outputs("clip.mp4") };
    region.complete_with(&first, &pictures).await;
    region.objects.put_stable_keys("clip.mp4", "first");
    region.ready(&first).await;
    region.react("clip.mp4").await.unwrap();
    upload(&region, "02").await;
    let second = region.start("clip.mp4").await;
    region.complete(&second).await;
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.removed(), Vec::<String>::new(), "the first upload is still published");
    region.ready(&second).await;
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.removed(), [format!("processed/{poster} if first")]);
    // A later upload with pictures has begun to publish.
    upload(&region, "03").await;
    let third = region.start("clip.mp4").await;
    region.complete_with(&third, &pictures).await;
    region.objects.put_stable_keys("clip.mp4", "third");
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.stored("processed").len(), 3, "{:?}", region.objects.removed());
}

/// A deletion from before the upload that is being published must not remove its files.
#[tokio::test]
async fn an_earlier_deletion_removes_nothing_of_a_publication_that_is_continued() {
    let region = TestRegion::with_project().await;
    let first = region.start("clip.mp4").await;
    region.publish(&first).await;
    region.delete("clip.mp4").await;
    region.react("clip.mp4").await.unwrap();
    upload(&region, "02").await;
    let second = region.start("clip.mp4").await;
    region.complete(&second).await;
    region.objects.put_stable_keys("clip.mp4", "second");
    upload(&region, "03").await;
    let third = region.start("clip.mp4").await;
    region.fail(&third, VideoError::permanent("not_media", "it is no video")).await;
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.stored("processed").len(), 3, "{:?}", region.objects.removed());
}
