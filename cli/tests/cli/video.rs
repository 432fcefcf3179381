use serde_json::{Value, json};

use crate::fake_server::FakeServer;
use crate::run::{Run, client, run};

const VIDEO: &str = "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A status view with this state.
pub(crate) fn view(state: &str, generation: u32, version: u64) -> Value {
    let mut view = json!({
        "videoId": VIDEO, "projectId": "acme", "s3Key": "projects/acme/clip.mp4", "state": state,
        "progress": if state == "ready" { 100 } else { 40 }, "generation": generation, "attempt": 1,
        "createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:05:05.000Z", "version": version,
        "somethingNew": {"a": 1},
    });
    if state == "ready" {
        view["metadata"] = json!({"lesson": "3"});
        view["source"] = json!({
            "durationSeconds": 5.28, "width": 1280, "height": 720, "rotation": 0, "frameRate": 25.0,
            "videoCodec": "h264", "audioCodec": "aac", "bytes": 1_055_736,
        });
        view["outputs"] = json!({
            "mp4Key": "processed/acme/clip.mp4", "hlsKey": "processed/acme/clip.mp4.hls/master.m3u8",
            "posterKey": "processed/acme/clip.mp4.images/poster.jpg",
            "renditions": [
                {"width": 1280, "height": 720, "bandwidth": 2_500_123, "codecs": "avc1.64001f,mp4a.40.2"},
                {"width": 640, "height": 360, "bandwidth": 800_000, "codecs": "avc1.64001e,mp4a.40.2"},
            ],
        });
    }
    if state == "errored" {
        view["error"] = json!({"code": "not_media", "message": "The file is not a media file; upload a video.", "retryable": false});
    }
    view
}

pub(crate) async fn call(server: &FakeServer, arguments: &[&str]) -> Run {
    let state = tempfile::tempdir().unwrap();
    run(client(server, state.path(), arguments)).await
}

#[tokio::test]
async fn a_video_is_shown_as_text_and_as_the_apis_json() {
    let server = FakeServer::start().await;
    server.state().views.insert(VIDEO.to_owned(), [view("ready", 1, 9)].into());
    insta::assert_snapshot!(call(&server, &["video", "show", VIDEO]).await.ok().stdout, @r"
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
    ");
    assert_eq!(call(&server, &["video", "show", VIDEO, "--json"]).await.ok().json(), view("ready", 1, 9));
}

#[tokio::test]
async fn a_video_is_shown_by_its_source_key_at_an_earlier_time() {
    let server = FakeServer::start().await;
    let id = "vid_tbkj5m62dvafwldlqbvftya3f3";
    server.state().views.insert(id.to_owned(), [view("errored", 1, 9)].into());
    let key = "projects/acme/films/clip.mp4";
    let run = call(&server, &["video", "show", key, "--as-of", "2026-01-02T04:04:05+01:00"]).await.ok();
    insta::assert_snapshot!(run.stdout, @r"
    Video:      vid_aaaaaaaaaaaaaaaaaaaaaaaaaa
    State:      errored
    Error:      The file is not a media file; upload a video (not_media)
    Source key: projects/acme/clip.mp4
    Upload:     generation 1, attempt 1
    Created:    2026-01-02T03:04:05.000Z
    Updated:    2026-01-02T03:05:05.000Z
    ");
    insta::assert_snapshot!(server.requests("GET ")[0].target, @"/videos/vid_tbkj5m62dvafwldlqbvftya3f3?asOf=2026-01-02T03%3A04%3A05.000Z");
}

#[tokio::test]
async fn a_video_without_an_upload_shows_until_when_it_can_be_uploaded() {
    let server = FakeServer::start().await;
    let mut waiting = view("waiting", 0, 1);
    waiting["expiresAt"] = "2026-01-02T04:04:05.000Z".into();
    server.state().views.insert(VIDEO.to_owned(), [waiting].into());
    let run = call(&server, &["video", "show", VIDEO]).await.ok();
    assert!(run.stdout.contains("Upload by:  2026-01-02T04:04:05.000Z"), "{run:?}");
}

#[tokio::test]
async fn a_video_shows_what_is_missing_of_its_source() {
    let server = FakeServer::start().await;
    let mut shorter = view("ready", 1, 9);
    shorter["source"] = json!({
        "durationSeconds": 1.9, "rotation": 0, "bytes": 100,
        "warnings": [{ "code": "truncated", "message": "A part of the file is missing." }]
    });
    server.state().views.insert(VIDEO.to_owned(), [shorter].into());
    let run = call(&server, &["video", "show", VIDEO]).await.ok();
    assert!(run.stdout.contains("Warning:    A part of the file is missing (truncated)"), "{run:?}");
}

#[tokio::test]
async fn videos_are_a_table_with_a_cursor_for_more() {
    let server = FakeServer::start().await;
    let mut hostile = view("waiting", 0, 1);
    hostile["s3Key"] = "projects/acme/\u{1b}[2J.mp4".into();
    server.state().list = vec![json!([view("ready", 1, 9), view("processing", 2, 7)]), json!([hostile])];
    let first = call(&server, &["video", "list", "--state", "ready", "--limit", "2"]).await.ok();
    insta::assert_snapshot!(first.stdout, @r"
    VIDEO                           STATE            CREATED                   SOURCE KEY
    vid_aaaaaaaaaaaaaaaaaaaaaaaaaa  ready            2026-01-02T03:04:05.000Z  projects/acme/clip.mp4
    vid_aaaaaaaaaaaaaaaaaaaaaaaaaa  processing 40 %  2026-01-02T03:04:05.000Z  projects/acme/clip.mp4

    There are more: use --after 1 or --all
    ");
    let quiet = call(&server, &["video", "list", "--state", "ready", "--limit", "2", "--quiet"]).await.ok();
    assert_eq!(quiet.stdout.trim_end(), first.stdout.split_once("\n\n").unwrap().0);
    insta::assert_snapshot!(server.requests("GET ")[0].target, @"/videos?state=ready&limit=2");
    insta::assert_snapshot!(call(&server, &["video", "list", "--after", "1"]).await.ok().stdout, @r"
    VIDEO                           STATE    CREATED                   SOURCE KEY
    vid_aaaaaaaaaaaaaaaaaaaaaaaaaa  waiting  2026-01-02T03:04:05.000Z  projects/acme/\u{1b}[2J.mp4
    ");
}

#[tokio::test]
async fn with_all_the_pages_are_one_value() {
    let server = FakeServer::start().await;
    server.state().list = (1..=3).map(|generation| json!([view("ready", generation, 9)])).collect();
    let all = call(&server, &["video", "list", "--all", "--json"]).await.ok().json();
    let generations: Vec<_> =
        all["data"].as_array().unwrap().iter().map(|video| &video["generation"]).collect();
    assert_eq!((generations, &all["nextCursor"]), (vec![&json!(1), &json!(2), &json!(3)], &Value::Null));
    assert_eq!(server.requests("GET /videos?limit=100").len(), 3);
}

#[tokio::test]
async fn an_empty_list_names_the_command_to_upload() {
    let server = FakeServer::start().await;
    insta::assert_snapshot!(call(&server, &["video", "list"]).await.ok().stdout, @"There are no videos yet. Upload one with `streamio upload FILE`.");
    assert_eq!(
        call(&server, &["video", "list", "--json"]).await.ok().json(),
        json!({"data": [], "nextCursor": null})
    );
}

#[tokio::test]
async fn videos_are_listed_by_state_prefix_and_metadata() {
    let server = FakeServer::start().await;
    let filters =
        ["--state", "ready", "--prefix", "cours\u{e9}s/", "--metadata", "lesson=3", "--metadata", "a-b=c&d"];
    let run = call(&server, &[&["video", "list"], &filters[..]].concat()).await.ok();
    insta::assert_snapshot!(server.requests("GET ")[0].target, @"/videos?state=ready&prefix=cours%C3%A9s%2F&metadata.lesson=3&metadata.a-b=c%26d");
    insta::assert_snapshot!(run.stdout, @"There are no such videos.");
    let wrong = call(&server, &["video", "list", "--state", "done"]).await;
    assert!(wrong.code == Some(2) && wrong.stderr.contains("must be one of waiting, "), "{wrong:?}");
}

#[tokio::test]
async fn metadata_is_set_and_removed() {
    let server = FakeServer::start().await;
    server.state().responses = [(format!("PATCH /videos/{VIDEO}"), view("ready", 1, 10))].into();
    let changes = ["--metadata", "lesson=3", "--metadata", "note=a=b", "--remove-metadata", "draft"];
    let run = call(&server, &[&["video", "update", VIDEO], &changes[..]].concat()).await.ok();
    assert!(run.stdout.contains("Metadata:   lesson=3"), "{run:?}");
    let request = &server.requests("PATCH ")[0];
    assert_eq!(request.json(), json!({"metadata": {"lesson": "3", "note": "a=b", "draft": null}}));
    assert_eq!(request.headers["idempotency-key"].len(), 32);
    let json = call(&server, &["video", "update", VIDEO, "--metadata", "a=b", "--json"]).await.ok();
    assert_eq!(json.json(), view("ready", 1, 10));
    for invalid in [&["video", "update", VIDEO][..], &["video", "update", VIDEO, "--metadata", "=b"]] {
        assert_eq!(call(&server, invalid).await.code, Some(2));
    }
    let both = ["video", "update", VIDEO, "--metadata", "a=b", "--remove-metadata", "a"];
    insta::assert_snapshot!(call(&server, &both).await.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: the metadata a is both set and removed; name it with --metadata or with --remove-metadata
    ");
    assert_eq!(server.requests("PATCH ").len(), 2);
}

#[tokio::test]
async fn events_are_one_line_each() {
    let server = FakeServer::start().await;
    let event = |version, kind: &str, data: Value| {
        json!({"specversion": "1.0", "id": format!("video/acme/{VIDEO}/{version}"), "source": "/projects/acme",
            "type": kind, "time": "2026-01-02T03:04:05.000Z", "streamversion": version, "data": data})
    };
    server.state().events = vec![
        event(
            1,
            "upload.completed",
            json!({"generation": 1, "bytes": 12, "etag": "e", "s3Key": "projects/acme/clip.mp4"}),
        ),
        event(
            2,
            "video.errored",
            json!({"generation": 1, "error": {"code": "not_media", "message": "Not a media file."}}),
        ),
    ];
    let run = call(&server, &["video", "events", VIDEO]).await.ok();
    insta::assert_snapshot!(run.stdout, @r"
    #  TIME                      EVENT             DATA
    1  2026-01-02T03:04:05.000Z  upload.completed  bytes=12 etag=e generation=1 s3Key=projects/acme/clip.mp4
    2  2026-01-02T03:04:05.000Z  video.errored     error=Not a media file. generation=1
    ");
}

#[tokio::test]
async fn deleting_and_reprocessing_carry_an_idempotency_key() {
    let server = FakeServer::start().await;
    let responses = [
        (format!("DELETE /videos/{VIDEO}"), view("deleted", 1, 10)),
        (format!("POST /videos/{VIDEO}/reprocess"), view("uploaded", 2, 11)),
    ];
    server.state().responses = responses.into();
    insta::assert_snapshot!(call(&server, &["video", "delete", VIDEO, "--yes"]).await.ok().stdout, @"Deleted vid_aaaaaaaaaaaaaaaaaaaaaaaaaa; its files are being removed");
    insta::assert_snapshot!(call(&server, &["video", "reprocess", VIDEO]).await.ok().stdout, @"Processing vid_aaaaaaaaaaaaaaaaaaaaaaaaaa again: see `streamio video show vid_aaaaaaaaaaaaaaaaaaaaaaaaaa`");
    let deleted = call(&server, &["video", "delete", VIDEO, "--yes", "--json"]).await.ok();
    assert_eq!(deleted.json()["state"], "deleted");
    let keys: Vec<_> =
        server.requests("").iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert!(keys.iter().all(|key| key.len() == 32) && keys[0] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn a_name_that_is_neither_an_id_nor_a_source_key_is_refused_with_both_forms() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    for name in ["clip.mp4", "films/clip.mp4", "vid_1"] {
        let run = run(client(&server, state.path(), &["video", "show", name])).await;
        assert_eq!(run.code, Some(2), "{run:?}");
        let expected = format!(
            "error: invalid value '{name}' for '<VIDEO>': must be a source key (projects/PROJECT/clip.mp4) or a video id "
        );
        assert!(run.stderr.starts_with(&expected), "{run:?}");
    }
    assert!(server.requests("").is_empty());
}
