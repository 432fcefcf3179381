//! Over HTTP is as without: every method of every port, through the home region and directly.

use std::fmt::Debug;

use streamio_edge::home::HomeClient;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::home::{Home, HomeError, MAX_PAGE_ITEMS, MAX_REPLY_BYTES, Page, Recorded, VideoFilter};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoState;

use super::world::{World, acme, api_key, granted, stream_of, video};

/// What a view answered, to be compared.
fn told<T: Debug>(answer: Result<T, HomeError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:#?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn projects() -> [ProjectId; 2] {
    [acme(), "globex".parse().unwrap()]
}

fn videos() -> [VideoId; 4] {
    ["waiting", "uploaded", "errored", "unheard-of"].map(video)
}

#[tokio::test]
async fn a_status_is_the_same_now_and_as_of_any_time() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client();
    let mut found = 0;
    for (project, id) in projects().iter().flat_map(|project| videos().map(|id| (project, id))) {
        let direct = told(world.direct.video(project, &id).await);
        assert_eq!(told(client.video(project, &id).await), direct);
        found += usize::from(direct != "None");
        for seconds in -1..4 {
            let at = Timestamp::from_unix_seconds(1_767_323_045 + seconds);
            let direct = told(world.direct.video_as_of(project, &id, at).await);
            assert_eq!(told(client.video_as_of(project, &id, at).await), direct, "{at}");
        }
    }
    assert_eq!(found, 3);
    world.end().await;
}

/// All of a list, page by page, with the cursors.
async fn walk<T>(
    mut page: impl AsyncFnMut(Option<&str>) -> Result<Page<T>, HomeError>,
    to_the_last_item: bool,
) -> Vec<Page<T>> {
    let mut pages = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let found = page(after.as_deref()).await.unwrap();
        after.clone_from(&found.next);
        let ended = if to_the_last_item { found.data.is_empty() } else { found.next.is_none() };
        pages.push(found);
        if ended {
            return pages;
        }
    }
}

#[tokio::test]
async fn lists_and_histories_are_the_same_page_by_page() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client();
    let direct = &*world.direct;
    let states = [None].into_iter().chain(VideoState::ALL.map(Some));
    for (state, limit) in states.flat_map(|state| [1, 2, 100].map(|limit| (state, limit))) {
        let filter = VideoFilter { state };
        for project in &projects() {
            let of = async |views: &dyn Home| {
                walk(async |after| views.list_videos(project, &filter, after, limit).await, false).await
            };
            assert_eq!(of(&client).await, of(direct).await);
        }
    }
    for (project, limit) in projects().iter().flat_map(|project| [1, 2, 100].map(|limit| (project, limit))) {
        let feed =
            async |views: &dyn Home| walk(async |after| views.feed(project, after, limit).await, true).await;
        assert_eq!(feed(&client).await, feed(direct).await);
        for id in &videos()[..3] {
            let events = async |views: &dyn Home| {
                let page = async |after: Option<&str>| {
                    let page = views.video_events(project, id, after, limit).await?;
                    Ok(page.unwrap_or(Page { data: Vec::new(), next: None }))
                };
                walk(page, false).await
            };
            assert_eq!(events(&client).await, events(direct).await);
        }
    }
    let all = client.list_videos(&acme(), &VideoFilter::default(), None, 100).await.unwrap().data;
    assert_eq!(all.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn a_cursor_that_no_list_gave_is_refused_as_such() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client();
    for views in [&client as &dyn Home, &*world.direct] {
        for cursor in [Some("no-cursor"), Some("-1")] {
            let refused =
                |answer: String| assert_eq!(answer, "error: not a cursor of this list", "{cursor:?}");
            refused(told(views.list_videos(&acme(), &VideoFilter::default(), cursor, 5).await));
            refused(told(views.video_events(&acme(), &video("waiting"), cursor, 5).await));
            refused(told(views.feed(&acme(), cursor, 5).await));
        }
    }
    world.end().await;
}

#[tokio::test]
async fn tenants_are_the_same_and_nobody_knows_an_unknown_key() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client();
    let mut known = Vec::new();
    for (project, number) in ["acme", "globex"].iter().flat_map(|project| [0, 1, 9].map(|n| (project, n))) {
        let key = api_key(project, number).hash();
        let direct = world.direct.tenant(&key).await.unwrap();
        assert_eq!(client.tenant(&key).await.unwrap(), direct);
        known.extend(direct);
    }
    assert_eq!(
        known.iter().map(|it| (it.revoked, it.suspended)).collect::<Vec<_>>(),
        [(false, false), (true, false), (false, true), (true, true),]
    );
    world.end().await;
}

#[tokio::test]
async fn commands_are_done_once_and_refused_in_the_same_words() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client();
    let commit = |cause: &str| CommitId::derived_from(&[cause]);
    for name in ["waiting", "uploaded", "unheard-of"] {
        let told = |answer| match answer {
            Err(error @ (HomeError::Conflict { .. } | HomeError::NotFound)) => format!("{error}"),
            other => panic!("{other:?}"),
        };
        let here = client.reprocess_video(&acme(), &video(name), &commit("here")).await;
        let there = world.direct.reprocess_video(&acme(), &video(name), &commit("there")).await;
        assert_eq!(told(here), told(there), "{name}");
    }

    let before = world.count(&stream_of("errored")).await;
    let first = client.reprocess_video(&acme(), &video("errored"), &commit("again")).await.unwrap();
    assert_eq!((first.state, first.generation), (VideoState::Uploaded, 2));
    let second = client.reprocess_video(&acme(), &video("errored"), &commit("again")).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(world.count(&stream_of("errored")).await, (before.0 + 1, before.1 + 1));

    let deleted = client.delete_video(&acme(), &video("errored"), &commit("delete")).await.unwrap();
    assert_eq!(deleted.state, VideoState::Deleted);
    assert_eq!(client.delete_video(&acme(), &video("errored"), &commit("once more")).await.unwrap(), deleted);
    assert_eq!(client.video(&acme(), &video("errored")).await.unwrap(), Some(deleted));
    let unknown = client.delete_video(&acme(), &video("unheard-of"), &commit("none")).await;
    assert!(matches!(unknown, Err(HomeError::NotFound)), "{unknown:?}");
    world.end().await;
}

/// A remembered status is at most as old as it may be, and never older than what the same client did.
#[tokio::test]
async fn whoever_deletes_a_video_sees_it_deleted_though_statuses_are_remembered() {
    let world = World::new().await;
    world.tell_history().await;
    let client = world.client_with(|config| config.statuses_for = std::time::Duration::from_hours(1), 0);
    let state =
        async |client: &HomeClient| client.video(&acme(), &video("waiting")).await.unwrap().unwrap().state;
    assert_eq!(state(&client).await, VideoState::Waiting);
    let commit = CommitId::derived_from(&["elsewhere"]);
    world.direct.delete_video(&acme(), &video("waiting"), &commit).await.unwrap();
    assert_eq!(state(&client).await, VideoState::Waiting, "it was remembered");
    client.delete_video(&acme(), &video("waiting"), &CommitId::derived_from(&["here"])).await.unwrap();
    assert_eq!(state(&client).await, VideoState::Deleted);
    world.end().await;
}

#[tokio::test]
async fn a_fact_is_recorded_once_and_recalled() {
    let world = World::new().await;
    let client = world.client();
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
    assert_eq!(world.direct.recall(&stream, &id).await.unwrap(), Some(first));
    assert_eq!(world.count(&stream).await, (1, 1));

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
    world.end().await;
}

#[tokio::test]
async fn pages_that_would_be_too_large_come_in_parts_and_nothing_is_missing() {
    let world = World::new().await;
    let names: Vec<String> = (0..24).map(|number| format!("large-{number}")).collect();
    for name in &names {
        world.grant(name, 60_000).await;
        world.direct.video(&acme(), &video(name)).await.unwrap().unwrap();
    }
    let client = world.client();
    let filter = VideoFilter::default();
    let pages = walk(async |after| client.list_videos(&acme(), &filter, after, 100).await, false).await;
    let whole = world.direct.list_videos(&acme(), &filter, None, 100).await.unwrap();
    assert!(pages.len() > 1 && format!("{whole:?}").len() > MAX_REPLY_BYTES);
    assert_eq!(pages.into_iter().flat_map(|page| page.data).collect::<Vec<_>>(), whole.data);

    let pages = walk(async |after| client.feed(&acme(), after, 100).await, true).await;
    let whole = world.direct.feed(&acme(), None, 100).await.unwrap();
    assert_eq!(pages.into_iter().flat_map(|page| page.data).collect::<Vec<_>>(), whole.data);
    assert_eq!(whole.data.len(), names.len());

    let more = usize::from(MAX_PAGE_ITEMS) + 1;
    assert!(client.feed(&acme(), None, more).await.is_ok(), "a longer page is asked for as the longest");
    world.end().await;
}
