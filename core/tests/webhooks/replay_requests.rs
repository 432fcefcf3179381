//! Requests for jobs that send messages again: repeated ones, and those that are not valid.

use streamio_events::home::{HomeError, WebhookCall};
use streamio_events::webhook::replay::{FeedBound, ReplayKind, ReplayRequest, ReplayState};

use crate::harness::Harness;
use crate::replays::{URL, everything, request, run, status};

#[tokio::test]
async fn a_repeated_request_starts_no_second_job() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    let commit_id = harness.request();
    let call = |request| WebhookCall::StartReplay {
        webhook_id: webhook_id.clone(),
        commit_id: commit_id.clone(),
        request,
    };
    let first = status(harness.call(call(everything())).await);
    assert_eq!(status(harness.call(call(everything())).await), first);
    run(&mut harness, &webhook_id).await;
    let again = status(harness.call(call(everything())).await);
    assert_eq!((again.replay_id, again.state), (first.replay_id, ReplayState::Ended));
    let other = harness.call(call(request(ReplayKind::Replay, FeedBound::Seq(1)))).await;
    assert!(matches!(other, Err(HomeError::KeyReused)), "{other:?}");
}

#[tokio::test]
async fn invalid_requests_are_refused_with_the_field() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    let time = FeedBound::Time(harness.now());
    for (request, field) in [
        (ReplayRequest { rate: 0, ..everything() }, "rate"),
        (ReplayRequest { rate: 1001, ..everything() }, "rate"),
        (ReplayRequest { types: Some(vec![]), ..everything() }, "types"),
        (request(ReplayKind::Replay, FeedBound::Seq(1 << 53)), "from"),
        (ReplayRequest { to: Some(FeedBound::Seq(u64::MAX)), ..everything() }, "to"),
        (ReplayRequest { to: Some(FeedBound::Seq(0)), ..everything() }, "to"),
        (ReplayRequest { to: Some(time), ..request(ReplayKind::Replay, time) }, "to"),
    ] {
        let (webhook_id, commit_id) = (webhook_id.clone(), harness.request());
        let refused = harness.call(WebhookCall::StartReplay { webhook_id, commit_id, request }).await;
        assert!(matches!(&refused, Err(HomeError::Invalid { field: at, .. }) if at == field), "{refused:?}");
    }
}
