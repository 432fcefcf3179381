//! The function that records uploads.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use streamio_core::fold_cache::ProjectCache;
use streamio_core::testing::{CountedUsage, TestRegion, UnavailableLog, grant};
use streamio_core::uploads::EventNotification;
use streamio_events::log::EventLogExt as _;
use streamio_lambdas::functions::uploads::Uploads;
use streamio_lambdas::runtime::Function as _;
use streamio_lambdas::triggers::s3;

use crate::events::{clock, eventbridge, handled, notification, payload, test_region};

const CAFE: &str = "summer films/café + 100%.mp4";

fn uploads(region: &TestRegion) -> Uploads {
    Uploads {
        log: Arc::new(region.log.clone()),
        objects: Arc::clone(&region.objects) as _,
        usage: Arc::new(CountedUsage(region.log.clone())),
        dead_letters: Arc::clone(&region.dead_letters) as _,
        projects: ProjectCache::default(),
        policy: region.policy.clone(),
        clock,
    }
}

/// A region in which the uploads of the payloads were granted and are stored.
async fn with_uploads() -> TestRegion {
    let region = test_region().await;
    for record in s3::read(notification()).unwrap() {
        let created = record.content.unwrap();
        if let EventNotification::Complete(object) = created.notification {
            let granted = grant(CAFE, object.created_at.plus(Duration::from_mins(5)));
            region.record_grant(object.created_at, granted).await;
            region.objects.put_in(&created.bucket, &object);
        }
    }
    region
}

#[tokio::test]
async fn an_upload_is_recorded_once_from_repeated_notifications_of_both_formats() {
    let region = with_uploads().await;
    let function = uploads(&region);
    for event in [notification(), notification(), eventbridge()] {
        let done = function.handle(event.clone()).await.unwrap();
        assert_eq!(done.counts, handled(if event.get("Records").is_some() { 3 } else { 1 }));
        let video = region.video(CAFE).await;
        // Two grants and two uploads.
        assert_eq!((video.generation, video.version), (2, 4));
        assert_eq!(video.sequencer.as_deref(), Some("0055AED6DCD90281E5FF"));
        let version_id = video.upload.unwrap().version_id;
        assert_eq!(version_id.as_deref(), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
    }
    assert_eq!(region.video("copied.mp4").await.version, 0, "there is no such object");
    assert_eq!(region.video("old.mp4").await.version, 0, "it was removed, not created");
}

#[tokio::test]
async fn events_of_other_objects_are_ignored() {
    let region = test_region().await;
    let before = region.log.scan_to_end().await.unwrap();
    let mut foreign = eventbridge();
    foreign["detail"]["bucket"]["name"] = json!("another-bucket");
    let mut stray = eventbridge();
    stray["detail"]["object"]["key"] = json!("stray.mp4");
    let test = payload(include_str!("../payloads/s3_test_event.json"));
    for event in [foreign, stray, test] {
        assert_eq!(uploads(&region).handle(event).await.unwrap().counts, handled(0));
    }
    assert_eq!(region.log.scan_to_end().await.unwrap(), before);
    assert!(region.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn an_upload_is_retried_while_the_log_is_unavailable_and_an_unreadable_one_becomes_a_dead_letter() {
    let region = with_uploads().await;
    let mut recent = eventbridge();
    recent["time"] = json!("2027-01-15T08:00:00Z");
    let unavailable = Uploads { log: Arc::new(UnavailableLog), ..uploads(&region) };
    let error = unavailable.handle(recent).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 1 uploads could not be recorded");
    assert!(region.dead_letters.kept().is_empty());
    let mut poison = notification();
    poison["Records"][0]["s3"]["object"]["key"] = json!("projects/acme/%FF.mp4");
    let done = uploads(&region).handle(poison).await.unwrap();
    assert_eq!((done.counts.handled, done.counts.dead_lettered), (2, 1));
    let [dead_letter] = &region.dead_letters.kept()[..] else { panic!("one dead letter") };
    assert!(dead_letter.payload.contains("%FF") && dead_letter.function == "uploads");
    assert_eq!(region.video(CAFE).await.generation, 1, "the other records are handled");
}
