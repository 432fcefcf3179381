//! The checks of webhooks at the end of every scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_events::commit::Commit;
use streamio_events::event::EventBody;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;
use streamio_events::webhook::delivery::load;
use streamio_events::webhook::{Delivery, DeliveryState, Endpoints, Message};

use crate::test_cloud::TestCloud;

/// An attempt that is due within this time is waited for.
const SOON: Duration = Duration::from_secs(30);

async fn deliveries(cloud: &TestCloud) -> Vec<Delivery> {
    let mut deliveries = BTreeMap::new();
    for commit in cloud.log().scan_to_end().await.unwrap() {
        if let Some(key) = DeliveryKey::of_stream(&commit.stream)
            && !deliveries.contains_key(&key)
        {
            let DeliveryKey { project_id, webhook_id, message_id } = &key;
            let delivery = load(cloud.log(), project_id, webhook_id, message_id).await.unwrap();
            deliveries.insert(key, delivery);
        }
    }
    deliveries.into_values().collect()
}

/// Waits until no attempt is due soon, and no message of the queue is visible or being processed.
pub(crate) async fn wait_until_attempted(cloud: &TestCloud) {
    cloud
        .wait_until("every due message is delivered or has failed", async || {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now = Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap());
            let is_due = |delivery: &Delivery| delivery.due_at.is_some_and(|at| at <= now.plus(SOON));
            cloud.sqs().active() == 0 && !deliveries(cloud).await.iter().any(is_due)
        })
        .await;
}

/// The deliveries that follow from the events of videos and from the endpoints that were registered before them, computed from the log.
async fn expected(cloud: &TestCloud, streams: &BTreeMap<StreamId, Vec<Commit>>) -> BTreeSet<DeliveryKey> {
    let mut expected = BTreeSet::new();
    for (stream, commits) in streams {
        let StreamId::Video(project_id, video_id) = stream else { continue };
        let Some(changes) = streams.get(&StreamId::Webhooks(project_id.clone())) else { continue };
        let mut states = vec![(0, Endpoints::new(project_id.clone()))];
        for change in changes {
            let mut next = states.last().expect("it has the first").1.clone();
            next.apply_commit(change).unwrap();
            states.push((cloud.views().place(change).await.unwrap(), next));
        }
        let existing = &states.last().expect("it has the first").1;
        let mut video = Video::new(project_id.clone(), video_id.clone());
        'video: for commit in commits {
            let place = cloud.views().place(commit).await.unwrap();
            let endpoints = &states.iter().rfind(|(at, _)| *at <= place).expect("the first has place 0").1;
            for (version, event) in commit.numbered() {
                let before = video.clone();
                // What cannot be understood is quarantined, with what follows it.
                let Ok(()) = video.apply(version, event) else { break 'video };
                let Ok(Some(message)) = Message::about_video(&before, &video, event, place) else { continue };
                let receivers = endpoints.receivers(message.message_type).map(|it| it.webhook_id.clone());
                let receivers = receivers.filter(|webhook_id| existing.endpoints.contains_key(webhook_id));
                expected.extend(receivers.map(|webhook_id| DeliveryKey {
                    project_id: project_id.clone(),
                    webhook_id,
                    message_id: message.id.clone(),
                }));
            }
        }
    }
    expected
}

/// Checks that every message that follows from the log was scheduled, that every delivery was attempted, that its view is the fold of its stream, and that its `seq` is the place of its event in the feed.
pub(crate) async fn check(cloud: &TestCloud, streams: &BTreeMap<StreamId, Vec<Commit>>) {
    let deliveries = deliveries(cloud).await;
    let scheduled: BTreeSet<DeliveryKey> = deliveries.iter().map(DeliveryKey::of).collect();
    let expected = expected(cloud, streams).await;
    let lost: Vec<&DeliveryKey> = expected.difference(&scheduled).collect();
    assert!(lost.is_empty(), "messages that were never scheduled: {lost:?}");
    for mut delivery in deliveries {
        let key = DeliveryKey::of(&delivery);
        let name = format!("{}.{}", key.webhook_id, key.message_id);
        let ended = delivery
            .attempts
            .last()
            .is_some_and(|attempt| attempt.error.is_some() || delivery.state == DeliveryState::Delivered);
        assert!(ended, "{name} was never attempted: {delivery:?}");
        let scheduled = delivery.scheduled.as_mut().expect("it was scheduled");
        let body: Value = serde_json::from_str(&std::mem::take(&mut scheduled.body)).unwrap();
        if let Some((video_id, version)) = scheduled.video_id.clone().zip(scheduled.video_version) {
            let stream = StreamId::Video(key.project_id.clone(), video_id);
            let about =
                streams[&stream].iter().find(|commit| (commit.first..=commit.last()).contains(&version));
            let place = cloud.views().place(about.expect("the commit is in the log")).await.unwrap();
            assert_eq!(body["data"]["seq"], place, "{name}");
        }
        let stored = cloud.views().delivery(&key).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&delivery), "the view of {name}");
    }
    for commit in streams.values().flatten() {
        let disabled = commit.events.iter().filter_map(|event| event.body().ok());
        let count = disabled.filter(|body| matches!(body, EventBody::WebhookDisabled(_))).count();
        assert_eq!(count, 0, "no scenario lasts long enough for an endpoint to be disabled");
    }
    let dead = cloud.sqs().dead_letters();
    assert!(dead.is_empty(), "messages that were received too often: {dead:?}");
}
