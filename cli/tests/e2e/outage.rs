//! An outage of the machine's part of processing: no video fails, and there is one alarm.

use std::time::Duration;

use serde_json::json;

use crate::clip;
use crate::harness::{TestPlatform, log};

/// The messages in the log when an outage begins and when it is over.
const MESSAGES: [&str; 2] = ["videos cannot be processed", "videos can be processed again"];

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_has_one_alarm_and_is_in_the_health() {
    let platform = TestPlatform::start().await;
    // No worker can make its folder where the scratch directory is a file.
    let scratch = platform.data().join("scratch");
    std::fs::remove_dir_all(&scratch).unwrap();
    std::fs::write(&scratch, "").unwrap();
    let clip = clip::video_with_audio(1, "96x54").await;
    let mut videos = Vec::new();
    for number in 0..4 {
        videos.push(platform.upload(&format!("{number}.mp4"), clip.clone()).await);
    }
    for video in &videos {
        platform.wait_for_event(video, "processing.interrupted").await;
    }
    let interrupted = json!({ "status": "ok", "processing": "interrupted" });
    let becomes_interrupted = async {
        while platform.get("/healthz").await != interrupted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), becomes_interrupted).await.expect("the health says it");

    std::fs::remove_file(&scratch).unwrap();
    std::fs::create_dir(&scratch).unwrap();
    for video in &videos {
        let ended = platform.wait_for_end(video, 1).await;
        assert_eq!(ended["state"], "ready", "{ended}");
    }
    assert_eq!(platform.get("/healthz").await, json!({ "status": "ok" }));
    let log = log(&platform.data());
    assert_eq!(MESSAGES.map(|message| log.matches(message).count()), [1, 1], "{log}");
}
