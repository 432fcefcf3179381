//! Uploads whose notices do not come, come late, or come when the object is no longer there.

use std::time::Duration;

use streamio_core::reactions::sweep::Swept;
use streamio_core::uploads::{Received, receive_unnamed};
use streamio_events::event::EventBody;
use streamio_events::video::{Phase, VideoState};

use streamio_core::testing::{World, key, notice};

/// A world in which the grant for the clip is over.
async fn over() -> World {
    let mut world = World::with_project().await;
    world.grant("clip.mp4", Duration::from_mins(1)).await;
    world.refresh("clip.mp4").await;
    world.wait(Duration::from_mins(1) + world.policy.grant_grace);
    world
}

#[tokio::test]
async fn an_upload_whose_notice_was_lost_is_found_by_the_sweep_and_processed() {
    let world = over().await;
    world.objects.put("clip.mp4", "01");
    assert_eq!(world.sweep().await, Swept { handled: 1, ..Swept::default() });
    let video = world.video("clip.mp4").await;
    assert_eq!((video.generation, video.attempt), (1, 1));
    assert_eq!(world.launcher.launched().len(), 1);
    let events = world.events("clip.mp4").await;
    assert!(
        matches!(events[1].body().unwrap(), EventBody::UploadCompleted(it) if it.found && it.bytes == 10)
    );
    assert!(matches!(world.receive(notice("clip.mp4", "01")).await, Received::Known(_)), "late");
    assert_eq!(world.video("clip.mp4").await.generation, 1);
}

#[tokio::test]
async fn a_lost_upload_is_judged_as_any_other() {
    let world = over().await;
    world.objects.put("clip.mp4", "01");
    world.suspend_project().await;
    world.sweep().await;
    let status = world.video("clip.mp4").await.status().unwrap();
    assert_eq!(
        (status.state, status.error.unwrap().code.as_str()),
        (VideoState::Errored, "project_suspended")
    );
    assert!(world.launcher.launched().is_empty());
}

#[tokio::test]
async fn nothing_is_given_up_while_the_bucket_cannot_be_looked_into() {
    let mut world = over().await;
    world.objects.fail_next();
    assert_eq!(world.sweep().await, Swept { failed: 1, ..Swept::default() });
    assert_eq!(world.video("clip.mp4").await.phase, Phase::Waiting);
    world.wait(Duration::from_secs(6));
    world.sweep().await;
    assert!(matches!(world.video("clip.mp4").await.phase, Phase::Errored { .. }));
}

#[tokio::test]
async fn a_lost_upload_over_a_video_that_is_there_is_found() {
    let mut world = World::with_project().await;
    world.objects.put("clip.mp4", "01");
    world.start("clip.mp4").await;
    world.grant("clip.mp4", Duration::from_mins(1)).await;
    world.objects.put("clip.mp4", "02");
    world.refresh("clip.mp4").await;
    world.wait(Duration::from_mins(1) + world.policy.grant_grace);
    // The silent worker's attempt is over first; after its pause there is nothing more urgent than the look.
    for _ in 0..3 {
        world.sweep().await;
        world.wait(Duration::from_mins(3));
    }
    world.sweep().await;
    let found = world.events("clip.mp4").await;
    let found = found.iter().filter_map(|event| match event.body().unwrap() {
        EventBody::UploadCompleted(it) if it.found => Some((it.generation, it.etag, it.sequencer)),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), [(2, "etag-02".to_owned(), "01".to_owned())]);
}

#[tokio::test]
async fn after_a_find_a_notice_of_what_was_replaced_is_passed_over_and_a_newer_one_is_not() {
    let world = over().await;
    world.objects.put("clip.mp4", "02");
    world.sweep().await;
    let looks = world.objects.looks();
    assert!(matches!(world.receive(notice("clip.mp4", "01")).await, Received::Gone(_)));
    assert_eq!(world.video("clip.mp4").await.generation, 1);
    world.objects.put("clip.mp4", "03");
    assert!(matches!(world.receive(notice("clip.mp4", "03")).await, Received::Accepted(_)));
    assert_eq!(world.objects.looks(), looks + 2);
    for sequencer in ["01", "02", "03"] {
        assert!(
            matches!(world.receive(notice("clip.mp4", sequencer)).await, Received::Known(_)),
            "{sequencer}"
        );
    }
    assert_eq!(world.objects.looks(), looks + 2, "S3's own order tells again");
}

#[tokio::test]
async fn a_notice_that_names_no_object_is_of_the_one_that_stands_there() {
    let world = World::with_project().await;
    let receive = async |world: &World| {
        receive_unnamed(world.ports().uploads(), world.now, key("clip.mp4").as_str()).await.unwrap()
    };
    assert!(matches!(receive(&world).await, Received::Gone(_)));
    world.objects.put("clip.mp4", "01");
    assert!(matches!(receive(&world).await, Received::Accepted(_)));
    assert!(matches!(receive(&world).await, Received::Known(_)));
    assert!(matches!(world.receive(notice("clip.mp4", "01")).await, Received::Known(_)));
    assert_eq!(world.video("clip.mp4").await.generation, 1);
}
