//! Properties of lists.

use std::collections::{BTreeMap, BTreeSet};

use streamio_events::home::VideoFilter;
use streamio_events::id::ProjectId;
use streamio_events::video::{Phase, Policy, VideoState, VideoStatus};

use super::fixtures::{PHASES, all_pages, phase, row};
use super::harness::ViewStoreHarness;
use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};

/// After any writes, the lists by project and by state have the highest version of each video, with every page size.
pub async fn lists_are_newest_first_in_pages_of_any_size(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let mut random = fastrand::Rng::with_seed(1);
    let mut model: BTreeMap<u64, VideoRow> = BTreeMap::new();
    for _ in 0..80 {
        let (name, version, kind) = (random.u64(..20), 1 + random.u64(..6), random.u64(..PHASES));
        // Several videos have the same creation time.
        let created = i64::try_from(name / 3).expect("a small number");
        let row = |project| row(project, &format!("v{name}"), version, created, phase(kind));
        let newer = model.get(&name).is_none_or(|known| known.video.version < version);
        assert_eq!(store.put(&row("acme")).await.unwrap(), newer);
        if newer {
            model.insert(name, row("acme"));
        }
        // A project whose name begins with the name of the other one.
        store.put(&row("acme2")).await.unwrap();
    }
    for state in std::iter::once(None).chain(VideoState::ALL.map(Some)) {
        let holds = |status: &VideoStatus| match state {
            Some(state) => status.state == state,
            None => !matches!(status.state, VideoState::Deleted | VideoState::Expired),
        };
        let mut expected: Vec<VideoStatus> =
            model.values().filter_map(|row| row.status.clone()).filter(holds).collect();
        expected.sort_by(|a, b| (b.created_at, &b.video_id).cmp(&(a.created_at, &a.video_id)));
        for limit in [1, 2, 3, 7, 100] {
            assert_eq!(
                all_pages(&store, "acme", &VideoFilter::by_state(state), limit).await,
                expected,
                "{state:?} by {limit}"
            );
        }
        let other = all_pages(&store, "acme2", &VideoFilter::by_state(state), 100).await;
        assert!(other.iter().all(|status| status.project_id.as_str() == "acme2"));
        assert_eq!(other.len(), expected.len());
    }
    assert!(all_pages(&store, "unknown", &VideoFilter::default(), 10).await.is_empty());
    let nothing = store.list(&project(), &VideoFilter::default(), None, 0).await.unwrap();
    assert!(nothing.videos.is_empty());
}

/// Writes during the reading of a list repeat no video and omit none that stays in the list.
pub async fn a_list_read_during_writes_returns_each_video_once(harness: &impl ViewStoreHarness) {
    const VIDEOS: i64 = 30;
    let (store, writer) = (harness.open().await, harness.open().await);
    let put = |name: String, version, created, kind| {
        let (row, writer) = (row("acme", &name, version, created, phase(kind)), &writer);
        async move { writer.put(&row).await.unwrap() }
    };
    for n in 0..VIDEOS {
        put(format!("v{n}"), 1, n, n.unsigned_abs() % 2).await;
    }
    for (state, versions) in [(None, 2), (Some(VideoState::Ready), 1000)] {
        let (mut seen, mut after): (Vec<VideoStatus>, Option<String>) = (Vec::new(), None);
        let mut round = 0;
        loop {
            let page =
                store.list(&project(), &VideoFilter::by_state(state), after.as_deref(), 4).await.unwrap();
            seen.extend(page.videos);
            after = page.next;
            if after.is_none() {
                break;
            }
            round += 1;
            for n in 0..VIDEOS {
                // Every sixth video stays ready, every odd one uploaded; the others alternate between ready and errored.
                let kind = match n {
                    _ if n % 6 == 0 => 0,
                    _ if n % 2 == 1 => 1,
                    _ => 2 * (round % 2),
                };
                put(format!("v{n}"), versions + round, n, kind).await;
            }
            put(format!("late{round}{state:?}"), 1, 1000, 0).await;
        }
        let ids: BTreeSet<_> = seen.iter().map(|status| status.video_id.clone()).collect();
        assert_eq!(ids.len(), seen.len(), "no video is returned twice");
        for n in (0..VIDEOS).filter(|n| state.is_none() || n % 6 == 0) {
            let kept = row("acme", &format!("v{n}"), 1, n, phase(0)).video.video_id;
            assert!(ids.contains(&kept), "v{n} was in the list all the time");
        }
    }
}

/// Prefixes and metadata select the same videos as a check of every status, in the order of the list, with every page size.
pub async fn lists_are_filtered_by_prefix_metadata_and_state(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut model: BTreeMap<u64, VideoRow> = BTreeMap::new();
    let folders = ["films/", "films/2026/", "films%/", "Films/", "", "fil_ms/", "\u{e9}t\u{e9}/"];
    for version in 1..=60 {
        // The later versions have other metadata.
        let name = random.u64(..25);
        let folder = folders[usize::try_from(name).expect("a small number") % folders.len()];
        let mut video = row("acme", &format!("{folder}v{name}"), version, 0, phase(random.u64(..4))).video;
        video.created_at = super::fixtures::at(i64::try_from(name / 2).expect("a small number"));
        for key in ["customer", "lesson"] {
            if random.u64(..3) > 0 {
                video.metadata.insert(key.to_owned(), format!("{}'%\u{1f3ac}", random.u64(..2)));
            }
        }
        let row = VideoRow::of(video, &Policy::new("raw", "processed"));
        assert!(store.put(&row).await.unwrap());
        model.insert(name, row);
    }
    let value = |number: u64| format!("{number}'%\u{1f3ac}");
    let entries = [
        vec![],
        vec![("customer", value(0))],
        vec![("customer", value(1)), ("lesson", value(0))],
        vec![("lesson", value(2))],
        vec![("other", value(0))],
    ];
    for state in [None, Some(VideoState::Ready), Some(VideoState::Deleted)] {
        for prefix in
            [None, Some("films/"), Some("films"), Some("f"), Some("fil_"), Some("\u{e9}"), Some("x")]
        {
            for entries in &entries {
                let metadata =
                    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                let filter = VideoFilter { state, prefix: prefix.map(str::to_owned), metadata };
                let statuses = model.values().filter_map(|row| row.status.clone());
                let mut expected: Vec<VideoStatus> =
                    statuses.filter(|status| filter.passes(status)).collect();
                expected.sort_by(|a, b| (b.created_at, &b.video_id).cmp(&(a.created_at, &a.video_id)));
                for limit in [1, 3, 100] {
                    assert_eq!(all_pages(&store, "acme", &filter, limit).await, expected, "{filter:?}");
                }
            }
        }
    }
}

/// A video has no status before an event states its object key.
pub async fn videos_without_a_status_are_not_listed(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let mut video = row("acme", "a", 1, 0, Phase::Waiting).video;
    video.s3_key = None;
    let unknown = VideoRow::of(video, &Policy::new("raw", "processed"));
    assert!(store.put(&unknown).await.unwrap());
    assert!(all_pages(&store, "acme", &VideoFilter::default(), 10).await.is_empty());
    assert!(
        all_pages(&store, "acme", &VideoFilter::by_state(Some(VideoState::Waiting)), 10).await.is_empty()
    );
    let got = store.get(&unknown.video.project_id, &unknown.video.video_id).await.unwrap();
    assert_eq!(got, Some(unknown));
}

/// A cursor is valid only for its own list.
pub async fn a_cursor_of_another_list_is_refused(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    for project in ["acme", "acme2"] {
        for n in 0..3 {
            store.put(&row(project, &format!("v{n}"), 1, n, phase(0))).await.unwrap();
        }
    }
    let first = |project: &'static str, state| {
        let store = &store;
        async move {
            let page = store
                .list(&project.parse().expect("a project id"), &VideoFilter::by_state(state), None, 1)
                .await;
            page.unwrap().next.expect("two more follow")
        }
    };
    let ready = Some(VideoState::Ready);
    let own = first("acme", None).await;
    let others = [
        String::new(),
        "1".to_owned(),
        "x.y".to_owned(),
        "1.vid_x".to_owned(),
        "'; DROP TABLE videos; --".to_owned(),
        own[1..].to_owned(),
        format!("{own}x"),
        format!("x{own}"),
        first("acme2", None).await,
        first("acme", ready).await,
    ];
    for cursor in &others {
        let listed = store.list(&project(), &VideoFilter::default(), Some(cursor), 10).await;
        assert!(matches!(listed, Err(ViewStoreError::InvalidCursor)), "{cursor}: {listed:?}");
    }
    assert_eq!(
        store.list(&project(), &VideoFilter::default(), Some(&own), 10).await.unwrap().videos.len(),
        2
    );
    for cursor in [&own, &first("acme2", ready).await] {
        let listed = store.list(&project(), &VideoFilter::by_state(ready), Some(cursor), 10).await;
        assert!(matches!(listed, Err(ViewStoreError::InvalidCursor)), "{cursor}: {listed:?}");
    }
}

fn project() -> ProjectId {
    "acme".parse().expect("a project id")
}
