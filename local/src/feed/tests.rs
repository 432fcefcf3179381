use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use futures::future::join;
use proptest::prelude::*;
use serde_json::json;
use streamio_core::delivery::batch::{Handler, Progress};
use streamio_core::fold_cache::EndpointCache;
use streamio_core::reactions::batch::react_batch;
use streamio_core::testing::{TestRegion, stream};
use streamio_core::webhooks::scheduling;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, RecordedEvent, WebhookRegistered};
use streamio_events::fault::{Fault, FaultyLog, InjectedFault};
use streamio_events::id::{CommitId, WebhookId};
use streamio_events::log::{AppendError, EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::*;
use crate::project_feed::LogFeed;

struct Files {
    log: SqliteLog,
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { log: SqliteLog::open(folder.path().join("log.db")).unwrap(), folder }
    }

    /// A consumer of everything, which reads `batch` changes at a time and continues where the one before it ended.
    fn consumer(&self, batch: usize) -> Consumer {
        let store = SqliteViewStore::open(&self.folder.path().join("views.db")).unwrap();
        Consumer { batch, ..Consumer::new("react", |_| true, self.log.clone(), store) }
    }
}

/// Fails as planned, and otherwise notes the commits that it handles.
#[derive(Default)]
struct Planned {
    /// Whether each of the next commits is handled. All are, after those.
    plan: Mutex<VecDeque<bool>>,
    handled: Mutex<Vec<(StreamId, u64)>>,
}

#[async_trait]
impl Handler for Planned {
    type Item = Commit;
    type Error = AppendError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<AppendError> {
        for (index, commit) in commits.iter().enumerate() {
            if !self.plan.lock().unwrap().pop_front().unwrap_or(true) {
                return Progress::until(index, AppendError::Unavailable(InjectedFault.into()));
            }
            self.handled.lock().unwrap().push((stream.clone(), commit.first));
        }
        Progress::all(commits.len())
    }

    async fn quarantine(&self, stream: &StreamId, _: &Commit, error: &AppendError) {
        panic!("{stream} is quarantined: {error}");
    }
}

#[async_trait]
impl DeliverBatch for Planned {
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report {
        batch.run(records, self, Timestamp::default()).await
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Commits are appended to these streams.
    Append(Vec<u8>),
    Deliver,
    Retry,
    /// Both at the same time, as in the platform.
    Both,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0..3u8, 1..6).prop_map(Step::Append),
        3 => Just(Step::Deliver),
        2 => Just(Step::Retry),
        1 => Just(Step::Both),
        1 => Just(Step::Restart),
    ]
}

async fn append(log: &SqliteLog, stream_number: u8, number: u64) {
    let stream = stream(&format!("{stream_number}.mp4"));
    let (kind, data) = ("test.counted".to_owned(), json!({ "number": number }));
    let event = RecordedEvent { kind, version: 1, at: Timestamp::default(), data, fact: None };
    let id = CommitId::derived_from(&[&number.to_string()]);
    let commit = NewCommit { id, events: vec![event], recorded_at: Timestamp::default() };
    log.append(&stream, Expected::Any, commit).await.unwrap();
}

async fn run(files: &Files, handler: &Planned, batch: usize, steps: &[Step]) -> [u64; 3] {
    let mut appended = [0; 3];
    let mut consumer = files.consumer(batch);
    for step in steps {
        match step {
            Step::Append(streams) => {
                for number in streams {
                    append(&files.log, *number, appended.iter().sum()).await;
                    appended[usize::from(*number)] += 1;
                }
            }
            Step::Deliver => drop(consumer.deliver_next(handler).await),
            Step::Retry => drop(consumer.retry_pending(handler).await),
            Step::Both => drop(join(consumer.deliver_next(handler), consumer.retry_pending(handler)).await),
            Step::Restart => consumer = files.consumer(batch),
        }
    }
    handler.plan.lock().unwrap().clear();
    while consumer.deliver_next(handler).await {}
    while !consumer.store.pending(consumer.name).await.unwrap().is_empty() {
        assert!(!consumer.retry_pending(handler).await, "nothing fails any more");
    }
    appended
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever fails when: the commits of a stream are handled in their order, and none is left out.
    #[test]
    fn no_commit_is_left_out_or_handled_before_an_earlier_one_of_its_stream(
        steps in prop::collection::vec(step(), 1..20),
        plan in prop::collection::vec(any::<bool>(), 0..30),
        batch in 1..6usize,
    ) {
        let handler = Planned { plan: Mutex::new(plan.into()), ..Planned::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let appended = runtime.block_on(async {
            let files = Files::new();
            run(&files, &handler, batch, &steps).await
        });
        for (number, count) in (0..).zip(appended) {
            let stream = stream(&format!("{number}.mp4"));
            let handled = handler.handled.lock().unwrap();
            let mut last = 0;
            for (_, first) in handled.iter().filter(|(it, _)| *it == stream) {
                prop_assert!(*first <= last + 1, "{stream}: {first} is handled after {last}");
                last = last.max(*first);
            }
            prop_assert_eq!(last, count, "{} is handled to its end", stream);
        }
    }
}

/// Schedules messages in a log whose appends fail as planned.
struct Messages {
    region: TestRegion,
    log: FaultyLog<SqliteLog>,
    endpoints: Arc<EndpointCache>,
    places: LogFeed,
}

#[async_trait]
impl DeliverBatch for Messages {
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report {
        let Self { region, log, endpoints, places } = self;
        let messages = scheduling::Ports { log, endpoints, places };
        react_batch(batch, region.ports(), Some(messages), None, records, &|| region.now).await
    }
}

impl Messages {
    /// The types of the messages that are scheduled.
    fn scheduled(&self) -> Vec<String> {
        let commits = block_on(self.log.inner().scan_to_end()).unwrap();
        let events = commits.iter().flat_map(|commit| &commit.events);
        let mut types: Vec<String> = events
            .filter_map(|event| match event.body().unwrap() {
                EventBody::WebhookScheduled(scheduled) => Some(scheduled.message_type.to_string()),
                _ => None,
            })
            .collect();
        types.sort_unstable();
        types
    }
}

/// All commits of a video lead to messages. One append fails once: in the first batch, of which the other commits fail too, and before
/// later commits of the same stream.
#[tokio::test]
async fn every_message_is_scheduled_although_an_append_fails_once() {
    for batch in [1, 512] {
        let (files, region) = (Files::new(), TestRegion::with_project().await);
        let registered = WebhookRegistered {
            webhook_id: WebhookId::derived_from(&[b"endpoint"]),
            url: "https://hooks.example.com/a".to_owned(),
            types: vec!["*".parse().unwrap()],
            description: None,
            rate_limit: None,
        };
        let commit = NewCommit::new(CommitId::derived_from(&["endpoint"]), region.now, [registered.into()]);
        let webhooks = StreamId::Webhooks("acme".parse().unwrap());
        files.log.append(&webhooks, Expected::Any, commit).await.unwrap();
        let job = region.start("a.mp4").await;
        region.publish(&job).await;
        for Commit { stream, id, events, recorded_at, .. } in region.log.scan_to_end().await.unwrap() {
            let commit = NewCommit { id, events, recorded_at };
            files.log.append(&stream, Expected::Any, commit).await.unwrap();
        }
        let handler = Messages {
            region,
            log: FaultyLog::scripted(files.log.clone(), [Fault::Before]),
            endpoints: Arc::default(),
            places: LogFeed(files.log.clone()),
        };
        let consumer = files.consumer(batch);
        while consumer.deliver_next(&handler).await {}
        assert_eq!(handler.log.injected(), 1);
        while !consumer.store.pending(consumer.name).await.unwrap().is_empty() {
            assert!(!consumer.retry_pending(&handler).await, "nothing fails any more");
        }
        let expected = ["video.processing", "video.ready", "video.uploaded"];
        assert_eq!(handler.scheduled(), expected, "batches of {batch}");
    }
}
