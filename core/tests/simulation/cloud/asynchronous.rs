//! The function `uploads`, and the delivery of event notifications.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::delivery::batch::{Batch, Handler, Progress, Record, RetryPolicy};
use streamio_core::delivery::quarantine;
use streamio_core::uploads::{CreatedObject, EventNotification, UploadError, receive_notification};
use streamio_events::id::VideoId;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::Invocation;
use crate::engine::{HOUR, MINUTE, SECOND};
use crate::faults::Fault;
use crate::world::{StoredObject, World};

/// How long an asynchronous event is kept.
const EVENT_AGE: Duration = Duration::from_hours(6);

/// How often a function is invoked with an asynchronous event.
const ATTEMPTS: u32 = 3;

/// Delivers the event notification of `stored`.
pub(crate) fn notify(
    world: &Arc<World>,
    key: &str,
    stored: &StoredObject,
    sequencer: &str,
    created_at: Timestamp,
) {
    let created = CreatedObject {
        key: key.to_owned(),
        bytes: stored.info.bytes,
        etag: stored.info.etag.clone(),
        sequencer: sequencer.to_owned(),
        version_id: stored.info.version_id.clone(),
        created_at,
    };
    let actor = world.lasting_actor(&format!("notification {key} {sequencer}"));
    if actor.meets(Fault::LostNotification) {
        return;
    }
    let is_reduced = actor.meets(Fault::ReducedNotification);
    let notification = if is_reduced {
        EventNotification::KeyOnly(created.key)
    } else {
        EventNotification::Complete(created)
    };
    let copies = 1 + u32::from(actor.meets(Fault::DuplicateNotification));
    for copy in 0..copies {
        let mut delay = actor.below(2 * SECOND);
        if actor.meets(Fault::ReorderedNotification) {
            delay += actor.below(2 * MINUTE);
        }
        if actor.meets(Fault::DelayedNotification) {
            delay += actor.below(5 * HOUR);
        }
        let event = Event {
            id: format!("{key} {sequencer} {copy}"),
            arrived_at: created_at,
            payload: format!("{notification:?}"),
            notification: Some(notification.clone()),
        };
        deliver(world, event, delay);
    }
}

/// Delivers something that is no event notification.
pub(crate) fn deliver_unreadable(world: &Arc<World>, payload: String) {
    let event =
        Event { id: payload.clone(), arrived_at: world.lasting_store().now(), payload, notification: None };
    deliver(world, event, 0);
}

#[derive(Clone)]
struct Event {
    id: String,
    arrived_at: Timestamp,
    payload: String,
    notification: Option<EventNotification>,
}

fn deliver(world: &Arc<World>, event: Event, delay: u64) {
    let world = Arc::clone(world);
    let actor = world.lasting_actor(&format!("asynchronous {}", event.id));
    world.engine.clone().start(actor.process, async move {
        actor.sleep(delay).await;
        // On one machine the object store keeps the notification until it is recorded.
        let attempts = if world.plan.has_one_clock { u32::MAX } else { ATTEMPTS };
        for attempt in 0..attempts {
            world.machine.on().await;
            let invocation = Invocation::new(&world, &format!("uploads {} {attempt}", event.id));
            let process = invocation.actor.process;
            let running = world.engine.spawn(process, handle(invocation, event.clone()));
            if running.await == Ok(true) {
                return;
            }
            actor.sleep(MINUTE << attempt.min(3)).await;
        }
        world.state().oracle.event_given_up(&event.payload);
    });
}

async fn handle(invocation: Invocation, event: Event) -> bool {
    let content = match event.notification {
        Some(notification) => Ok(notification),
        None => Err("it is no event notification".into()),
    };
    let Event { id, arrived_at, payload, .. } = event;
    let record = Record { sequence: id.clone(), id, arrived_at, payload, content };
    let age = if invocation.world.plan.has_one_clock { Duration::MAX } else { EVENT_AGE };
    let batch = Batch {
        function: "uploads",
        dead_letters: &invocation.views,
        retry_policy: &RetryPolicy::since_arrival(age),
    };
    let now = invocation.actor.now();
    batch.run(&[record], &Uploads(&invocation), now).await.failed.is_empty()
}

/// The handler of the function.
struct Uploads<'a>(&'a Invocation);

#[async_trait]
impl Handler for Uploads<'_> {
    type Item = EventNotification;
    type Error = UploadError;

    fn stream(&self, notification: &EventNotification) -> StreamId {
        let key = match notification {
            EventNotification::Complete(created) => &created.key,
            EventNotification::KeyOnly(key) => key,
        };
        let key: SourceKey = key.parse().expect("tenants upload under source keys");
        StreamId::Video(key.project_id().clone(), VideoId::of(&key))
    }

    async fn handle(&self, _: &StreamId, items: &[&EventNotification]) -> Progress<UploadError> {
        for (index, notification) in items.iter().enumerate() {
            let (ports, now) = (self.0.ports().uploads(), self.0.actor.now());
            if let Err(error) = receive_notification(ports, now, notification).await {
                return Progress::until(index, error);
            }
        }
        Progress::all(items.len())
    }

    async fn quarantine(&self, stream: &StreamId, _: &EventNotification, error: &UploadError) {
        quarantine::report_at_head(&self.0.log, self.0.actor.now(), stream, error).await;
    }
}
