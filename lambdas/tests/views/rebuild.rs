use async_trait::async_trait;
use streamio_events::commit::{Head, NewCommit};
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_lambdas::rebuild;
use streamio_lambdas::view_store::ViewStore as _;
use streamio_lambdas::views::refresh;

use crate::given::{Numbers, append, key_of, life, poison, policy, project, start, video};
use crate::memory::MemoryViews;

const EVENTS: usize = 100_000;
const VIDEOS: usize = 4_000;

/// Videos whose commits, of one to nine events, come in one another's midst.
async fn history(log: &MemoryLog, videos: usize, events: usize) {
    let mut numbers = Numbers::new(7);
    let mut lives: Vec<_> = (0..videos)
        .map(|n| {
            let (owner, name) = (format!("project-{}", n % 7), format!("v{n}"));
            let bodies = life(&project(&owner), &key_of(&owner, &name), events / videos, n as u64);
            (video(&owner, &name), bodies.into_iter())
        })
        .collect();
    while !lives.is_empty() {
        let index = usize::try_from(numbers.below(lives.len() as u64)).unwrap();
        let (stream, rest) = &mut lives[index];
        let size = usize::try_from(1 + numbers.below(9)).unwrap();
        let bodies: Vec<_> = rest.by_ref().take(size).collect();
        if bodies.is_empty() {
            lives.swap_remove(index);
        } else {
            append(log, stream, &rest.len().to_string(), start(), bodies).await;
        }
    }
}

/// A log whose parts come in the reverse order and in short pages.
struct Reversed(MemoryLog);

#[async_trait]
impl EventLog for Reversed {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("a rebuild appends nothing".into()))
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.0.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.0.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        let part = Part::new(part.of() - 1 - part.index(), part.of()).unwrap();
        self.0.scan(part, after, limit.min(333)).await
    }
}

#[tokio::test]
async fn a_hundred_thousand_events_are_rebuilt_to_the_same_hash_in_any_parts_and_order() {
    let log = MemoryLog::new();
    history(&log, VIDEOS, EVENTS).await;
    let begun = std::time::Instant::now();
    let incremental = MemoryViews::default();
    let mut position = 0;
    loop {
        let changes = log.changes_after(position, 1000).await.unwrap();
        let Some((last, _)) = changes.last() else { break };
        position = *last;
        for (_, commit) in &changes {
            let StreamId::Video(project_id, video_id) = &commit.stream else { unreachable!() };
            refresh(&log, &incremental, &policy(), project_id, video_id).await.unwrap();
        }
    }
    assert_eq!(incremental.len(), VIDEOS);
    eprintln!("incremental {:?}", begun.elapsed());
    for parts in [1, 8] {
        let rebuilt = MemoryViews::default();
        let report = rebuild::videos(&log, &rebuilt, &policy(), parts).await.unwrap();
        assert_eq!(report.commits, position);
        assert_eq!(rebuilt.hash(), incremental.hash(), "{parts} parts");
        eprintln!("{parts} {:?}", begun.elapsed());
    }
    let reversed = MemoryViews::default();
    rebuild::videos(&Reversed(log), &reversed, &policy(), 5).await.unwrap();
    assert_eq!(reversed.hash(), incremental.hash(), "5 parts in the reverse order");
}

#[tokio::test]
async fn a_video_that_cannot_be_read_to_its_end_is_named_and_the_others_are_rebuilt() {
    let log = MemoryLog::new();
    history(&log, 20, 400).await;
    let poisoned = video("project-3", "v3");
    poison(&log, &poisoned, start()).await;
    history_of_another(&log).await;
    let views = MemoryViews::default();
    let report = rebuild::videos(&log, &views, &policy(), 2).await.unwrap();
    assert_eq!(report.unreadable.into_iter().collect::<Vec<_>>(), [poisoned.clone()]);
    assert_eq!(views.len(), 21);
    let StreamId::Video(project_id, video_id) = &poisoned else { unreachable!() };
    let row = views.get(project_id, video_id).await.unwrap().unwrap();
    assert_eq!(row.video.version + 1, log.head(&poisoned).await.unwrap().version, "up to what is poisoned");
}

async fn history_of_another(log: &MemoryLog) {
    let bodies = life(&project("last"), &key_of("last", "v"), 10, 1);
    append(log, &video("last", "v"), "all", start(), bodies).await;
}

/// What a live projection wrote meanwhile is newer, or the same.
#[tokio::test]
async fn a_rebuild_beside_the_projection_takes_nothing_back() {
    let log = MemoryLog::new();
    history(&log, 20, 400).await;
    let (views, other) = (MemoryViews::default(), MemoryViews::default());
    rebuild::videos(&log, &views, &policy(), 4).await.unwrap();
    let before = views.hash();
    rebuild::videos(&log, &other, &policy(), 1).await.unwrap();
    rebuild::videos(&log, &views, &policy(), 3).await.unwrap();
    assert_eq!((views.hash(), other.hash()), (before, before));
}
