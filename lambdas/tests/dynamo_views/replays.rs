//! Jobs that send webhooks again, on feeds whose commits get their places when they are asked for.

use std::sync::Mutex;
use std::time::Duration;

use streamio_core::fold_cache::{EndpointCache, ReplayCache};
use streamio_core::ports::project_feed::FeedCommits as _;
use streamio_core::webhooks::replaying::{Next, Ports, step};
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{EventBody, ProjectSuspended};
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::{CommitId, MessageId, ReplayId, WebhookId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Endpoints;
use streamio_events::webhook::endpoint::NewEndpoint;
use streamio_events::webhook::replay::{FeedBound, ReplayEnd, ReplayKind, ReplayRequest, Replays, load};
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{append, key_of, lifecycle, project, start, video};
use crate::test_dynamo::TestDynamo;

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::project_feed_contract!(TestDynamo::new());
}

fn endpoint() -> WebhookId {
    WebhookId::derived_from(&[b"endpoint"])
}

/// Videos with some messages each, an endpoint that was registered after them, and a job about all of them.
async fn started(dynamo: &TestDynamo, views: &DynamoViews, rate: u32) -> Replays {
    let acme = project("acme");
    for seed in 0..6 {
        let name = format!("v{seed}");
        for (number, body) in lifecycle(&acme, &key_of("acme", &name), 8, seed).into_iter().enumerate() {
            append(&dynamo.log, &video("acme", &name), &format!("{seed}/{number}"), start(), vec![body])
                .await;
        }
    }
    let new = NewEndpoint {
        url: "https://hooks.example.com/".to_owned(),
        types: vec!["*".parse().unwrap()],
        description: None,
        rate_limit: None,
    };
    let registered: Vec<EventBody> = Endpoints::new(acme.clone()).register(&endpoint(), new).unwrap();
    append(&dynamo.log, &StreamId::Webhooks(acme.clone()), "register", start(), registered).await;
    for commit in dynamo.log.scan_to_end().await.unwrap() {
        views.place(&commit).await.unwrap();
    }
    let replays = Replays::new(acme.clone(), endpoint());
    let request =
        ReplayRequest { kind: ReplayKind::Replay, from: FeedBound::Seq(0), to: None, types: None, rate };
    let end = views.feed_end(&acme).await.unwrap();
    let events = replays.start(&ReplayId::derived_from(&["job"]), request, 0, end).unwrap();
    append(&dynamo.log, &replays.stream(), "start", start(), events).await;
    load(&dynamo.log, &acme, &endpoint()).await.unwrap()
}

/// The messages that were scheduled, one for each commit.
fn scheduled(commits: &[Commit]) -> Vec<MessageId> {
    let of_commit = |commit: &Commit| match &commit.stream {
        StreamId::Delivery(_, _, message_id) => Some(message_id.clone()),
        _ => None,
    };
    commits.iter().filter_map(of_commit).collect()
}

/// The commits that steps append get their places from `views`, in whatever order and however late; a step that was interrupted knows in any
/// case what it has scheduled itself.
#[tokio::test]
async fn a_job_counts_each_message_once_in_whichever_order_commits_get_their_places() {
    let mut counts = Vec::new();
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dynamo = TestDynamo::new();
        let views = dynamo.views().await;
        let replays = started(&dynamo, &views, 3).await;
        let faults: Vec<Fault> = (0..60)
            .map(|_| match random.u8(0..6) {
                0 => Fault::Before,
                1 => Fault::After,
                _ => Fault::None,
            })
            .collect();
        let log = FaultyLog::scripted(dynamo.log.clone(), faults);
        let (endpoints, jobs) = (EndpointCache::default(), ReplayCache::default());
        let now = Mutex::new(start());
        let clock = || -> Timestamp { *now.lock().unwrap() };
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 500, "the job ends");
            let ports = Ports {
                log: &log,
                endpoints: &endpoints,
                places: &views,
                replays: &jobs,
                feed: &views,
                deliveries: &views,
                clock: &clock,
            };
            let wait = match step(ports, &replays.project_id, &replays.webhook_id).await {
                Ok(Next::Nothing) => break,
                Ok(Next::Step(after)) => after,
                Err(_) => Duration::from_secs(1),
            };
            let later = clock().plus(wait);
            *now.lock().unwrap() = later;
            // The function `views` follows, and has seen some of the new commits.
            let mut commits = dynamo.log.scan_to_end().await.unwrap();
            random.shuffle(&mut commits);
            for commit in commits.iter().filter(|_| random.u8(0..4) == 0) {
                views.place(commit).await.unwrap();
            }
        }
        let mut messages = scheduled(&dynamo.log.scan_to_end().await.unwrap());
        let all = messages.len();
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), all, "each message is scheduled once");
        let job =
            load(&dynamo.log, &replays.project_id, &replays.webhook_id).await.unwrap().jobs.pop().unwrap();
        assert_eq!(job.ended, Some(ReplayEnd::Completed));
        assert_eq!(job.scheduled, all as u64, "seed {seed}");
        counts.push(all);
    }
    assert!(counts.iter().all(|count| *count == counts[0] && *count >= 12), "{counts:?}");
}

#[tokio::test]
async fn an_entry_of_an_earlier_release_has_the_time_of_its_commit() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let stream = video("acme", "v0");
    let at = |number: u64| start().plus(Duration::from_mins(number));
    for number in 0..8 {
        let id = CommitId::derived_from(&[&number.to_string()]);
        let body = EventBody::from(ProjectSuspended { reason: None });
        let commit = dynamo.log.append(&stream, Expected::Any, NewCommit::new(id, at(number), [body])).await;
        views.place(&commit.unwrap().commit).await.unwrap();
    }
    for place in 0..5 {
        dynamo.forget_times(&project("acme"), place).await;
    }
    for number in 0..8 {
        assert_eq!(views.first_since(&project("acme"), at(number)).await.unwrap(), number);
        assert!(views.end_before(&project("acme"), at(number)).await.unwrap() >= number, "rather more");
    }
}
