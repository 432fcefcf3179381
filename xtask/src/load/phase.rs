//! What is measured in each phase.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::figures::Measured;
use super::latency::Latencies;
use super::project::Project;

/// The time between two requests for an upload URL that are timed.
const PAUSE: Duration = Duration::from_millis(25);

/// The same work in each phase.
pub(super) struct Phase<'a> {
    pub(super) clip: &'a [u8],
    /// The projects whose videos are timed.
    pub(super) others: &'a [Project],
    /// The project whose upload URLs are timed.
    pub(super) observer: &'a Project,
    /// The number of videos of each of `others`.
    pub(super) videos: u32,
}

impl Phase<'_> {
    /// Each project uploads its videos one after another, when `begun` has returned.
    pub(super) fn run(&self, begun: impl FnOnce() -> Result<()>) -> Result<Measured> {
        begun()?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let grants = scope.spawn(|| self.time_grants(&is_over));
            let projects: Vec<_> =
                self.others.iter().map(|project| scope.spawn(|| self.time_videos(project))).collect();
            let ready: Result<Vec<Vec<Duration>>> = projects.into_iter().map(joined).collect();
            is_over.store(true, Ordering::Relaxed);
            let grants = joined(grants)?;
            Ok(Measured { ready: Latencies::of(ready?.concat()), grants: Latencies::of(grants) })
        })
    }

    fn time_videos(&self, project: &Project) -> Result<Vec<Duration>> {
        (0..self.videos).map(|_| project.wait_until_ready(&project.upload(self.clip)?)).collect()
    }

    fn time_grants(&self, is_over: &AtomicBool) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let started = Instant::now();
            self.observer.grant()?;
            times.push(started.elapsed());
            thread::sleep(PAUSE);
        }
        Ok(times)
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
}
