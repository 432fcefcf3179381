//! Calls about endpoints.

use std::time::Duration;

use streamio_core::testing::notification;
use streamio_events::home::{HomeError, WebhookCall, WebhookResult};
use streamio_events::id::WebhookId;
use streamio_events::webhook::endpoint::EndpointChanges;
use streamio_events::webhook::exchange::ErrorClass;
use streamio_events::webhook::{DeliveryState, MessageType};

use crate::harness::{Harness, Reply};

const URL: &str = "https://hooks.example.com/a";

#[tokio::test]
async fn a_repeated_request_has_the_same_result_and_another_one_with_its_id_is_refused() {
    let mut harness = Harness::new().await;
    let commit_id = harness.request();
    let create = |url: &str| WebhookCall::Create {
        commit_id: commit_id.clone(),
        url: url.to_owned(),
        types: vec!["*".parse().unwrap()],
        description: None,
        rate_limit: None,
    };
    let first = harness.call(create(URL)).await.unwrap();
    assert_eq!(harness.call(create(URL)).await.unwrap(), first, "with the same secret");
    assert!(matches!(harness.call(create("https://other.example.com")).await, Err(HomeError::KeyReused)));
    let WebhookResult::Endpoints(all) = harness.call(WebhookCall::List).await.unwrap() else { panic!() };
    assert_eq!(all.len(), 1);

    let webhook_id = all[0].webhook_id.clone();
    let commit_id = harness.request();
    let rotate = |overlap_seconds| WebhookCall::RotateSecret {
        webhook_id: webhook_id.clone(),
        commit_id: commit_id.clone(),
        overlap_seconds,
    };
    let rotated = harness.call(rotate(3600)).await.unwrap();
    harness.wait(std::time::Duration::from_mins(1));
    let WebhookResult::Created(again) = harness.call(rotate(3600)).await.unwrap() else { panic!() };
    let WebhookResult::Created(rotated) = rotated else { panic!() };
    assert_eq!(again.secret, rotated.secret);
    let other = harness.call(rotate(3601)).await;
    assert!(matches!(other, Err(HomeError::KeyReused)), "another overlap: {other:?}");
}

#[tokio::test]
async fn a_repeated_test_or_resend_has_the_recorded_result_whatever_became_of_the_endpoint() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    let commit_id = harness.request();
    let test = || WebhookCall::Test {
        webhook_id: webhook_id.clone(),
        commit_id: commit_id.clone(),
        message_type: MessageType::VideoReady,
    };
    let WebhookResult::Delivery(tested) = harness.call(test()).await.unwrap() else { panic!() };
    harness.settle().await;
    let commit_id = harness.request();
    let resend = || WebhookCall::Resend {
        webhook_id: webhook_id.clone(),
        message_id: tested.message_id.clone(),
        commit_id: commit_id.clone(),
    };
    assert!(!harness.outcome(resend()).await.unwrap().repeated);
    assert!(harness.outcome(resend()).await.unwrap().repeated, "while the message is due");
    harness.settle().await;
    let changes = EndpointChanges { enabled: Some(false), ..EndpointChanges::default() };
    let disable =
        WebhookCall::Update { webhook_id: webhook_id.clone(), commit_id: harness.request(), changes };
    let remove = WebhookCall::Remove { webhook_id: webhook_id.clone(), commit_id: harness.request() };
    for change in [disable, remove] {
        harness.call(change).await.unwrap();
        for call in [test(), resend()] {
            let outcome = harness.outcome(call).await.unwrap();
            let WebhookResult::Delivery(delivery) = outcome.result else { panic!() };
            assert_eq!((delivery.message_id, outcome.repeated), (tested.message_id.clone(), true));
        }
    }
    harness.settle().await;
    assert_eq!(harness.received().len(), 2);
}

#[tokio::test]
async fn a_repeated_update_that_changed_nothing_does_not_undo_a_later_one() {
    let mut harness = Harness::new().await;
    let created = harness.endpoint(URL, &["*"]).await.endpoint;
    let update = |commit_id, url: &str| WebhookCall::Update {
        webhook_id: created.webhook_id.clone(),
        commit_id,
        changes: EndpointChanges { url: Some(url.to_owned()), ..EndpointChanges::default() },
    };
    let (first, second) = (harness.request(), harness.request());
    harness.wait(std::time::Duration::from_mins(1));
    let WebhookResult::Endpoint(unchanged) = harness.call(update(first.clone(), URL)).await.unwrap() else {
        panic!()
    };
    assert_eq!(unchanged.updated_at, created.updated_at, "nothing was changed");
    harness.call(update(second, "https://other.example.com/")).await.unwrap();
    let repeated = harness.outcome(update(first.clone(), URL)).await.unwrap();
    assert!(repeated.repeated);
    let WebhookResult::Endpoint(endpoint) = repeated.result else { panic!() };
    assert_eq!(endpoint.url, "https://other.example.com/");
    let other = harness.call(update(first, "https://third.example.com/")).await;
    assert!(matches!(other, Err(HomeError::KeyReused)), "{other:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_updated_to_a_hostile_url_is_refused_as_when_it_is_created() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    for url in [
        "http://hooks.example.com",
        "https://127.0.0.1",
        "https://[::1]/",
        "https://169.254.169.254/",
        "ftp://a",
    ] {
        let commit_id = harness.request();
        let changes = EndpointChanges { url: Some(url.to_owned()), ..EndpointChanges::default() };
        let update = WebhookCall::Update { webhook_id: webhook_id.clone(), commit_id, changes };
        let refused = harness.call(update).await;
        assert!(
            matches!(&refused, Err(HomeError::Invalid { field, .. }) if field == "url"),
            "{url}: {refused:?}"
        );
        let commit_id = harness.request();
        let create = WebhookCall::Create {
            commit_id,
            url: url.to_owned(),
            types: vec!["*".parse().unwrap()],
            description: None,
            rate_limit: None,
        };
        let refused = harness.call(create).await;
        let Err(HomeError::Invalid { text, .. }) = refused else { panic!("{url}: {refused:?}") };
        // The API writes the field's name before it.
        assert!(text.starts_with("cannot be used: the "), "{url}: {text}");
    }
}

#[tokio::test]
async fn invalid_settings_are_refused_with_their_field() {
    let mut harness = Harness::new().await;
    let create = |commit_id, types: &[&str], description: Option<String>, rate_limit| WebhookCall::Create {
        commit_id,
        url: URL.to_owned(),
        types: types.iter().map(|text| text.parse().unwrap()).collect(),
        description,
        rate_limit,
    };
    let long = "é".repeat(251);
    for (types, description, rate_limit, expected) in [
        (&[][..], None, None, "types"),
        (&["*"][..], Some(long), None, "description"),
        (&["*"][..], Some("a\nb".to_owned()), None, "description"),
        (&["*"][..], None, Some(10_001), "rateLimit"),
    ] {
        let commit_id = harness.request();
        let refused = harness.call(create(commit_id, types, description, rate_limit)).await;
        assert!(
            matches!(&refused, Err(HomeError::Invalid { field, .. }) if field == expected),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn an_empty_description_is_none_when_an_endpoint_is_created_as_when_it_is_updated() {
    let mut harness = Harness::new().await;
    let create = WebhookCall::Create {
        commit_id: harness.request(),
        url: URL.to_owned(),
        types: vec!["*".parse().unwrap()],
        description: Some(String::new()),
        rate_limit: Some(0),
    };
    let WebhookResult::Created(created) = harness.call(create).await.unwrap() else { panic!() };
    assert_eq!((created.endpoint.description, created.endpoint.rate_limit), (None, None));
    let change = async |harness: &mut Harness, text: &str| {
        let changes = EndpointChanges { description: Some(text.to_owned()), ..EndpointChanges::default() };
        let webhook_id = created.endpoint.webhook_id.clone();
        let update = WebhookCall::Update { webhook_id, commit_id: harness.request(), changes };
        let WebhookResult::Endpoint(updated) = harness.call(update).await.unwrap() else { panic!() };
        updated.description
    };
    assert_eq!(change(&mut harness, "backend").await.as_deref(), Some("backend"));
    assert_eq!(change(&mut harness, "").await, None);
}

#[tokio::test]
async fn an_example_of_every_type_is_sent_on_request() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.ready"]).await.endpoint.webhook_id;
    for message_type in MessageType::ALL {
        let commit_id = harness.request();
        let call =
            WebhookCall::Test { webhook_id: webhook_id.clone(), commit_id, message_type: *message_type };
        let WebhookResult::Delivery(delivery) = harness.call(call).await.unwrap() else { panic!() };
        assert_eq!((delivery.message_type, delivery.state), (*message_type, DeliveryState::Pending));
        harness.settle().await;
        let received = harness.received().pop().unwrap();
        assert_eq!(received.message_type(), message_type.as_str());
        assert_eq!(received.json()["data"]["test"], true);
        assert_eq!(received.header("webhook-id"), delivery.message_id.as_str());
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let mut harness = Harness::new().await;
    let webhook_id = WebhookId::derived_from(&[b"none"]);
    let commit_id = harness.request();
    let message_id = streamio_events::id::MessageId::derived_from(&["none"]);
    for call in [
        WebhookCall::Show { webhook_id: webhook_id.clone() },
        WebhookCall::Remove { webhook_id: webhook_id.clone(), commit_id: commit_id.clone() },
        WebhookCall::Test {
            webhook_id: webhook_id.clone(),
            commit_id: commit_id.clone(),
            message_type: MessageType::VideoReady,
        },
        WebhookCall::ShowDelivery { webhook_id: webhook_id.clone(), message_id: message_id.clone() },
        WebhookCall::Resend { webhook_id, message_id, commit_id },
    ] {
        let refused = harness.call(call).await;
        assert!(matches!(refused, Err(HomeError::NotFound)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_removed_endpoint_gets_nothing_more() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.reply(URL, Reply::Status(500));
    harness.region.receive(streamio_core::testing::notification("a.mp4", "01")).await;
    harness.settle().await;
    let commit_id = harness.request();
    harness.call(WebhookCall::Remove { webhook_id: webhook_id.clone(), commit_id }).await.unwrap();
    harness.run_until(harness.now().plus(std::time::Duration::from_hours(100))).await;
    assert_eq!(harness.received().len(), 1);
    let delivery = &harness.deliveries_to(&webhook_id).await[0];
    assert_eq!(delivery.attempts.last().unwrap().error.as_ref().unwrap().code, "webhook_removed");
}

#[tokio::test]
async fn the_request_of_an_endpoint_that_was_removed_does_not_register_it_again() {
    let mut harness = Harness::new().await;
    let commit_id = harness.request();
    let create = WebhookCall::Create {
        commit_id,
        url: URL.to_owned(),
        types: vec!["*".parse().unwrap()],
        description: None,
        rate_limit: None,
    };
    let WebhookResult::Created(created) = harness.call(create.clone()).await.unwrap() else { panic!() };
    let (webhook_id, commit_id) = (created.endpoint.webhook_id, harness.request());
    harness.call(WebhookCall::Remove { webhook_id, commit_id }).await.unwrap();
    assert!(matches!(harness.call(create).await, Err(HomeError::Conflict { .. })));
}

#[tokio::test]
async fn a_misconfiguration_is_shown_as_such() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    let shown = async |harness: &Harness| {
        let call = WebhookCall::Show { webhook_id: webhook_id.clone() };
        let WebhookResult::Endpoint(status) = harness.call(call).await.unwrap() else {
            panic!("an endpoint")
        };
        status.misconfiguration
    };
    harness.reply(URL, Reply::Error(ErrorClass::NameNotResolved));
    harness.region.receive(notification("a.mp4", "01")).await;
    let start = harness.now();
    harness.run_until(start.plus(Duration::from_hours(15))).await;
    assert_eq!(shown(&harness).await, None, "its name server may be out of order");
    harness.run_until(start.plus(Duration::from_hours(60))).await;
    let misconfiguration = shown(&harness).await.unwrap();
    assert_eq!((misconfiguration.code.as_str(), misconfiguration.since), ("name_not_resolved", start));
    harness.reply(URL, Reply::Error(ErrorClass::TlsNameMismatch));
    harness.region.receive(notification("b.mp4", "01")).await;
    harness.settle().await;
    assert_eq!(shown(&harness).await.unwrap().code, "tls_name_mismatch");
    harness.reply(URL, Reply::Status(200));
    harness.region.receive(notification("c.mp4", "01")).await;
    harness.settle().await;
    assert_eq!(shown(&harness).await, None);
}
