//! What must be true in the end, whatever has happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_core::ports::view_store::ViewStore as _;
use streamio_emulator::cloud::{PROCESSED_BUCKET, VIEWS_TABLE};
use streamio_emulator::ecs::Status;
use streamio_events::audit;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::video::{Phase, Video};
use streamio_local::s3::ListRequest;

use crate::processes;
use crate::world::World;

/// What a scenario leaves behind on purpose.
#[derive(Default)]
pub(crate) struct Expected {
    /// For each function how many letters it leaves.
    pub(crate) dead_letters: BTreeMap<&'static str, usize>,
    /// Streams that are quarantined: no view follows them.
    pub(crate) quarantined: Vec<StreamId>,
}

/// Waits until everything has come to rest, ends the cloud, and judges.
pub(crate) async fn verdict(world: World) {
    verdict_with(world, Expected::default()).await;
}

pub(crate) async fn verdict_with(world: World, expected: Expected) {
    rest(&world).await;
    let streams = streams(&world).await;
    every_chain_verifies(&streams);
    every_acknowledged_grant_is_there_once(&world, &streams);
    for (stream, commits) in &streams {
        if let StreamId::Video(project_id, video_id) = stream
            && !expected.quarantined.contains(stream)
        {
            let video = Video::fold(project_id.clone(), video_id.clone(), commits).unwrap();
            every_upload_is_terminal_and_published_once(&video, commits);
            the_view_is_the_fold(&world, &video).await;
            the_pointers_are_of_one_attempt(&world, &video).await;
        }
    }
    the_feed_has_every_event_once(&world, &streams, &expected).await;
    assert_eq!(dead_letters(&world).await, expected.dead_letters, "dead letters\n{}", world.told());
    world
        .until("the edge lacks no key", async || world.cloud.views().pending(1).await.unwrap().is_empty())
        .await;
    let dead: Vec<_> = world.cloud.bus().dead_letters();
    assert!(dead.is_empty(), "given up by the bus: {dead:?}");
    let mappings = world.cloud.mappings();
    for mapping in [&mappings.intake, &mappings.react, &mappings.views] {
        assert!(mapping.discarded().is_empty(), "given up by a mapping: {:?}", mapping.discarded());
    }
    let folder = world.cloud.folder().to_owned();
    world.cloud.stop().await.unwrap();
    processes::none_about(&folder).await;
}

/// No task runs, no event or record is on its way, and the log has stopped growing.
async fn rest(world: &World) {
    let stopped =
        world.cloud.ecs().tasks_when(|tasks| tasks.iter().all(|task| task.status == Status::Stopped));
    tokio::time::timeout(crate::world::PATIENCE, stopped).await.expect("a task does not end");
    let mut before = usize::MAX;
    world
        .until("rest", async || {
            let mappings = world.cloud.mappings();
            let caught_up = async {
                mappings.intake.caught_up().await;
                mappings.react.caught_up().await;
                mappings.views.caught_up().await;
                world.cloud.bus().quiet().await;
            };
            let caught_up = tokio::time::timeout(crate::world::PATIENCE, caught_up).await;
            assert!(caught_up.is_ok(), "records are on their way for ever\n{}", world.told());
            let acknowledged = world.acknowledged.lock().unwrap().clone();
            let commits = world.cloud.log().scan_to_end().await.unwrap();
            let text = serde_json::to_string(&commits).unwrap();
            let all_there = acknowledged.iter().all(|grant| text.contains(grant.as_str()));
            let grew = std::mem::replace(&mut before, commits.len()) != commits.len();
            all_there && !grew
        })
        .await;
}

type Streams = BTreeMap<StreamId, Vec<Commit>>;

async fn streams(world: &World) -> Streams {
    let mut streams = Streams::new();
    for commit in world.cloud.log().scan_to_end().await.unwrap() {
        streams.entry(commit.stream.clone()).or_default().push(commit);
    }
    streams
}

fn every_chain_verifies(streams: &Streams) {
    for (stream, commits) in streams {
        audit::verify(stream, commits, None).unwrap_or_else(|finding| panic!("{stream}: {finding}"));
    }
}

/// Whatever an answer said was granted is in the log, and not twice.
fn every_acknowledged_grant_is_there_once(world: &World, streams: &Streams) {
    let mut recorded: Vec<String> = Vec::new();
    for event in streams.values().flatten().flat_map(|commit| &commit.events) {
        if let Some(grant) = event.data["grantId"].as_str() {
            recorded.push(grant.to_owned());
        }
    }
    let different: BTreeSet<&String> = recorded.iter().collect();
    assert_eq!(recorded.len(), different.len(), "grants that are recorded twice: {recorded:?}");
    for grant in world.acknowledged.lock().unwrap().iter() {
        assert!(different.contains(grant), "the grant {grant} was acknowledged and is lost");
    }
}

fn count(commits: &[Commit], kind: &str, generation: u64) -> usize {
    let events = commits.iter().flat_map(|commit| &commit.events);
    events.filter(|event| event.kind == kind && event.data["generation"] == generation).count()
}

fn every_upload_is_terminal_and_published_once(video: &Video, commits: &[Commit]) {
    let kinds: Vec<&str> =
        commits.iter().flat_map(|commit| &commit.events).map(|event| event.kind.as_str()).collect();
    for generation in 1..=u64::from(video.generation) {
        let (ready, errored) =
            (count(commits, "video.ready", generation), count(commits, "video.errored", generation));
        let superseded = generation < u64::from(video.generation);
        assert!(ready <= 1 && errored <= 1, "generation {generation}: {kinds:?}");
        assert!(superseded || ready + errored == 1, "generation {generation} has no end: {kinds:?}");
    }
    let is_over = match video.phase {
        Phase::Ready | Phase::Errored { .. } | Phase::Deleted => true,
        // Granted and not used; the grant may still be.
        Phase::Waiting => video.generation == 0,
        _ => false,
    };
    assert!(is_over, "{:?}: {kinds:?}", video.phase);
}

async fn the_view_is_the_fold(world: &World, video: &Video) {
    let views = world.cloud.views();
    let row = views.get(&video.project_id, &video.video_id).await.unwrap();
    let row = row.unwrap_or_else(|| panic!("the video {} has no view", video.video_id));
    assert_eq!(row.video, *video, "the view is not the fold");
    assert_eq!(row.status, video.status());
}

/// What playback URLs name belongs to the attempt that is published, and nothing of another attempt is left.
async fn the_pointers_are_of_one_attempt(world: &World, video: &Video) {
    let Some(s3_key) = &video.s3_key else { return };
    let processed = s3_key.processed();
    let store = world.cloud.s3().store();
    let request =
        ListRequest { prefix: processed.as_str().to_owned(), limit: 1000, ..ListRequest::default() };
    let listed = store.list(PROCESSED_BUCKET, request).await.unwrap();
    let mut keys: BTreeSet<String> = listed.objects.into_iter().map(|object| object.key).collect();
    let Some((generation, attempt)) = video.published else {
        assert!(keys.is_empty(), "nothing is published, and yet there is {keys:?}");
        return;
    };
    for pointer in [processed.hls_master(), processed.poster(), processed.clone()] {
        assert!(keys.remove(pointer.as_str()), "{pointer} is missing");
    }
    let prefix = processed.attempt_prefix(generation, attempt);
    let foreign: Vec<&String> = keys.iter().filter(|key| !key.starts_with(&prefix)).collect();
    assert!(foreign.is_empty(), "not of {prefix}: {foreign:?}");
    let master = object(world, processed.hls_master().as_str()).await;
    assert_eq!(
        master,
        object(world, &format!("{prefix}master.m3u8")).await,
        "the pointer is another attempt's"
    );
}

async fn object(world: &World, key: &str) -> Vec<u8> {
    use futures::TryStreamExt as _;
    let object = world.cloud.s3().store().get(PROCESSED_BUCKET, key).await.unwrap();
    let object = object.unwrap_or_else(|| panic!("{key} is missing"));
    let pieces: Vec<bytes::Bytes> = object.stream(0..object.meta().size).try_collect().await.unwrap();
    pieces.concat()
}

/// The tenant's feed has each event exactly once, those of a stream in their order.
async fn the_feed_has_every_event_once(world: &World, streams: &Streams, expected: &Expected) {
    let of_log: BTreeMap<String, Vec<u64>> = streams
        .iter()
        .filter(|(stream, _)| !expected.quarantined.contains(stream) && is_of(stream, &world.project_id))
        .map(|(stream, commits)| {
            let versions = commits.iter().flat_map(Commit::numbered).map(|(version, _)| version).collect();
            (stream.to_string(), versions)
        })
        .collect();
    // The latest events settle in a moment.
    world
        .until("a feed with every event once", async || {
            let mut shown = feed(world).await;
            for stream in &expected.quarantined {
                shown.remove(&stream.to_string());
            }
            let repeated = shown.values().find(|versions| versions.windows(2).any(|two| two[0] >= two[1]));
            assert!(repeated.is_none(), "the feed repeats or mixes events: {shown:?}");
            shown == of_log
        })
        .await;
}

fn is_of(stream: &StreamId, project_id: &ProjectId) -> bool {
    stream.to_string().split('/').nth(1) == Some(project_id.as_str())
}

/// The versions that the feed shows of each stream, in its order.
async fn feed(world: &World) -> BTreeMap<String, Vec<u64>> {
    let mut shown: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = world.get(&format!("/events?limit=100{after}")).await;
        let events = page["data"].as_array().unwrap();
        for event in events {
            let (stream, version) = event["id"].as_str().unwrap().rsplit_once('/').unwrap();
            shown.entry(stream.to_owned()).or_default().push(version.parse().unwrap());
        }
        match page["nextCursor"].as_str() {
            Some(next) if !events.is_empty() => after = format!("&after={next}"),
            _ => return shown,
        }
    }
}

/// How many letters each function has left.
pub(crate) async fn dead_letters(world: &World) -> BTreeMap<&'static str, usize> {
    let client = world.cloud.dynamo().client();
    let mut letters: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut start = None;
    loop {
        let page = client.scan().table_name(VIEWS_TABLE).set_exclusive_start_key(start).send().await.unwrap();
        for item in page.items() {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let function = text("pk").and_then(|key| key.strip_prefix("dead#")).map(|name| {
                *["uploads", "intake", "react", "views", "tasks", "sweep", "api"]
                    .iter()
                    .find(|known| **known == name)
                    .unwrap_or_else(|| panic!("a letter of {name}"))
            });
            if let (Some(function), Some(id)) = (function, text("sk")) {
                // A long one is in parts.
                let id = id.split('#').next().unwrap_or_default().to_owned();
                letters.entry(function).or_default().insert(id);
            }
        }
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            return letters.into_iter().map(|(function, ids)| (function, ids.len())).collect();
        }
    }
}

/// The events of a video, as the API tells them.
pub(crate) async fn kinds(world: &World, video_id: &str) -> Vec<String> {
    let (mut kinds, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/videos/{video_id}/events?limit=100{after}")).await;
        let events = page["data"].as_array().unwrap();
        kinds.extend(events.iter().map(|event: &Value| event["type"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return kinds,
        }
    }
}
