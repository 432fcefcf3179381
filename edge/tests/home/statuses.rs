//! Statuses of videos that the client keeps for a while.

use streamio_events::home::{Home as _, HomeError, HomeResult};

use crate::scripted_region::{TestClient, acme, commanded, commit, film, ok, raw, status, status_reply};

#[tokio::test]
async fn a_status_is_cached_for_two_seconds_from_the_request() {
    let test = TestClient::new();
    test.script([status_reply(1)]);
    assert_eq!(test.version().await, 1);
    test.advance(1999);
    assert_eq!(test.version().await, 1);
    assert_eq!(test.count_requests(), 1);
    test.advance(1);
    test.script([status_reply(2)]);
    assert_eq!(test.version().await, 2);
    assert_eq!(test.count_requests(), 1);

    // An older status from a region that lags is neither returned nor cached.
    test.advance(2000);
    test.script([status_reply(1), status_reply(3)]);
    assert_eq!(test.version().await, 2);
    assert_eq!(test.version().await, 3);
    assert_eq!(test.count_requests(), 2);
}

#[tokio::test]
async fn a_missing_video_is_not_cached_and_statuses_are_cached_by_project() {
    let test = TestClient::new();
    test.script([ok(HomeResult::Video(None)), status_reply(1), ok(HomeResult::Video(None))]);
    assert_eq!(test.client.video(&acme(), &film()).await.unwrap(), None);
    assert_eq!(test.version().await, 1);
    assert_eq!(test.client.video(&"globex".parse().unwrap(), &film()).await.unwrap(), None);
    assert_eq!(test.count_requests(), 3);
}

#[tokio::test]
async fn a_command_s_status_replaces_the_cached_one() {
    let test = TestClient::new();
    test.script([status_reply(1), ok(HomeResult::Command(commanded(status(2))))]);
    assert_eq!(test.version().await, 1);
    test.client.delete_video(&acme(), &film(), &commit()).await.unwrap();
    assert_eq!(test.version().await, 2);
    assert_eq!(test.count_requests(), 2);

    // After a failure with an unknown outcome the status is requested.
    for failure in [raw(500, ""), raw(200, "{"), ok(HomeResult::Tenant(None))] {
        test.script([failure, status_reply(3)]);
        let error = test.client.reprocess_video(&acme(), &film(), &commit()).await.unwrap_err();
        assert!(matches!(error, HomeError::Unavailable { .. } | HomeError::Failed { .. }), "{error:?}");
        assert_eq!(test.version().await, 3);
        assert_eq!(test.count_requests(), 2);
    }
}
