//! Errors of the home region, and responses that cannot be used.

use streamio_edge::ports::Clock as _;
use streamio_events::home::{
    FeedPage, Home as _, HomeError, HomeReply, HomeResult, MAX_REPLY_BYTES, Page, ReplyError, VideoFilter,
};
use streamio_events::id::VideoId;
use streamio_events::metadata::MetadataPatch;
use streamio_events::retryable::Retryable as _;

use crate::scripted_region::{TestClient, acme, chain, commanded, commit, film, ok, raw, reply, status};

#[tokio::test]
async fn refusals_of_the_home_region_are_returned_as_errors_of_the_port() {
    let test = TestClient::new();
    let reason = "the video is deleted; upload it again".to_owned();
    test.script([
        reply(&HomeReply::Error(ReplyError::Conflict { text: reason.clone() })),
        reply(&HomeReply::Error(ReplyError::NotFound)),
        reply(&HomeReply::Error(ReplyError::KeyReused)),
        reply(&HomeReply::Error(ReplyError::InvalidCursor)),
        reply(&HomeReply::Error(ReplyError::NotFound)),
    ]);
    let conflict = test.client.reprocess_video(&acme(), &film(), &commit()).await;
    assert!(matches!(conflict, Err(HomeError::Conflict { text: reported }) if reported == reason));
    let missing = test.client.delete_video(&acme(), &film(), &commit()).await;
    assert!(matches!(missing, Err(HomeError::NotFound)));
    let reused = test.client.update_video(&acme(), &film(), &commit(), &MetadataPatch::default()).await;
    assert!(matches!(reused, Err(HomeError::KeyReused)));
    let cursor = test.client.feed(&acme(), Some("x"), 5).await.unwrap_err();
    assert_eq!(chain(&cursor), "not a cursor of this list");
    let odd = test.client.feed(&acme(), None, 5).await.unwrap_err();
    assert!(
        chain(&odd)
            .ends_with("the error belongs to another call: the project has no such video, webhook or tile"),
        "{odd:?}"
    );
}

#[tokio::test]
async fn a_response_that_does_not_belong_to_the_call_is_an_error() {
    let test = TestClient::new();
    let large = format!(r#"{{"ok":{{"video":null}}}}{}"#, " ".repeat(MAX_REPLY_BYTES));
    for (response, reported) in [
        (
            raw(200, ""),
            "the home region's response cannot be used: EOF while parsing a value at line 1 column 0",
        ),
        (raw(200, "<html>"), "the home region's response cannot be used: expected value at line 1 column 1"),
        (
            raw(200, &large),
            "the home region's response cannot be used: it has 524309 bytes, more than 524288",
        ),
        (
            ok(HomeResult::Recalled(None)),
            "the home region's response cannot be used: `recalled` is the result of another call",
        ),
        (
            raw(403, r#"{"Message":"Credential=AKIDEXAMPLE is not authorized"}"#),
            "the home region refused the call with 403 Forbidden: the response is not the home region's own",
        ),
        (
            raw(403, r#"{"error":{"kind":"refused","text":"sign it"}}"#),
            "the home region refused the call with 403 Forbidden: sign it",
        ),
        (
            raw(302, ""),
            "the home region refused the call with 302 Found: the response is not the home region's own",
        ),
    ] {
        test.script([response]);
        let error = test.client.video(&acme(), &film()).await.unwrap_err();
        assert_eq!(chain(&error), format!("the home region cannot serve the call: {reported}"));
        assert!(!error.is_retryable());
        assert_eq!(test.count_requests(), 1);
    }
}

/// A fault of the home region must not show a project another one's videos.
#[tokio::test]
async fn a_response_about_another_project_or_video_is_an_error() {
    let test = TestClient::new();
    let mut other_project = status(1);
    other_project.project_id = "globex".parse().unwrap();
    let mut other_video = status(1);
    other_video.video_id = VideoId::of(&"projects/acme/other".parse().unwrap());
    for foreign in [other_project.clone(), other_video] {
        test.script([
            ok(HomeResult::Video(Some(foreign.clone()))),
            ok(HomeResult::Video(Some(foreign.clone()))),
            ok(HomeResult::Command(commanded(foreign.clone()))),
        ]);
        let (at, reason) = (test.clock.now(), "it is about another project or video than requested");
        assert!(chain(&test.client.video(&acme(), &film()).await.unwrap_err()).ends_with(reason));
        assert!(chain(&test.client.video_as_of(&acme(), &film(), at).await.unwrap_err()).ends_with(reason));
        assert!(
            chain(&test.client.delete_video(&acme(), &film(), &commit()).await.unwrap_err())
                .ends_with(reason)
        );
    }
    let event = |project: &str| {
        let value = serde_json::json!({
            "specversion": "1.0", "id": format!("video/{project}/{}/1", film()), "source": format!("/projects/{project}"),
            "type": "video.deleted", "time": "2026-01-02T03:04:05Z", "recordedtime": "2026-01-02T03:04:05Z",
            "streamversion": 1, "dataversion": 1,
        });
        Page { data: vec![serde_json::from_value(value).unwrap()], next: None }
    };
    let feed = |project: &str| FeedPage { data: event(project).data, position: None, more: false };
    test.script([
        ok(HomeResult::Videos(Page { data: vec![status(1), other_project], next: None })),
        ok(HomeResult::Feed(feed("globex"))),
        ok(HomeResult::VideoEvents(Some(event("globex")))),
        ok(HomeResult::Feed(feed("acme"))),
        ok(HomeResult::VideoEvents(Some(event("acme")))),
    ]);
    let filter = VideoFilter::default();
    assert!(test.client.list_videos(&acme(), &filter, None, 5).await.is_err());
    assert!(test.client.feed(&acme(), None, 5).await.is_err());
    assert!(test.client.video_events(&acme(), &film(), None, 5).await.is_err());
    assert_eq!(test.client.feed(&acme(), None, 5).await.unwrap().data.len(), 1);
    let events = test.client.video_events(&acme(), &film(), None, 5).await.unwrap();
    assert_eq!(events.unwrap().data.len(), 1);
}
