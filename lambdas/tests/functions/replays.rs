//! The jobs that send webhooks again, continued by the function that the schedule invokes.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use serde_json::{Value, json};
use streamio_core::ports::delivery_store::DeliveryStore as _;
use streamio_core::testing::{MemoryDeliveries, MemoryPending, TestRegion, notification};
use streamio_events::commit::NewCommit;
use streamio_events::event::EventBody;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::{CommitId, ProjectId, ReplayId, WebhookId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Endpoints;
use streamio_events::webhook::endpoint::NewEndpoint;
use streamio_events::webhook::replay::{
    FeedBound, Replay, ReplayEnd, ReplayKind, ReplayRequest, Replays, load,
};
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::runtime::Function as _;

use crate::events::{clock, payload, test_region};
use crate::sweep::sweep_with;

/// A clock that goes on.
fn ticking() -> Timestamp {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    clock().plus(STARTED.elapsed())
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn endpoint() -> WebhookId {
    WebhookId::derived_from(&[b"endpoint"])
}

fn everything() -> Value {
    payload(include_str!("../payloads/schedule_scheduler.json"))
}

/// A project with videos and an endpoint that was registered after them.
struct World {
    region: TestRegion,
    deliveries: MemoryDeliveries,
}

impl World {
    async fn with_videos(videos: usize) -> Self {
        let region = test_region().await;
        for number in 0..videos {
            region.receive(notification(&format!("{number}.mp4"), "01")).await;
        }
        let new = NewEndpoint {
            url: "https://hooks.example.com/".to_owned(),
            types: vec!["*".parse().unwrap()],
            description: None,
            rate_limit: None,
        };
        let world = Self { region, deliveries: MemoryDeliveries::default() };
        let registered = Endpoints::new(acme()).register(&endpoint(), new).unwrap();
        world.append(&StreamId::Webhooks(acme()), "register", registered).await;
        world
    }

    async fn append(&self, stream: &StreamId, cause: &str, events: Vec<EventBody>) {
        let commit = NewCommit::new(CommitId::derived_from(&[cause]), ticking(), events);
        self.region.log.append(stream, Expected::Any, commit).await.unwrap();
    }

    async fn replays(&self) -> Replays {
        load(&self.region.log, &acme(), &endpoint()).await.unwrap()
    }

    async fn job(&self) -> Replay {
        self.replays().await.jobs.pop().unwrap()
    }

    /// Starts a job about the whole feed.
    async fn start(&self, rate: u32) -> ReplayId {
        let replay_id = ReplayId::derived_from(&["job"]);
        let request =
            ReplayRequest { kind: ReplayKind::Replay, from: FeedBound::Seq(0), to: None, types: None, rate };
        let end = self.region.log.changes_after(0, usize::MAX).await.unwrap().len() as u64;
        let replays = self.replays().await;
        let events = replays.start(&replay_id, request, 0, end).unwrap();
        self.append(&replays.stream(), "start", events).await;
        self.deliveries.put_replays(&self.replays().await).await.unwrap();
        replay_id
    }

    /// A sweep with the caches of an own process.
    fn sweep(&self) -> Sweep {
        let sweep = sweep_with(&self.region, &MemoryPending::default(), &self.deliveries, &Arc::default());
        Sweep { clock: ticking, ..sweep }
    }

    /// How many messages are scheduled, each in its own stream, and how often.
    async fn scheduled(&self) -> (usize, usize) {
        let commits = self.region.log.scan_to_end().await.unwrap();
        let of_deliveries = commits.iter().filter(|commit| matches!(commit.stream, StreamId::Delivery(..)));
        let streams: Vec<&StreamId> = of_deliveries.map(|commit| &commit.stream).collect();
        (streams.iter().collect::<BTreeSet<_>>().len(), streams.len())
    }
}

#[tokio::test]
async fn sweeps_at_the_same_time_schedule_each_message_once_and_keep_to_the_rate() {
    let world = World::with_videos(250).await;
    world.start(1000).await;
    let sweeps = [world.sweep(), world.sweep(), world.sweep()];
    let (one, two, three) = tokio::join!(
        sweeps[0].handle(everything()),
        sweeps[1].handle(everything()),
        sweeps[2].handle(everything())
    );
    for done in [one, two, three] {
        assert_eq!(done.unwrap().response["replays"]["failed"], 0);
    }
    let job = world.job().await;
    assert_eq!((job.ended, job.scheduled, job.skipped), (Some(ReplayEnd::Completed), 250, 0));
    assert_eq!(world.scheduled().await, (250, 250));
    // Each step begins when the messages of the one before are due.
    let commits = world.region.log.read_to_end(&world.replays().await.stream(), 1).await.unwrap();
    let mut replays = Replays::new(acme(), endpoint());
    let mut begins = Vec::new();
    for commit in &commits {
        if let Some(active) = replays.active() {
            assert!(commit.recorded_at >= active.next_step_at(), "{commit:?} is too early");
            begins.push(active.next_step_at());
        }
        replays.apply_commit(commit).unwrap();
    }
    assert_eq!(begins.len(), 3, "each step has at most 100 messages");
    let active = world.deliveries.active_replays().await.unwrap();
    assert_eq!(active, [], "the sweep has brought the view up to date");
    let nothing = world.sweep().handle(everything()).await.unwrap();
    assert_eq!(nothing.response["replays"], json!({ "steps": 0, "failed": 0 }));
}

#[tokio::test]
async fn steps_that_fail_anywhere_are_made_again_and_schedule_each_message_once() {
    let world = World::with_videos(120).await;
    world.start(1000).await;
    let faults = [Fault::None, Fault::After, Fault::Before].into_iter().cycle().take(6);
    let log = Arc::new(FaultyLog::scripted(world.region.log.clone(), faults));
    let sweep = Sweep { log: Arc::<FaultyLog<_>>::clone(&log) as _, ..world.sweep() };
    let done = sweep.handle(everything()).await.unwrap();
    assert!(done.response["replays"]["failed"].as_u64().unwrap() > 0, "{}", done.response);
    assert!(log.injected() > 0);
    let job = world.job().await;
    assert_eq!((job.ended, job.scheduled), (Some(ReplayEnd::Completed), 120));
    assert_eq!(world.scheduled().await, (120, 120));
}

#[tokio::test]
async fn a_cancelled_job_makes_no_step_and_a_sweep_of_a_part_none_at_all() {
    let world = World::with_videos(3).await;
    let replay_id = world.start(1).await;
    let part = world.sweep().handle(json!({ "part": 0, "of": 2 })).await.unwrap();
    assert_eq!(part.response["replays"], json!({ "steps": 0, "failed": 0 }));
    assert_eq!(world.scheduled().await, (0, 0));
    let cancelled = world.replays().await.cancel(&replay_id).unwrap();
    world.append(&world.replays().await.stream(), "cancel", cancelled).await;
    assert_eq!(world.deliveries.active_replays().await.unwrap().len(), 1, "the view is late");
    let done = world.sweep().handle(everything()).await.unwrap();
    assert_eq!(done.response["replays"], json!({ "steps": 0, "failed": 0 }));
    assert_eq!(world.scheduled().await, (0, 0));
    assert_eq!(world.job().await.ended, Some(ReplayEnd::Cancelled));
    assert_eq!(world.deliveries.active_replays().await.unwrap(), []);
}
