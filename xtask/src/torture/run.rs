//! A run: the cycles of starting, loading, killing and checking the platform.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use minreq::Method;
use serde_json::json;

use super::check::acknowledged::Running;
use super::check::directory;
use super::check::feed::Feed;
use super::check::history;
use super::check::webhooks;
use super::client::{Client, Limits, create_project};
use super::disk::Loss;
use super::figures::Figures;
use super::file;
use super::medium::Medium;
use super::processes;
use super::receiver::Receiver;
use super::record::Video;
use super::stage::{Moment, Stage};
use super::storage::Storage;
use crate::platform::api::Api;
use crate::platform::program::{Addresses, Places, Platform};
use crate::process::{self, check_interrupted};

/// Options of the platform: few workers, so that attempts wait for one, and webhooks to this machine.
const OPTIONS: [&str; 3] = ["--concurrency", "2", "--webhook-loopback"];
/// The clients that make calls at the same time.
const CLIENTS: usize = 3;
/// The uploads of a cycle, each of which starts a worker.
const UPLOADS: i64 = 5;
/// Those of them that are clips.
const CLIPS: i64 = 2;
/// One cycle of so many has an upload in parts.
const IN_PARTS_EVERY: u32 = 8;
/// The videos of earlier cycles that are checked in each cycle.
const SAMPLE: usize = 10;
/// One cycle of so many begins with a check of everything.
const THOROUGH_EVERY: u32 = 50;
/// One kill of so many is followed by a check of the files before the next start.
const FILES_EVERY: u32 = 5;
/// How long the moment of a kill is waited for.
const PATIENCE: Duration = Duration::from_secs(6);

/// The state of a run.
pub(super) struct Run {
    places: Places,
    medium: Medium,
    rng: Rng,
    clip: Arc<Vec<u8>>,
    clients: Vec<Client>,
    receiver: Receiver,
    key: String,
    feed: Feed,
    /// The time that the latest complete start took.
    start_time: Duration,
    figures: Figures,
    /// The cycle after the latest check of the videos' states.
    checked: u32,
}

impl Run {
    /// Starts the platform for the first time, creates a project, and kills it: the first power loss.
    pub(super) fn begin(places: Places, mut medium: Medium, work: &Path, seed: u64) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let clip = Arc::new(file::make_clip(work)?);
        let started = Instant::now();
        let mut platform = Platform::start(&places, &OPTIONS)?;
        let addresses = platform.ready()?;
        let start_time = started.elapsed();
        let key = create_project(&places)?;
        let receiver = Receiver::start()?;
        let api = Api { url: addresses.api, key: key.clone() };
        register(&api, &receiver)?;
        platform.kill()?;
        processes::wait_until_none_uses(&places.data)?;
        medium.lose_power(Loss::All, &mut rng)?;
        let clients = (0..CLIENTS)
            .map(|number| Client::new(format!("c{number}"), rng.fork(), Arc::clone(&clip)))
            .collect();
        let (feed, figures) = (Feed::default(), Figures::default());
        Ok(Self { places, medium, rng, clip, clients, receiver, key, feed, start_time, figures, checked: 0 })
    }

    /// Runs the cycles, and checks everything at the end. Calls `progress` with the figures after each kill.
    pub(super) fn cycles(
        &mut self,
        cycles: u32,
        mut progress: impl FnMut(&Figures, Stage),
    ) -> Result<&Figures> {
        let started = Instant::now();
        for cycle in 1..=cycles {
            check_interrupted()?;
            if cycle % THOROUGH_EVERY == 0 {
                self.check_everything(false).with_context(|| format!("before cycle {cycle}"))?;
            }
            let moment = Moment::choose(&mut self.rng);
            let stage = moment.stage;
            self.cycle(cycle, moment).with_context(|| format!("in cycle {cycle} ({stage})"))?;
            self.figures.took = started.elapsed();
            progress(&self.figures, stage);
        }
        self.check_everything(true).context("after the last cycle")?;
        self.figures.took = started.elapsed();
        Ok(&self.figures)
    }

    /// Starts the platform, and kills it at the moment.
    fn cycle(&mut self, cycle: u32, moment: Moment) -> Result<()> {
        // Every cycle takes the same numbers from the generator, whatever happens in it.
        let (loss, mut loss_rng, mut sample_rng) =
            (Loss::choose(&mut self.rng), self.rng.fork(), self.rng.fork());
        let started = Instant::now();
        if moment.stage == Stage::Start {
            self.medium.fail_after(moment.changes);
        }
        let mut platform = Platform::start(&self.places, &OPTIONS)?;
        if moment.stage == Stage::Start {
            self.wait_in_start(&mut platform, moment)?;
        } else {
            let addresses = platform.ready()?;
            self.start_time = started.elapsed();
            let api = self.api(&addresses);
            if moment.stage != Stage::Recovery {
                self.check_since(&addresses, &mut sample_rng)?;
                self.checked = cycle;
            }
            self.load(cycle, moment, &api, &platform)?;
        }
        self.medium.wait_until_off()?;
        platform.kill()?;
        self.end_load()?;
        processes::wait_until_none_uses(&self.places.data)?;
        let is_losing = matches!(self.medium, Medium::Losing(_));
        self.figures.lost += self.medium.lose_power(loss, &mut loss_rng)?;
        self.figures.power_losses += u32::from(is_losing);
        self.figures.cycles += 1;
        *self.figures.kills.entry(moment.stage).or_default() += 1;
        // Manifests are not synced, so that after a power loss the check would find them missing until the next start.
        if !is_losing && cycle.is_multiple_of(FILES_EVERY) {
            directory::check_with_commands(&self.places, false)?;
        }
        Ok(())
    }

    /// Waits for a moment in the start of the platform.
    fn wait_in_start(&mut self, platform: &mut Platform, moment: Moment) -> Result<()> {
        match self.medium {
            Medium::Own => {
                let wait = self.start_time.mul_f64(f64::from(u32::try_from(moment.after)?) / 100.0);
                platform.ready_within(wait)?;
                Ok(())
            }
            Medium::Losing(_) => self.medium.wait_until_off(),
        }
    }

    /// Lets the clients make calls until the moment has come, with the platform still running.
    fn load(&mut self, cycle: u32, moment: Moment, api: &Api, platform: &Platform) -> Result<()> {
        let in_parts = i64::from(cycle.is_multiple_of(IN_PARTS_EVERY));
        let limits = Limits::new(UPLOADS, CLIPS, in_parts);
        let (medium, feed, figures) = (&self.medium, &mut self.feed, &mut self.figures);
        thread::scope(|scope| {
            for client in &mut self.clients {
                client.cycle = cycle;
                let limits = &limits;
                scope.spawn(move || client.run(api, limits));
            }
            let came = wait_for_moment(moment, api, &limits, feed);
            figures.late += u32::from(matches!(came, Ok(false)));
            medium.fail_after(moment.changes);
            if moment.stage == Stage::Stop {
                platform.request_stop();
            }
            let off = medium.wait_until_off();
            // Before the clients are stopped, so that it cuts their calls off.
            platform.signal_kill();
            limits.stop.store(true, Ordering::Relaxed);
            came.map(|_| ()).and(off)
        })
    }

    /// Collects what the clients counted, and fails if a call was refused.
    fn end_load(&mut self) -> Result<()> {
        for client in &mut self.clients {
            self.figures.counts += std::mem::take(&mut client.counts);
            ensure!(client.refused.is_empty(), "calls were refused: {}", client.refused.join("\n"));
        }
        Ok(())
    }

    /// Checks what was acknowledged since the last check, and a sample of what was acknowledged before.
    fn check_since(&mut self, addresses: &Addresses, rng: &mut Rng) -> Result<()> {
        let (api, storage) = (self.api(addresses), Storage::open(&addresses.s3, &self.places.data)?);
        let running = Running { api: &api, storage: &storage, clip: &self.clip };
        let (mut later, mut earlier) = (Vec::new(), Vec::new());
        for video in self.clients.iter().flat_map(Client::settled) {
            if video.cycle >= self.checked { later.push(video) } else { earlier.push(video) }
        }
        rng.shuffle(&mut earlier);
        later.extend(earlier.into_iter().take(SAMPLE));
        later.into_iter().try_for_each(|video| running.has(video))?;
        self.feed.check_again(&api, false)
    }

    /// Starts the platform, checks everything, stops it, and checks its files. With `at_rest` it lets the platform process all videos before.
    fn check_everything(&mut self, at_rest: bool) -> Result<()> {
        let mut platform = Platform::start(&self.places, &OPTIONS)?;
        let addresses = platform.ready()?;
        let (api, storage) = (self.api(&addresses), Storage::open(&addresses.s3, &self.places.data)?);
        for client in &mut self.clients {
            client.finish(&api)?;
        }
        self.end_load()?;
        let videos: Vec<Video> = self.clients.iter().flat_map(|client| client.videos.clone()).collect();
        let running = Running { api: &api, storage: &storage, clip: &self.clip };
        if at_rest {
            running.comes_to_rest(&videos)?;
        }
        videos.iter().try_for_each(|video| running.has(video))?;
        let mut ready = 0;
        for video in videos.iter().filter(|video| video.has_source()) {
            ready += usize::from(running.plays(video)?);
        }
        self.feed.check_again(&api, true)?;
        self.feed.read_on(&api)?;
        let grants: Vec<String> =
            self.clients.iter().flat_map(|client| client.playback_grants.iter().cloned()).collect();
        let faults = history::faults(&self.feed.events, &videos, &grants, at_rest);
        if !faults.is_empty() {
            bail!("{} faults in the events:\n{}", faults.len(), faults.join("\n"));
        }
        if at_rest {
            webhooks::arrive(&api, &self.feed.events, &self.receiver)?;
        }
        platform.stop()?;
        processes::wait_until_none_uses(&self.places.data)?;
        directory::check_with_commands(&self.places, true)?;
        directory::check_files(&self.places.data)?;
        self.figures.videos = videos.len();
        self.figures.ready = ready;
        self.figures.events = self.feed.events.len();
        let interrupted = self.feed.events.iter().filter(|event| event.kind == "processing.interrupted");
        self.figures.interrupted = interrupted.count();
        let messages = self.receiver.messages()?;
        self.figures.messages = messages.len();
        self.figures.repetitions = messages.values().map(|message| message.times - 1).sum();
        Ok(())
    }

    fn api(&self, addresses: &Addresses) -> Api {
        Api { url: addresses.api.clone(), key: self.key.clone() }
    }

    /// Copies the data directory, as it is, to `target`.
    pub(super) fn keep_data(&self, target: &Path) -> Result<()> {
        self.medium.switch_on();
        let mut command = Command::new("cp");
        command.arg("-a").arg(&self.places.data).arg(target);
        process::run(command)
    }
}

/// Registers the receiver for all messages.
fn register(api: &Api, receiver: &Receiver) -> Result<()> {
    let endpoint = json!({ "url": receiver.url });
    api.call(Method::Post, "/webhooks", Some(&endpoint), "register")?;
    Ok(())
}

/// Waits for a moment under load. Returns whether it came in time.
fn wait_for_moment(moment: Moment, api: &Api, limits: &Limits, feed: &mut Feed) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    // The events of the last run are not counted.
    feed.read_on(api)?;
    while Instant::now() < deadline {
        check_interrupted()?;
        let is_reached = if let Stage::Event(kind) = moment.stage {
            let first = feed.read_on(api)?;
            seen += feed.events[first..].iter().filter(|event| event.kind == kind).count() as u64;
            seen >= moment.after
        } else {
            limits.acknowledged.load(Ordering::Relaxed) >= moment.after
        };
        if is_reached {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}
