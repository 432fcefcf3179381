//! Compares calls over HTTP with direct calls, for every method of the home region.

use std::fmt::Debug;

use streamio_edge::home::HomeClient;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::home::{
    FeedPage, Home, HomeError, MAX_PAGE_ITEMS, MAX_REPLY_BYTES, Page, Recorded, VideoFilter,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::metadata::MetadataPatch;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoState;

use super::harness::{HomeHarness, acme, api_key, granted, stream_of, video};

/// Returns a result as text, for comparison.
fn shown<T: Debug>(result: Result<T, HomeError>) -> String {
    match result {
        Ok(result) => format!("{result:#?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn page_of(page: FeedPage) -> Page<CloudEvent> {
    Page { data: page.data, next: page.position }
}

fn projects() -> [ProjectId; 2] {
    [acme(), "globex".parse().unwrap()]
}

fn videos() -> [VideoId; 4] {
    ["waiting", "uploaded", "errored", "unknown"].map(video)
}

#[tokio::test]
async fn a_status_is_the_same_now_and_as_of_any_time() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client();
    let mut found = 0;
    for (project, id) in projects().iter().flat_map(|project| videos().map(|id| (project, id))) {
        let direct = shown(harness.direct.video(project, &id).await);
        assert_eq!(shown(client.video(project, &id).await), direct);
        found += usize::from(direct != "None");
        for seconds in -1..4 {
            let at = Timestamp::from_unix_seconds(1_767_323_045 + seconds);
            let direct = shown(harness.direct.video_as_of(project, &id, at).await);
            assert_eq!(shown(client.video_as_of(project, &id, at).await), direct, "{at}");
        }
    }
    assert_eq!(found, 3);
    harness.stop().await;
}

/// Returns all pages of a list, with their cursors. A feed's last page is empty; other lists end with a page without a cursor.
async fn all_pages<T>(
    mut page: impl AsyncFnMut(Option<&str>) -> Result<Page<T>, HomeError>,
    is_feed: bool,
) -> Vec<Page<T>> {
    let mut pages = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let found = page(after.as_deref()).await.unwrap();
        after.clone_from(&found.next);
        let ended = if is_feed { found.data.is_empty() } else { found.next.is_none() };
        pages.push(found);
        if ended {
            return pages;
        }
    }
}

#[tokio::test]
async fn lists_and_histories_are_the_same_page_by_page() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client();
    let direct = &*harness.direct;
    let states = [None].into_iter().chain(VideoState::ALL.map(Some));
    for (state, limit) in states.flat_map(|state| [1, 2, 100].map(|limit| (state, limit))) {
        let filter = VideoFilter::by_state(state);
        for project in &projects() {
            let of = async |views: &dyn Home| {
                all_pages(async |after| views.list_videos(project, &filter, after, limit).await, false).await
            };
            assert_eq!(of(&client).await, of(direct).await);
        }
    }
    for (project, limit) in projects().iter().flat_map(|project| [1, 2, 100].map(|limit| (project, limit))) {
        let feed = async |views: &dyn Home| {
            all_pages(async |after| views.feed(project, after, limit).await.map(page_of), true).await
        };
        assert_eq!(feed(&client).await, feed(direct).await);
        for id in &videos()[..3] {
            let events = async |views: &dyn Home| {
                let page = async |after: Option<&str>| {
                    let page = views.video_events(project, id, after, limit).await?;
                    Ok(page.unwrap_or(Page { data: Vec::new(), next: None }))
                };
                all_pages(page, false).await
            };
            assert_eq!(events(&client).await, events(direct).await);
        }
    }
    let all = client.list_videos(&acme(), &VideoFilter::default(), None, 100).await.unwrap().data;
    assert_eq!(all.len(), 3);
    harness.stop().await;
}

#[tokio::test]
async fn an_invalid_cursor_is_refused() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client();
    for views in [&client as &dyn Home, &*harness.direct] {
        for cursor in [Some("no-cursor"), Some("-1")] {
            let refused =
                |result: String| assert_eq!(result, "error: not a cursor of this list", "{cursor:?}");
            refused(shown(views.list_videos(&acme(), &VideoFilter::default(), cursor, 5).await));
            refused(shown(views.video_events(&acme(), &video("waiting"), cursor, 5).await));
            refused(shown(views.feed(&acme(), cursor, 5).await));
        }
    }
    harness.stop().await;
}

#[tokio::test]
async fn tenants_are_the_same_and_unknown_keys_are_not_found() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client();
    let mut found = Vec::new();
    for (project, number) in ["acme", "globex"].iter().flat_map(|project| [0, 1, 9].map(|n| (project, n))) {
        let key = api_key(project, number).hash();
        let direct = harness.direct.tenant(&key).await.unwrap();
        assert_eq!(client.tenant(&key).await.unwrap(), direct);
        found.extend(direct);
    }
    assert_eq!(
        found.iter().map(|it| (it.revoked, it.suspended)).collect::<Vec<_>>(),
        [(false, false), (true, false), (false, true), (true, true),]
    );
    harness.stop().await;
}

#[tokio::test]
async fn commands_are_idempotent_and_refused_with_the_same_texts() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client();
    let commit = |cause: &str| CommitId::derived_from(&[cause]);
    for name in ["waiting", "uploaded", "unknown"] {
        let shown = |result| match result {
            Err(error @ (HomeError::Conflict { .. } | HomeError::NotFound)) => format!("{error}"),
            other => panic!("{other:?}"),
        };
        let here = client.reprocess_video(&acme(), &video(name), &commit("here")).await;
        let there = harness.direct.reprocess_video(&acme(), &video(name), &commit("there")).await;
        assert_eq!(shown(here), shown(there), "{name}");
    }

    let before = harness.count(&stream_of("errored")).await;
    let first = client.reprocess_video(&acme(), &video("errored"), &commit("again")).await.unwrap();
    assert_eq!(
        (first.status.state, first.status.generation, first.repeated),
        (VideoState::Uploaded, 2, false)
    );
    let second = client.reprocess_video(&acme(), &video("errored"), &commit("again")).await.unwrap();
    assert_eq!((first.status, second.repeated), (second.status, true));
    assert_eq!(harness.count(&stream_of("errored")).await, (before.0 + 1, before.1 + 1));

    let patch = MetadataPatch::from_iter([("title".to_owned(), Some("Summer".to_owned()))]);
    let other = MetadataPatch::from_iter([("title".to_owned(), None)]);
    for (home, other_home) in [(&client as &dyn Home, &*harness.direct), (&*harness.direct, &client)] {
        let (id, key) = (video("errored"), commit("patch"));
        let updated = home.update_video(&acme(), &id, &key, &patch).await.unwrap();
        assert_eq!(updated.status.metadata["title"], "Summer");
        assert!(other_home.update_video(&acme(), &id, &key, &patch).await.unwrap().repeated);
        let reused = other_home.update_video(&acme(), &id, &key, &other).await;
        assert!(matches!(reused, Err(HomeError::KeyReused)), "{reused:?}");
        let unknown = home.update_video(&acme(), &video("unknown"), &commit("other"), &patch).await;
        assert!(matches!(unknown, Err(HomeError::NotFound)), "{unknown:?}");
    }

    let deleted = client.delete_video(&acme(), &video("errored"), &commit("delete")).await.unwrap();
    assert_eq!(deleted.status.state, VideoState::Deleted);
    assert_eq!(client.delete_video(&acme(), &video("errored"), &commit("once more")).await.unwrap(), deleted);
    assert_eq!(client.video(&acme(), &video("errored")).await.unwrap(), Some(deleted.status));
    let unknown = client.delete_video(&acme(), &video("unknown"), &commit("none")).await;
    assert!(matches!(unknown, Err(HomeError::NotFound)), "{unknown:?}");
    harness.stop().await;
}

/// The client caches statuses, and its own commands update the cache.
#[tokio::test]
async fn a_client_sees_its_own_deletion_although_it_caches_statuses() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let client = harness.client_with(|config| config.statuses_for = std::time::Duration::from_hours(1), 0);
    let state =
        async |client: &HomeClient| client.video(&acme(), &video("waiting")).await.unwrap().unwrap().state;
    assert_eq!(state(&client).await, VideoState::Waiting);
    let commit = CommitId::derived_from(&["elsewhere"]);
    harness.direct.delete_video(&acme(), &video("waiting"), &commit).await.unwrap();
    assert_eq!(state(&client).await, VideoState::Waiting, "it was cached");
    client.delete_video(&acme(), &video("waiting"), &CommitId::derived_from(&["here"])).await.unwrap();
    assert_eq!(state(&client).await, VideoState::Deleted);
    harness.stop().await;
}

#[tokio::test]
async fn a_fact_is_recorded_once_and_can_be_read_again() {
    let harness = HomeHarness::new().await;
    let client = harness.client();
    let stream = stream_of("new");
    let at = Timestamp::from_unix_millis(1_767_323_045_678);
    let commit = |at| NewCommit::new(CommitId::derived_from(&["grant"]), at, [granted("new", 10).into()]);
    let id = commit(at).id;
    assert_eq!(client.recall(&stream, &id).await.unwrap(), None);
    assert_eq!(client.record(&stream, commit(at)).await.unwrap(), Recorded::New);
    let first = RecordedEvent::new(at, &granted("new", 10).into());
    let later = Timestamp::from_unix_millis(1_767_323_099_999);
    assert_eq!(client.record(&stream, commit(later)).await.unwrap(), Recorded::Repeated(first.clone()));
    assert_eq!(client.recall(&stream, &id).await.unwrap(), Some(first.clone()));
    assert_eq!(harness.direct.recall(&stream, &id).await.unwrap(), Some(first));
    assert_eq!(harness.count(&stream).await, (1, 1));

    let empty = NewCommit { id, events: Vec::new(), recorded_at: at };
    let refused = client.record(&stream, empty).await.unwrap_err();
    let chain: Vec<String> = anyhow::Chain::new(&refused).map(ToString::to_string).collect();
    assert_eq!(
        chain,
        [
            "the home region cannot serve the call",
            "the fact cannot be recorded",
            "the log would refuse it: it has no events"
        ]
    );
    harness.stop().await;
}

#[tokio::test]
async fn pages_above_the_maximum_size_are_split_and_complete() {
    let harness = HomeHarness::new().await;
    let names: Vec<String> = (0..24).map(|number| format!("large-{number}")).collect();
    for name in &names {
        harness.grant(name, 60_000).await;
        harness.direct.video(&acme(), &video(name)).await.unwrap().unwrap();
    }
    let client = harness.client();
    let filter = VideoFilter::default();
    let pages = all_pages(async |after| client.list_videos(&acme(), &filter, after, 100).await, false).await;
    let whole = harness.direct.list_videos(&acme(), &filter, None, 100).await.unwrap();
    assert!(pages.len() > 1 && format!("{whole:?}").len() > MAX_REPLY_BYTES);
    assert_eq!(pages.into_iter().flat_map(|page| page.data).collect::<Vec<_>>(), whole.data);

    let pages = all_pages(async |after| client.feed(&acme(), after, 100).await.map(page_of), true).await;
    let whole = harness.direct.feed(&acme(), None, 100).await.unwrap();
    assert_eq!(pages.into_iter().flat_map(|page| page.data).collect::<Vec<_>>(), whole.data);
    assert_eq!(whole.data.len(), names.len());

    let more = usize::from(MAX_PAGE_ITEMS) + 1;
    assert!(client.feed(&acme(), None, more).await.is_ok(), "a larger limit is reduced to the maximum");
    harness.stop().await;
}
