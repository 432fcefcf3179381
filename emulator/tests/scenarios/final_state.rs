//! The checks at the end of every scenario.

use std::collections::{BTreeMap, BTreeSet};

use streamio_core::ports::view_store::ViewStore as _;
use streamio_core::views::directory::tenants_of;
use streamio_emulator::cloud::PROCESSED_BUCKET;
use streamio_emulator::ecs::Status;
use streamio_events::audit;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLogExt as _;
use streamio_events::project::Project;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::video::{Phase, Video};
use streamio_local::s3::ListRequest;

use crate::final_webhooks;
use crate::test_cloud::{TIMEOUT, TestCloud};

/// What a test leaves behind intentionally.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// The number of dead letters of each function that has any.
    pub(crate) dead_letters: BTreeMap<&'static str, usize>,
    /// Quarantined streams, which views do not follow.
    pub(crate) quarantined: Vec<StreamId>,
}

type Streams = BTreeMap<StreamId, Vec<Commit>>;

/// Waits until the cloud is idle, and checks that everything is projected, delivered and ended.
pub(crate) async fn check(cloud: &TestCloud, expected: &Leftovers) {
    wait_until_idle(cloud).await;
    final_webhooks::wait_until_attempted(cloud).await;
    wait_until_idle(cloud).await;
    let streams = read_streams(cloud).await;
    check_hash_chains(&streams);
    check_grants_are_recorded_once(cloud, &streams);
    for (stream, commits) in &streams {
        if let StreamId::Video(project_id, video_id) = stream
            && !expected.quarantined.contains(stream)
        {
            let video = Video::fold(project_id.clone(), video_id.clone(), commits).unwrap();
            check_generations_have_ended_once(&video, commits);
            check_view_equals_fold(cloud, &video).await;
            check_outputs_are_of_one_attempt(cloud, &video).await;
        }
    }
    check_feed_is_complete(cloud, &streams, expected).await;
    check_keys_are_at_the_edge(cloud, &streams).await;
    final_webhooks::check(cloud, &streams).await;
    check_nothing_is_undelivered(cloud, expected).await;
}

/// Waits until all tasks have stopped, no event or record is pending, and the log has stopped growing.
async fn wait_until_idle(cloud: &TestCloud) {
    let stopped = cloud.ecs().wait_for_tasks(|tasks| tasks.iter().all(|task| task.status == Status::Stopped));
    tokio::time::timeout(TIMEOUT, stopped).await.expect("all tasks stop");
    let mut before = usize::MAX;
    cloud
        .wait_until("the log has stopped growing", async || {
            let mappings = cloud.mappings();
            let idle = async {
                mappings.intake.wait_until_caught_up().await;
                mappings.react.wait_until_caught_up().await;
                mappings.views.wait_until_caught_up().await;
                cloud.bus().wait_until_idle().await;
            };
            let idle = tokio::time::timeout(TIMEOUT, idle).await;
            assert!(idle.is_ok(), "records or events are still pending\n{}", cloud.problems());
            let acknowledged = cloud.acknowledged.lock().unwrap().clone();
            let commits = cloud.log().scan_to_end().await.unwrap();
            let text = serde_json::to_string(&commits).unwrap();
            let all_recorded = acknowledged.iter().all(|grant| text.contains(grant.as_str()));
            let has_grown = std::mem::replace(&mut before, commits.len()) != commits.len();
            all_recorded && !has_grown
        })
        .await;
}

async fn read_streams(cloud: &TestCloud) -> Streams {
    let mut streams = Streams::new();
    for commit in cloud.log().scan_to_end().await.unwrap() {
        streams.entry(commit.stream.clone()).or_default().push(commit);
    }
    streams
}

fn check_hash_chains(streams: &Streams) {
    for (stream, commits) in streams {
        audit::verify(stream, commits, None).unwrap_or_else(|finding| panic!("{stream}: {finding}"));
    }
}

/// Checks that every grant that the API has returned is in the log, that none is recorded twice, and that each takes one upload.
fn check_grants_are_recorded_once(cloud: &TestCloud, streams: &Streams) {
    let events = || streams.values().flatten().flat_map(|commit| &commit.events);
    let grants_of = |is_wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let wanted = events().filter(|event| is_wanted(&event.kind));
        wanted.filter_map(|event| event.data["grantId"].as_str().map(str::to_owned)).collect()
    };
    let recorded = grants_of(&|kind| kind.ends_with(".granted"));
    let unique: BTreeSet<&String> = recorded.iter().collect();
    assert_eq!(recorded.len(), unique.len(), "a grant is recorded twice: {recorded:?}");
    let used = grants_of(&|kind| kind == "upload.completed");
    assert_eq!(used.len(), used.iter().collect::<BTreeSet<_>>().len(), "a grant took two uploads: {used:?}");
    for grant in cloud.acknowledged.lock().unwrap().iter() {
        assert!(unique.contains(grant), "the grant {grant} was acknowledged and is not in the log");
    }
}

fn count(commits: &[Commit], kind: &str, generation: u64) -> usize {
    let events = commits.iter().flat_map(|commit| &commit.events);
    events.filter(|event| event.kind == kind && event.data["generation"] == generation).count()
}

/// Checks that every generation has ended once, unless a later one superseded it.
fn check_generations_have_ended_once(video: &Video, commits: &[Commit]) {
    let kinds: Vec<&str> =
        commits.iter().flat_map(|commit| &commit.events).map(|event| event.kind.as_str()).collect();
    for generation in 1..=u64::from(video.generation) {
        let (ready, errored) =
            (count(commits, "video.ready", generation), count(commits, "video.errored", generation));
        let superseded = generation < u64::from(video.generation);
        assert!(ready <= 1 && errored <= 1, "generation {generation}: {kinds:?}");
        assert!(superseded || ready + errored == 1, "generation {generation} has not ended: {kinds:?}");
    }
    let has_ended = match video.phase {
        Phase::Ready | Phase::Errored { .. } | Phase::Expired | Phase::Deleted => true,
        // An unused grant that may not have expired.
        Phase::Waiting => video.generation == 0,
        _ => false,
    };
    assert!(has_ended, "{:?}: {kinds:?}", video.phase);
}

async fn check_view_equals_fold(cloud: &TestCloud, video: &Video) {
    let row = cloud.views().get(&video.project_id, &video.video_id).await.unwrap();
    let row = row.unwrap_or_else(|| panic!("the video {} has no view", video.video_id));
    assert_eq!(row.video, *video, "the view differs from the fold of its stream");
    assert_eq!(row.status, video.status());
}

/// Checks that the stable keys are outputs of the published attempt, and that there are no objects of other attempts.
async fn check_outputs_are_of_one_attempt(cloud: &TestCloud, video: &Video) {
    let Some(s3_key) = &video.s3_key else { return };
    let processed = s3_key.processed();
    let store = cloud.s3().store();
    let request =
        ListRequest { prefix: processed.as_str().to_owned(), limit: 1000, ..ListRequest::default() };
    let listed = store.list(PROCESSED_BUCKET, request).await.unwrap();
    let mut keys: BTreeSet<String> = listed.objects.into_iter().map(|object| object.key).collect();
    let Some((generation, attempt)) = video.published else {
        assert!(keys.is_empty(), "no attempt is published, but there are the objects {keys:?}");
        return;
    };
    for stable in [processed.hls_master(), processed.poster(), processed.clone()] {
        assert!(keys.remove(stable.as_str()), "{stable} is missing");
    }
    let prefix = processed.attempt_prefix(generation, attempt);
    let others: Vec<&String> = keys.iter().filter(|key| !key.starts_with(&prefix)).collect();
    assert!(others.is_empty(), "objects outside of {prefix}: {others:?}");
    let master = read_object(cloud, processed.hls_master().as_str()).await;
    let published = read_object(cloud, &format!("{prefix}master.m3u8")).await;
    assert_eq!(master, published, "the stable playlist is of another attempt");
}

async fn read_object(cloud: &TestCloud, key: &str) -> Vec<u8> {
    use futures::TryStreamExt as _;
    let object = cloud.s3().store().get(PROCESSED_BUCKET, key).await.unwrap();
    let object = object.unwrap_or_else(|| panic!("{key} is missing"));
    let pieces: Vec<bytes::Bytes> = object.stream(0..object.meta().size).try_collect().await.unwrap();
    pieces.concat()
}

/// Checks that the project's feed contains each event exactly once, and those of a stream in order.
async fn check_feed_is_complete(cloud: &TestCloud, streams: &Streams, expected: &Leftovers) {
    let in_log: BTreeMap<String, Vec<u64>> = streams
        .iter()
        .filter(|(stream, _)| !expected.quarantined.contains(stream) && is_of(stream, &cloud.project_id))
        .map(|(stream, commits)| {
            let versions = commits.iter().flat_map(Commit::numbered).map(|(version, _)| version).collect();
            (stream.to_string(), versions)
        })
        .collect();
    // The latest events are listed after a moment.
    cloud
        .wait_until("the feed contains every event", async || {
            let mut listed = read_feed(cloud).await;
            for stream in &expected.quarantined {
                listed.remove(&stream.to_string());
            }
            let disordered = listed.values().find(|versions| versions.windows(2).any(|two| two[0] >= two[1]));
            assert!(disordered.is_none(), "the feed repeats or reorders events: {listed:?}");
            listed == in_log
        })
        .await;
}

fn is_of(stream: &StreamId, project_id: &ProjectId) -> bool {
    stream.to_string().split('/').nth(1) == Some(project_id.as_str())
}

/// Returns the versions that the feed lists for each stream, in the order of the feed.
async fn read_feed(cloud: &TestCloud) -> BTreeMap<String, Vec<u64>> {
    let mut listed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = cloud.get(&format!("/events?limit=100{after}")).await;
        let events = page["data"].as_array().unwrap();
        for event in events {
            let (stream, version) = event["id"].as_str().unwrap().rsplit_once('/').unwrap();
            listed.entry(stream.to_owned()).or_default().push(version.parse().unwrap());
        }
        match page["nextCursor"].as_str() {
            Some(next) if !events.is_empty() => after = format!("&after={next}"),
            _ => return listed,
        }
    }
}

/// Waits until no replication is due, and checks that the edge's store has the newest records.
async fn check_keys_are_at_the_edge(cloud: &TestCloud, streams: &Streams) {
    cloud
        .wait_until("all keys are replicated to the edge", async || cloud.due_replications().await.is_empty())
        .await;
    let values = cloud.kv().values();
    for (stream, commits) in streams {
        if let StreamId::Project(project_id) = stream {
            let project = Project::fold(project_id.clone(), commits).unwrap();
            for (hash, tenant) in tenants_of(&project) {
                assert_eq!(
                    values.get(&Tenant::stored_name(&hash)),
                    Some(&tenant.to_stored()),
                    "{project_id}"
                );
            }
        }
    }
}

/// Checks that there are no dead letters other than the expected ones, no discarded records, and no held events.
async fn check_nothing_is_undelivered(cloud: &TestCloud, expected: &Leftovers) {
    assert_eq!(cloud.dead_letters().await, expected.dead_letters, "dead letters\n{}", cloud.problems());
    let dead_letters = cloud.bus().dead_letters();
    assert!(dead_letters.is_empty(), "dead letters of the event bus: {dead_letters:?}");
    let mappings = cloud.mappings();
    for mapping in [&mappings.intake, &mappings.react, &mappings.views] {
        assert!(mapping.discarded().is_empty(), "a mapping discarded records: {:?}", mapping.discarded());
    }
    for (service, events) in [("S3", cloud.s3_events()), ("ECS", cloud.ecs_events())] {
        assert_eq!(events.held(), 0, "events of {service} that the test has not released");
    }
}
