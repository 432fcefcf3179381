//! A project and its clients.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use minreq::Method;
use serde_json::{Value, json};

use crate::platform::api::{self, Api, text_at};
use crate::platform::program::{Places, wait_for};
use crate::process::check_interrupted;

/// How long all videos may take until they are ready.
const TIMEOUT: Duration = Duration::from_hours(1);

/// Uploads of the flood after which the others begin.
const BEGUN: u32 = 30;

/// Validity of upload URLs in seconds.
const VALIDITY: u32 = 3600;

/// A project with its own API key.
pub(super) struct Project {
    pub(super) api: Api,
    /// The number of the next call.
    next: AtomicU32,
}

impl Project {
    /// Creates a project of the platform whose API is at `url`.
    pub(super) fn create(places: &Places, url: &str, name: &str) -> Result<Self> {
        let created: Value = places.operate(&["project", "create", name])?;
        let key = text_at(&created, "/apiKey")?.to_owned();
        Ok(Self { api: Api { url: url.to_owned(), key }, next: AtomicU32::new(0) })
    }

    /// Requests an upload URL for a new file. Returns the answer.
    pub(super) fn grant(&self) -> Result<Value> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "filename": format!("{number}.mp4"), "expiresIn": VALIDITY });
        Ok(self.api.call(Method::Post, "/upload-url", Some(&body), &format!("grant-{number}"))?)
    }

    /// Uploads `clip` as a new video and returns its id.
    pub(super) fn upload(&self, clip: &[u8]) -> Result<String> {
        let grant = self.grant()?;
        api::put(text_at(&grant, "/uploadUrl")?, clip.to_vec(), "etag")?;
        Ok(text_at(&grant, "/videoId")?.to_owned())
    }

    /// Uploads `clip`, waits until it is ready, and returns a signed URL of its MP4.
    pub(super) fn progressive_url(&self, clip: &[u8]) -> Result<String> {
        let video = self.upload(clip)?;
        self.wait_until_ready(&video)?;
        let path = format!("/videos/{video}/playback");
        let grant = self.api.call(Method::Post, &path, Some(&json!({})), &video)?;
        Ok(text_at(&grant, "/mp4Url")?.to_owned())
    }

    /// Waits until a video is ready, and returns how long that took.
    pub(super) fn wait_until_ready(&self, video: &str) -> Result<Duration> {
        let started = Instant::now();
        wait_for(
            TIMEOUT,
            || format!("video {video} is not ready"),
            || {
                let view = self.api.read(&format!("/videos/{video}"))?;
                match text_at(&view, "/state")? {
                    "ready" => Ok(Some(())),
                    "errored" => bail!("a video failed: {view}"),
                    _ => Ok(None),
                }
            },
        )?;
        Ok(started.elapsed())
    }

    /// Uploads `clip` as `videos` videos from `clients` clients that do not wait for anything, and calls `beside` meanwhile with a
    /// function that waits until the flood has begun. Returns what `beside` returns.
    pub(super) fn flood<T: Send>(
        &self,
        clip: &[u8],
        videos: u32,
        clients: u32,
        beside: impl FnOnce(&dyn Fn() -> Result<()>) -> Result<T>,
    ) -> Result<T> {
        let (begun, uploaded) = (AtomicU32::new(0), AtomicU32::new(0));
        let upload = || -> Result<()> {
            while begun.fetch_add(1, Ordering::Relaxed) < videos {
                self.upload(clip)?;
                uploaded.fetch_add(1, Ordering::Relaxed);
                check_interrupted()?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..clients).map(|_| scope.spawn(upload)).collect();
            let has_begun = || {
                let enough = || Ok((uploaded.load(Ordering::Relaxed) >= BEGUN.min(videos)).then_some(()));
                wait_for(TIMEOUT, || "the flood has not begun".to_owned(), enough)
            };
            let result = beside(&has_begun);
            for client in clients {
                client.join().map_err(|_| anyhow::anyhow!("a client of the flood panicked"))??;
            }
            result
        })
    }

    /// Waits until the project has `videos` videos and all are ready. Fails if one failed.
    pub(super) fn wait_until_all_ready(&self, videos: u32) -> Result<()> {
        let mut ready = 0;
        wait_for(
            TIMEOUT,
            || format!("not all of {videos} videos are ready"),
            || {
                let now = self.count("ready")?;
                if now != ready {
                    ready = now;
                    eprint!("\r{ready} of {videos} are ready");
                }
                if self.count("errored")? > 0 {
                    bail!("a video of the flood failed");
                }
                if ready < videos {
                    thread::sleep(Duration::from_millis(500));
                    return Ok(None);
                }
                eprintln!();
                Ok(Some(()))
            },
        )
    }

    /// The number of videos in a state.
    fn count(&self, state: &str) -> Result<u32> {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = self.api.read(&format!("/videos?limit=100&state={state}{cursor}"))?;
            count += u32::try_from(page["data"].as_array().map_or(0, Vec::len))?;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&after={next}"),
                None => return Ok(count),
            }
        }
    }
}
