//! A clip whose bucket keeps versions, in a region where a grant is in the log before its URL is returned.

use std::time::Duration;

use streamio_core::testing::{TestRegion, version};
use streamio_core::uploads::{CreatedObject, Received};
use streamio_events::video::VideoState;

pub(crate) const CLIP: &str = "clip.mp4";

/// A region with a project, in which a grant is in the log before its URL is returned.
pub(crate) async fn region() -> TestRegion {
    let mut region = TestRegion::with_project().await;
    region.policy.grant_wait = Duration::ZERO;
    region.policy.clock_tolerance = Duration::ZERO;
    region
}

/// The version of the clip with this sequencer, created now and stored.
pub(crate) fn stored(region: &TestRegion, sequencer: &str) -> CreatedObject {
    let object = CreatedObject { created_at: region.now, ..version(CLIP, sequencer) };
    region.objects.put_object(&object);
    object
}

pub(crate) fn rejected(received: &Received) -> &str {
    match received {
        Received::Rejected(_, error) => &error.code,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn state(region: &TestRegion) -> VideoState {
    region.video(CLIP).await.status().unwrap().state
}

/// The clip was uploaded and is ready.
pub(crate) async fn ready() -> TestRegion {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    let object = stored(&region, "01");
    region.receive_only(object).await;
    let job = region.start(CLIP).await;
    assert_eq!(job.version_id.as_deref(), Some("v-01"));
    region.publish(&job).await;
    region.wait(Duration::from_secs(10));
    region
}
