//! The sweep's bounds, and what it does about workers that cannot be launched.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use streamio_core::reactions::sweep::{Bounds, Swept, sweep};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Phase;

use streamio_core::testing::{BOUNDS, World, notice};

async fn with_uploads(count: usize) -> World {
    let mut world = World::with_project().await;
    for number in 0..count {
        let name = format!("{number}.mp4");
        world.receive(notice(&name, "01")).await;
        world.refresh(&name).await;
    }
    world.wait(Duration::from_secs(1));
    world
}

#[tokio::test]
async fn a_sweep_takes_no_more_than_its_number_and_the_next_one_takes_the_rest() {
    let world = with_uploads(5).await;
    let bounds = Bounds { videos: 3, ..BOUNDS };
    for handled in [3, 2, 0] {
        let swept = sweep(world.ports(), &*world.store, &|| world.now, bounds).await.unwrap();
        assert_eq!(swept, Swept { handled, ..Swept::default() });
    }
    assert_eq!(world.launcher.launched().len(), 5);
}

#[tokio::test]
async fn a_sweep_begins_nothing_when_its_time_is_over_and_leaves_it_due() {
    let world = with_uploads(20).await;
    let ticks = AtomicI64::new(world.now.unix_millis());
    // Each look at the clock takes ten seconds.
    let clock = || Timestamp::from_unix_millis(ticks.fetch_add(10_000, Ordering::Relaxed));
    let swept = sweep(world.ports(), &*world.store, &clock, BOUNDS).await.unwrap();
    assert_eq!((swept.handled, swept.left), (5, 15), "{swept:?}");
    let rest = sweep(world.ports(), &*world.store, &|| world.now, BOUNDS).await.unwrap();
    assert_eq!(rest, Swept { handled: 15, ..Swept::default() });
}

#[tokio::test]
async fn without_capacity_an_attempt_stays_dispatched_and_is_launched_later() {
    let mut world = with_uploads(1).await;
    world.launcher.fail_next();
    assert_eq!(world.sweep().await, Swept { failed: 1, ..Swept::default() });
    assert_eq!(world.sweep().await, Swept::default(), "not at once");
    world.refresh("0.mp4").await;
    world.wait(Duration::from_mins(3));
    assert_eq!(world.sweep().await, Swept { handled: 1, ..Swept::default() });
    assert_eq!(world.video("0.mp4").await.attempt, 1);
    assert_eq!(world.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_launcher_that_refuses_loses_no_video_and_quarantines_none() {
    let mut world = with_uploads(1).await;
    for _ in 0..3 {
        world.launcher.refuse_next();
        assert_eq!(world.sweep().await, Swept { failed: 1, ..Swept::default() });
        world.refresh("0.mp4").await;
        world.wait(Duration::from_mins(3));
    }
    let kinds: Vec<_> = world.events("0.mp4").await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["upload.completed", "processing.dispatched"]);
    world.sweep().await;
    assert_eq!(world.launcher.launched().len(), 1, "put right");
    assert!(matches!(world.video("0.mp4").await.phase, Phase::Dispatched { .. }));
}
