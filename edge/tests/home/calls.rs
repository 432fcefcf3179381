//! What the client sends, and when it sends it again.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use streamio_edge::home::{HomeClient, HomeConfig, InvalidHomeConfig, Service};
use streamio_edge::ports::Clock as _;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{ProjectCreated, RecordedEvent};
use streamio_events::home::{Home as _, HomeCall, HomeResult, Recorded};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use crate::scripted_region::{
    ManualClock, Next, ScriptedRegion, TestClient, acme, chain, commit, credentials, film, ok, raw,
    status_reply,
};

#[tokio::test]
async fn a_call_is_one_signed_post() {
    let mut config = HomeConfig::new("https://api.example:8443/prod/", "eu-west-1", credentials());
    config.service = Service::ExecuteApi;
    let test = TestClient::with(config);
    let key = ApiKey::generate("live", [7; 32]).unwrap().hash();
    test.script([ok(HomeResult::Tenant(None))]);
    assert_eq!(test.client.tenant(&key).await.unwrap(), None);
    let request = test.take_requests().remove(0);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://api.example:8443/prod/home");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.headers()["x-amz-date"], "20260102T030405Z");
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/execute-api/aws4_request, \
                    SignedHeaders=content-type;host;x-amz-date, Signature=";
    assert!(authorization.starts_with(expected), "{authorization}");
    assert_eq!(serde_json::from_slice::<HomeCall>(request.body()).unwrap(), HomeCall::Tenant { key });
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: fn(&mut HomeConfig)| {
        let mut config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
        change(&mut config);
        HomeClient::new(config, Arc::new(ScriptedRegion::default()), Arc::new(ManualClock::default()))
            .unwrap_err()
    };
    assert_eq!(refused(|it| it.base_url = "home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://u:p@home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://home.example?a".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.most_statuses = 0), InvalidHomeConfig::MostStatuses);
    assert!(matches!(refused(|it| it.region = "a/b".to_owned()), InvalidHomeConfig::Signing(_)));
}

#[tokio::test]
async fn a_call_without_a_response_is_sent_once_more_and_one_with_a_response_is_not() {
    let test = TestClient::new();
    test.script([Next::Lost, status_reply(1)]);
    assert_eq!(test.version().await, 1);
    let requests = test.take_requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body(), requests[1].body());

    test.advance(10_000);
    test.script([Next::Lost, Next::Lost]);
    let error = test.client.video(&acme(), &film()).await.unwrap_err();
    let reported = chain(&error);
    assert!(
        reported.starts_with("the home region is not available: the home region did not respond: ")
            && reported.ends_with(": connection reset"),
        "{reported}"
    );
    assert!(error.is_retryable());
    assert_eq!(test.count_requests(), 2);

    for (code, body) in [(500, ""), (502, "<html>"), (503, r#"{"error":{"kind":"unavailable"}}"#), (429, "")]
    {
        test.script([raw(code, body)]);
        let error = test.client.video(&acme(), &film()).await.unwrap_err();
        let status = StatusCode::from_u16(code).unwrap();
        let expected = format!("the home region is not available: the home region responded with {status}");
        assert_eq!((chain(&error), test.count_requests()), (expected, 1));
        assert!(error.is_retryable());
    }
}

/// The commit's id makes the second call safe.
#[tokio::test]
async fn a_fact_whose_response_was_lost_is_recorded_under_the_same_id() {
    let test = TestClient::new();
    let event = RecordedEvent::new(test.clock.now(), &ProjectCreated { name: None }.into());
    let new = NewCommit { id: commit(), events: vec![event.clone()], recorded_at: test.clock.now() };
    test.script([Next::Lost, ok(HomeResult::Recorded(Some(event.clone())))]);
    let recorded = test.client.record(&StreamId::Project(acme()), new).await.unwrap();
    assert_eq!(recorded, Recorded::Repeated(event));
    assert_eq!(test.count_requests(), 2);
}

#[tokio::test]
async fn debug_output_and_errors_hold_no_secret() {
    let test = TestClient::new();
    test.script([Next::Lost, Next::Lost]);
    let error = test.client.video(&acme(), &film()).await.unwrap_err();
    let config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
    let shown = format!("{:?} {error:?} {config:?}", test.client);
    assert!(!shown.contains("hidden") && !shown.contains("Signature"), "{shown}");
    assert_eq!(config.statuses_for, Duration::from_secs(2));
}
