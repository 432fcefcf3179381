//! A client that calls the platform and records what was acknowledged. A call whose result is unknown, because the platform was killed,
//! is repeated with the same idempotency key, as clients should.

mod operation;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use minreq::Method;
use serde_json::{Value, json};

use self::operation::{Operation, choose};
use super::record::{Counts, Video};
use crate::platform::api::{self, Api, Failure, text_at};
use crate::platform::program::{Places, wait_for};

/// How long a call may take to succeed when the platform stays.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long upload URLs are valid, in seconds: longer than a run.
const VALIDITY: u64 = 86_400;

/// What the clients of one cycle share.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The acknowledged calls in this cycle.
    pub(super) acknowledged: AtomicU64,
    /// Set to end the clients.
    pub(super) stop: AtomicBool,
    /// The uploads that may still be begun in this cycle.
    uploads: AtomicI64,
    /// The upload URLs for clips that may still be requested in this cycle.
    clips: AtomicI64,
    /// The upload URLs for parts that may still be requested in this cycle.
    in_parts: AtomicI64,
}

impl Limits {
    /// Limits of a cycle.
    pub(super) fn new(uploads: i64, clips: i64, in_parts: i64) -> Self {
        Self { uploads: uploads.into(), clips: clips.into(), in_parts: in_parts.into(), ..Self::default() }
    }

    fn take_upload(&self) -> bool {
        self.uploads.fetch_sub(1, Ordering::Relaxed) > 0
    }

    fn take_clip(&self) -> bool {
        self.clips.fetch_sub(1, Ordering::Relaxed) > 0
    }

    fn take_upload_in_parts(&self) -> bool {
        self.in_parts.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

/// A client with the videos that it uploaded.
pub(super) struct Client {
    name: String,
    rng: Rng,
    clip: Arc<Vec<u8>>,
    /// The number of calls that were begun.
    number: u64,
    /// The call whose result is unknown.
    pending: Option<Operation>,
    pub(super) cycle: u32,
    pub(super) videos: Vec<Video>,
    pub(super) playback_grants: Vec<String>,
    pub(super) counts: Counts,
    /// The calls that were refused, which no call should be.
    pub(super) refused: Vec<String>,
}

impl Client {
    /// A client that has done nothing yet.
    pub(super) fn new(name: String, rng: Rng, clip: Arc<Vec<u8>>) -> Self {
        Self {
            name,
            rng,
            clip,
            number: 0,
            pending: None,
            cycle: 0,
            videos: Vec::new(),
            playback_grants: Vec::new(),
            counts: Counts::default(),
            refused: Vec::new(),
        }
    }

    /// Makes calls until it is stopped.
    pub(super) fn run(&mut self, api: &Api, limits: &Limits) {
        while !limits.stop.load(Ordering::Relaxed) {
            if self.pending.is_some() {
                self.counts.repeated += 1;
            }
            let operation = self.pending.take().unwrap_or_else(|| {
                self.number += 1;
                choose(&mut self.rng, &self.name, self.number, &self.videos, limits)
            });
            if self.attempt(operation, api) {
                limits.acknowledged.fetch_add(1, Ordering::Relaxed);
            } else {
                // The platform is gone, or will be soon.
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// The videos of which no call's result is unknown.
    pub(super) fn settled(&self) -> impl Iterator<Item = &Video> {
        let unknown = self.pending.as_ref().and_then(Operation::video);
        self.videos
            .iter()
            .enumerate()
            .filter(move |(video, _)| Some(*video) != unknown)
            .map(|(_, video)| video)
    }

    /// Repeats the call whose result is unknown until it succeeds.
    pub(super) fn finish(&mut self, api: &Api) -> Result<()> {
        let what = format!("a call of client {} does not succeed: {:?}", self.name, self.pending);
        wait_for(
            TIMEOUT,
            || what.clone(),
            || {
                let Some(operation) = self.pending.take() else { return Ok(Some(())) };
                self.counts.repeated += 1;
                Ok(self.attempt(operation, api).then_some(()))
            },
        )
    }

    /// Makes a call and records its acknowledgement or refusal. Returns whether it was answered.
    fn attempt(&mut self, mut operation: Operation, api: &Api) -> bool {
        match self.perform(&mut operation, api) {
            Ok(()) => true,
            Err(Failure::Unknown) => {
                self.pending = Some(operation);
                false
            }
            Err(Failure::Refused { status, body }) => {
                self.refused.push(format!("{status} for {operation:?}: {body}"));
                true
            }
        }
    }

    fn perform(&mut self, operation: &mut Operation, api: &Api) -> Result<(), Failure> {
        let video = match operation {
            Operation::Grant { name, file, in_parts, key } => {
                let mut body =
                    json!({ "filename": name, "expiresIn": VALIDITY, "metadata": { "label": key } });
                if *in_parts {
                    body["multipart"] = true.into();
                    body["size"] = file.length(&self.clip).into();
                }
                let grant = api.call(Method::Post, "/upload-url", Some(&body), key)?;
                let text =
                    |pointer| text_at(&grant, pointer).map(str::to_owned).map_err(|_| Failure::Unknown);
                let (id, source) = (text("/videoId")?, text("/s3Key")?);
                self.counts.grants += 1;
                self.videos.push(Video {
                    id,
                    key: source,
                    label: key.clone(),
                    grant,
                    file: *file,
                    version: None,
                    revision: None,
                    is_deleted: false,
                    cycle: self.cycle,
                });
                return Ok(());
            }
            Operation::Upload { video } => {
                let found = &mut self.videos[*video];
                let url = found.grant["uploadUrl"].as_str().unwrap_or_default();
                found.version = Some(api::put(url, found.file.bytes(&self.clip), "x-amz-version-id")?);
                self.counts.uploads += 1;
                *video
            }
            Operation::UploadParts { video, etags } => {
                let found = &mut self.videos[*video];
                found.version =
                    Some(upload_parts(&found.grant["multipart"], &found.file.bytes(&self.clip), etags)?);
                self.counts.uploads += 1;
                self.counts.in_parts += 1;
                *video
            }
            Operation::Update { video, revision, key } => {
                let body = json!({ "metadata": { "revision": revision.to_string() } });
                let path = format!("/videos/{}", self.videos[*video].id);
                api.call(Method::Patch, &path, Some(&body), key)?;
                self.videos[*video].revision = Some(*revision);
                self.counts.updates += 1;
                *video
            }
            Operation::Delete { video, key } => {
                api.call(Method::Delete, &format!("/videos/{}", self.videos[*video].id), None, key)?;
                self.videos[*video].is_deleted = true;
                self.counts.deletions += 1;
                *video
            }
            Operation::Play { video, key } => {
                let path = format!("/videos/{}", self.videos[*video].id);
                if api.get(&path)?["state"] == "ready" {
                    let granted =
                        api.call(Method::Post, &format!("{path}/playback"), Some(&json!({})), key)?;
                    let grant = text_at(&granted, "/grantId").map_err(|_| Failure::Unknown)?;
                    self.playback_grants.push(grant.to_owned());
                    self.counts.playbacks += 1;
                }
                return Ok(());
            }
            Operation::Look { video } => {
                api.get(&format!("/videos/{}", self.videos[*video].id))?;
                api.get("/videos?limit=20")?;
                self.counts.reads += 2;
                return Ok(());
            }
        };
        self.videos[video].cycle = self.cycle;
        Ok(())
    }
}

/// Uploads the parts after those in `etags`, and completes the upload. Returns the version.
fn upload_parts(multipart: &Value, bytes: &[u8], etags: &mut Vec<String>) -> Result<String, Failure> {
    let size =
        multipart["partSize"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let parts = multipart["parts"].as_array().into_iter().flatten();
    for (part, bytes) in parts.zip(bytes.chunks(size)).skip(etags.len()) {
        let url = part["url"].as_str().unwrap_or_default();
        etags.push(api::put(url, bytes.to_vec(), "etag")?);
    }
    api::complete(multipart["completeUrl"].as_str().unwrap_or_default(), &multipart["completeHeaders"], etags)
}

/// Creates the project and its first API key, which is returned.
pub(super) fn create_project(places: &Places) -> Result<String> {
    let created: Value = places.operate(&["project", "create", "torture"])?;
    text_at(&created, "/apiKey").map(str::to_owned).context("`streamio project create` printed no API key")
}
