use streamio_events::video::Phase;

use super::TestBed;
use super::given::{Numbers, full_row, phase, row};
use crate::ports::view_store::ViewStore;

/// A row comes back with every field, to the last bit of its numbers and the oddest of its characters.
pub async fn a_row_is_got_as_it_was_put(bed: &impl TestBed) {
    let store = bed.open().await;
    let full = full_row();
    let (project_id, video_id) = (&full.video.project_id, &full.video.video_id);
    assert_eq!(store.get(project_id, video_id).await.expect("an answer"), None);
    assert!(store.put(&full).await.expect("an answer"));
    let other = bed.open().await;
    assert_eq!(other.get(project_id, video_id).await.expect("an answer").as_ref(), Some(&full));
    let elsewhere = "other".parse().expect("a project id");
    assert_eq!(store.get(&elsewhere, video_id).await.expect("an answer"), None);
}

/// Replays and duplicates change nothing.
pub async fn only_a_higher_version_takes_a_rows_place(bed: &impl TestBed) {
    let store = bed.open().await;
    for (version, kind, written) in [(2, 1, true), (2, 2, false), (1, 3, false), (5, 0, true), (4, 1, false)]
    {
        let put = store.put(&row("acme", "a", version, 0, phase(kind))).await.expect("an answer");
        assert_eq!(put, written, "version {version}");
    }
    let kept = row("acme", "a", 5, 0, phase(0));
    let got = store.get(&kept.video.project_id, &kept.video.video_id).await.expect("an answer");
    assert_eq!(got, Some(kept));
}

/// Whatever order writers come in, nobody ever sees a version go back, and the highest stays.
pub async fn of_racing_writers_the_highest_version_stays(bed: &impl TestBed) {
    const WRITERS: u64 = 8;
    const VERSIONS: u64 = 16;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = bed.open().await;
        tasks.spawn(async move {
            let mut versions: Vec<u64> = (0..VERSIONS).map(|n| 1 + n * WRITERS + writer).collect();
            let mut numbers = Numbers::new(writer + 1);
            versions.sort_by_cached_key(|_| numbers.below(1000));
            for version in versions {
                store.put(&row("acme", "a", version, 0, Phase::Ready)).await.expect("an answer");
            }
        });
    }
    let reader = bed.open().await;
    let watched = row("acme", "a", 1, 0, Phase::Ready).video;
    let mut seen = 0;
    loop {
        let over = tasks.is_empty();
        let got = reader.get(&watched.project_id, &watched.video_id).await.expect("an answer");
        let version = got.map_or(0, |row| row.video.version);
        assert!(version >= seen, "version {version} after {seen}");
        seen = version;
        if over {
            break;
        }
        while let Some(ended) = tasks.try_join_next() {
            ended.expect("no writer panics");
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, WRITERS * VERSIONS);
}
