use serde_json::{Value, json};

use crate::fake::{Fake, Fault, problem, store};
use crate::run::settled;
use crate::upload::{Place, upload};
use crate::video::view;

const CONTENT: &[u8] = b"hello video";
/// The id of `projects/acme/clip.mp4`.
fn id() -> String {
    let key: streamio_events::object_key::SourceKey = "projects/acme/clip.mp4".parse().unwrap();
    streamio_events::id::VideoId::of(&key).to_string()
}

fn completed(version: u64, generation: u32, etag: &str) -> Value {
    json!({"type": "upload.completed", "streamversion": version, "data": {"generation": generation, "etag": etag}})
}

fn own_etag() -> String {
    store::etag(CONTENT).trim_matches('"').to_owned()
}

#[tokio::test]
async fn waiting_ends_when_the_video_can_be_played() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    {
        let mut state = fake.state();
        state.views_after_upload =
            [view("waiting", 0, 1), view("uploaded", 1, 2), view("processing", 1, 4), view("ready", 1, 9)]
                .into();
        state.events = vec![completed(2, 1, &own_etag())];
    }
    let run = upload(&fake, &place, &["--wait"]).await.ok();
    insta::assert_snapshot!(settled(&run.transcript(), &[]), @r"
    exit 0
    --- stdout
    Video:      vid_aaaaaaaaaaaaaaaaaaaaaaaaaa
    State:      ready
    Source key: projects/acme/clip.mp4
    Source:     5.3 s, 1280x720, 25 fps, h264, aac, 1.01 MiB
    Renditions: 720p (2500 kbit/s), 360p (800 kbit/s)
    HLS key:    processed/acme/clip.mp4.hls/master.m3u8
    MP4 key:    processed/acme/clip.mp4
    Poster key: processed/acme/clip.mp4.images/poster.jpg
    Metadata:   lesson=3
    Upload:     generation 1, attempt 1
    Created:    2026-01-02T03:04:05.000Z
    Updated:    2026-01-02T03:05:05.000Z
    --- stderr
    Uploading clip.mp4: 100 % (11 B of 11 B)
    Uploaded clip.mp4 (11 B in N s) as vid_vzupqv3n6bto4qbxksyw62q3re
    Processing clip.mp4: 40 %
    Processing clip.mp4: 100 %

    Play it: streamio playback-url 'processed/acme/clip.mp4.hls/master.m3u8'
    ");
}

#[tokio::test]
async fn programs_get_the_status_view_alone() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [view("ready", 1, 9)].into();
    fake.state().events = vec![completed(2, 1, &own_etag())];
    assert_eq!(upload(&fake, &place, &["--wait", "--json"]).await.ok().json(), view("ready", 1, 9));
}

#[tokio::test]
async fn what_an_earlier_upload_became_is_not_taken_for_this_one() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    {
        let mut state = fake.state();
        state.views.insert(id(), [view("ready", 1, 9)].into());
        // The view lags behind, then shows an upload of somebody else, then this one.
        state.views_after_upload =
            [view("ready", 1, 9), view("ready", 2, 15), view("processing", 3, 18), view("ready", 3, 20)]
                .into();
        let of_others = vec![completed(2, 1, &own_etag()), completed(11, 2, "another")];
        state.events = [of_others.clone(), vec![completed(16, 3, &own_etag())]].concat();
        state.earlier_events = [of_others].into();
    }
    let run = upload(&fake, &place, &["--wait", "--json"]).await.ok();
    assert_eq!(run.json()["generation"], 3);
}

#[tokio::test]
async fn a_video_that_cannot_be_made_is_exit_code_6_with_its_reason() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [view("processing", 1, 4), view("errored", 1, 6)].into();
    fake.state().events = vec![completed(2, 1, &own_etag())];
    let run = upload(&fake, &place, &["--wait", "--json", "--quiet"]).await;
    assert_eq!((run.code, &run.json()["state"]), (Some(6), &json!("errored")));
    insta::assert_json_snapshot!(run.error(), @r#"
    {
      "code": "not_media",
      "exitCode": 6,
      "kind": "video_errored",
      "message": "no video could be made of the upload: The file is not a media file; upload a video (not_media)",
      "retryable": false,
      "videoId": "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa"
    }
    "#);
}

#[tokio::test]
async fn an_upload_that_is_rejected_beside_an_older_video_is_noticed() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    {
        let mut state = fake.state();
        state.views.insert(id(), [view("ready", 1, 9)].into());
        state.views_after_upload = [view("ready", 1, 9), view("ready", 1, 11)].into();
        let error = json!({"code": "too_large", "message": "The file is too large.", "retryable": false});
        state.events = vec![
            json!({"type": "upload.rejected", "streamversion": 11, "data": {"etag": own_etag(), "error": error}}),
        ];
    }
    let run = upload(&fake, &place, &["--wait", "--json"]).await;
    assert_eq!((run.code, &run.error()["code"]), (Some(6), &json!("too_large")));
}

#[tokio::test]
async fn an_outage_while_waiting_is_waited_out() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [view("processing", 1, 4), view("ready", 1, 9)].into();
    fake.state().events = vec![completed(2, 1, &own_etag())];
    let busy = problem(503, "unavailable", "The service cannot do this right now", "Try again.", None);
    fake.fault(&format!("GET /videos/{}/events", id()), [Fault::CutBefore, busy.clone()]);
    upload(&fake, &place, &["--wait"]).await.ok();
}

#[tokio::test]
async fn a_limit_on_waiting_is_exit_code_5_and_the_upload_stays() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [view("processing", 1, 4)].into();
    fake.state().events = vec![completed(2, 1, &own_etag())];
    let run = upload(&fake, &place, &["--wait", "--wait-timeout", "1ms", "--quiet"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 5
    --- stdout
    --- stderr
    error: the video is not done within --wait-timeout; look again with `streamio video show vid_vzupqv3n6bto4qbxksyw62q3re`
    ");
}

#[tokio::test]
async fn a_key_that_may_not_read_is_told_before_anything_is_sent() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let denied =
        problem(403, "missing-scope", "The API key may not do this", "It lacks the scope `read`.", None);
    fake.fault("GET /videos/", [denied.clone()]);
    assert_eq!(upload(&fake, &place, &["--wait"]).await.code, Some(4));
    assert!(fake.seen("PUT ").is_empty());
    fake.fault("GET /videos/", [denied]);
    upload(&fake, &place, &[]).await.ok();
}

#[tokio::test]
async fn ctrl_c_while_waiting_says_that_the_file_is_stored() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [view("processing", 1, 4)].into();
    fake.state().events = vec![completed(2, 1, &own_etag())];
    let hold = std::sync::Arc::new(crate::fake::Hold::default());
    fake.fault(&format!("GET /videos/{}/events", id()), [Fault::Hold(hold.clone())]);
    let child = crate::run::start(crate::upload::command(&fake, &place, &["--wait", "--quiet"]));
    hold.reached.notified().await;
    crate::upload::interrupt(&child);
    insta::assert_snapshot!(crate::run::finish(child).await.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: the file is stored and its processing goes on; see `streamio video show vid_vzupqv3n6bto4qbxksyw62q3re`
    ");
}
