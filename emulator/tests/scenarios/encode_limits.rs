//! Projects whose concurrent encodes are limited.

use serde_json::{Value, json};
use streamio_core::ports::encode_slots::EncodeSlots as _;
use streamio_emulator::cloud::NewKey;
use streamio_emulator::fault_proxy::Fault;
use streamio_emulator::lambda;
use streamio_events::event::EventBody;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::TestCloud;

/// A cloud in which each project may have one encode at a time.
async fn cloud_with_one_encode() -> TestCloud {
    let limits = json!({ "concurrentEncodes": 1 });
    TestCloud::start_with(|config| config.with_policy("projectLimits", limits)).await
}

/// The times at which attempts of a project started, and at which they were published, in the order in which they started.
async fn encodes(cloud: &TestCloud, project_id: &ProjectId) -> Vec<(Timestamp, Option<Timestamp>)> {
    let mut encodes = Vec::new();
    let mut commits = cloud.log().scan_to_end().await.unwrap();
    commits.retain(|commit| commit.stream.project_id() == project_id);
    for commit in &commits {
        for event in &commit.events {
            let Ok(EventBody::ProcessingStarted(started)) = event.body() else { continue };
            let is_ready = |body: EventBody| {
                matches!(body, EventBody::VideoReady(ready)
                    if (ready.generation, ready.attempt) == (started.generation, started.attempt))
            };
            let of_video = commits.iter().filter(|it| it.stream == commit.stream).flat_map(|it| &it.events);
            let ready = of_video.filter(|it| it.body().is_ok_and(is_ready)).map(|it| it.at).next();
            encodes.push((event.at, ready));
        }
    }
    encodes.sort_unstable();
    encodes
}

/// Checks that a project had `expected` encodes, each after the one before was published.
async fn assert_one_after_another(cloud: &TestCloud, project_id: &ProjectId, expected: usize) {
    let encodes = encodes(cloud, project_id).await;
    assert_eq!(encodes.len(), expected, "{encodes:?}");
    for pair in encodes.windows(2) {
        assert!(pair[0].1.is_some_and(|published| published <= pair[1].0), "two at once: {encodes:?}");
    }
}

/// Uploads a clip with the key of another project. Returns the video's id.
async fn upload_to(cloud: &TestCloud, key: &NewKey) -> VideoId {
    let request = cloud.http.post(format!("{}/upload-url", cloud.api()));
    let request = request.header("x-api-key", key.api_key.reveal()).json(&json!({ "filename": "clip.mp4" }));
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let grant: Value = response.json().await.unwrap();
    cloud.put_object(&grant, clip()).await;
    grant["videoId"].as_str().unwrap().parse().unwrap()
}

async fn has_event(cloud: &TestCloud, stream: &StreamId, kind: &str) -> bool {
    let commits = cloud.log().read_to_end(stream, 1).await.unwrap();
    commits.iter().flat_map(|commit| &commit.events).any(|event| event.kind == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_never_has_more_encodes_than_its_limit_and_holds_up_no_other() {
    let cloud = cloud_with_one_encode().await;
    let other = cloud.create_project("other").await.unwrap();
    cloud.gate.close();
    let mut videos = Vec::new();
    for number in 0..3 {
        videos.push(cloud.upload(&format!("clip-{number}.mp4"), clip()).await);
    }
    cloud
        .wait_until("one attempt has started and two wait", async || {
            let queue = cloud.views().queue(&cloud.project_id, 10).await.unwrap();
            queue.len() == 2 && encodes(&cloud, &cloud.project_id).await.len() == 1
        })
        .await;
    // The other project's attempt starts while those of this one wait.
    let video_id = upload_to(&cloud, &other).await;
    let stream = StreamId::Video(other.project_id.clone(), video_id);
    cloud
        .wait_until("the other project's attempt has started", async || {
            has_event(&cloud, &stream, "processing.started").await
        })
        .await;
    assert_eq!(encodes(&cloud, &cloud.project_id).await.len(), 1);
    cloud.gate.open();
    for video_id in &videos {
        let status = cloud.wait_until_ready(video_id, 1).await;
        assert_eq!(status["attempt"], 1, "{status}");
        play(&cloud, &status).await;
    }
    cloud
        .wait_until("the other project's video is ready", async || {
            has_event(&cloud, &stream, "video.ready").await
        })
        .await;
    assert_one_after_another(&cloud, &cloud.project_id, 3).await;
    for project_id in [&cloud.project_id, &other.project_id] {
        cloud
            .wait_until("all slots are free", async || {
                let (slots, views) = (cloud.views().holders(project_id).await.unwrap(), cloud.views());
                slots.is_empty() && views.queue(project_id, 1).await.unwrap().is_empty()
            })
            .await;
    }
    let request = cloud.http.get(format!("{}/usage", cloud.api()));
    let (code, usage) = cloud.send_request(request).await;
    assert_eq!((code, &usage["limits"]["concurrentEncodes"]), (200, &json!(1)), "{usage}");
    cloud.finish().await;
}

/// The function that took the slot for an attempt ends before it has launched the worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_crashes_between_taking_a_slot_and_launching_loses_neither() {
    let cloud = cloud_with_one_encode().await;
    let launches = cloud.ecs_proxy().inject("RunTask", "", 1000, Fault::Refuse);
    let is_upload = |event: &Value| event.to_string().contains("upload.completed");
    cloud.functions().fail_when("react", lambda::Fault::CrashBeforeResponse, 1, is_upload).unwrap();
    let first = cloud.upload("first.mp4", clip()).await;
    cloud
        .wait_until("the first attempt has a slot and no worker", async || {
            let holders = cloud.views().holders(&cloud.project_id).await.unwrap();
            let has_crashed = cloud.functions().faults_left("react").unwrap() == 0;
            has_crashed && launches.hits() > 0 && holders.iter().any(|it| it.video_id.as_str() == first)
        })
        .await;
    assert!(cloud.ecs().tasks().is_empty());
    let second = cloud.upload("second.mp4", clip()).await;
    cloud
        .wait_until("the second attempt waits", async || {
            cloud.views().queue(&cloud.project_id, 10).await.unwrap().len() == 1
        })
        .await;
    launches.cancel();
    for video_id in [&first, &second] {
        cloud.wait_until_ready(video_id, 1).await;
    }
    assert_one_after_another(&cloud, &cloud.project_id, 2).await;
    cloud.finish().await;
}
