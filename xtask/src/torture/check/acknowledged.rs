//! Whether the running platform has what was acknowledged.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::file::{Kind, digest};
use super::super::record::Video;
use super::super::storage::Storage;
use crate::platform::api::{self, Api, text_at};
use crate::platform::program::wait_for;

/// How long the platform may take to show what was acknowledged.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long the platform may take to process everything.
const REST_TIMEOUT: Duration = Duration::from_mins(10);

/// A running platform.
pub(in crate::torture) struct Running<'a> {
    pub(in crate::torture) api: &'a Api,
    pub(in crate::torture) storage: &'a Storage,
    pub(in crate::torture) clip: &'a [u8],
}

impl Running<'_> {
    /// Checks that the platform has the video, its metadata, its deletion and the bytes of its source.
    pub(in crate::torture) fn has(&self, video: &Video) -> Result<()> {
        let mut status = Value::Null;
        wait_for(
            TIMEOUT,
            || format!("something that was acknowledged is missing: {video:?}"),
            || {
                status = self.api.read(&format!("/videos/{}", video.id))?;
                Ok(shows(&status, video).then_some(()))
            },
        )
        .with_context(|| format!("the video's status is {status}"))?;
        if video.has_source() {
            self.has_source(video)?;
        }
        Ok(())
    }

    fn has_source(&self, video: &Video) -> Result<()> {
        let version = video.version.as_deref().unwrap_or_default();
        let Some(bytes) = self.storage.source(&video.key, version)? else {
            bail!("the source that was acknowledged as version {version} is missing: {video:?}");
        };
        let expected = video.file.bytes(self.clip);
        ensure!(
            digest(&bytes) == digest(&expected),
            "version {version} has other bytes ({} of {}) than were acknowledged: {video:?}",
            bytes.len(),
            expected.len()
        );
        Ok(())
    }

    /// Waits until every video is ready, errored or deleted, or has no upload, and checks which of them.
    pub(in crate::torture) fn comes_to_rest(&self, videos: &[Video]) -> Result<()> {
        for video in videos.iter().filter(|video| video.has_source()) {
            let status = wait_for(
                REST_TIMEOUT,
                || format!("a video is not processed: {video:?}"),
                || {
                    let status = self.api.read(&format!("/videos/{}", video.id))?;
                    let is_done = status["state"] == "ready" || status["state"] == "errored";
                    Ok(is_done.then_some(status))
                },
            )?;
            // What FFmpeg makes of noise is its own affair.
            ensure!(
                video.file.kind == Kind::Noise || status["state"] == "ready",
                "a clip is not ready: {status}"
            );
        }
        Ok(())
    }

    /// Checks that the stream, the MP4 and the poster of a video can be downloaded if it is ready. Returns whether it is.
    pub(in crate::torture) fn plays(&self, video: &Video) -> Result<bool> {
        let path = format!("/videos/{}", video.id);
        if self.api.read(&path)?["state"] != "ready" {
            return Ok(false);
        }
        let key = format!("check-{}", video.id);
        let granted =
            self.api.call(minreq::Method::Post, &format!("{path}/playback"), Some(&json!({})), &key);
        let granted = granted.map_err(anyhow::Error::from)?;
        let mp4 = api::download(text_at(&granted, "/mp4Url")?)?;
        ensure!(mp4.get(4..8) == Some(b"ftyp"), "the MP4 of {} is none", video.id);
        let master = text_at(&granted, "/hlsUrl")?.to_owned();
        for playlist in uris(&master, &api::download(&master)?) {
            let segments = uris(&playlist, &api::download(&playlist)?);
            ensure!(!segments.is_empty(), "a playlist of {} has no segment", video.id);
            for segment in segments {
                ensure!(!api::download(&segment)?.is_empty(), "a segment of {} is empty", video.id);
            }
        }
        Ok(true)
    }
}

/// Whether a status shows what was acknowledged of the video.
fn shows(status: &Value, video: &Video) -> bool {
    let metadata = &status["metadata"];
    let revision = video.revision.map(|revision| revision.to_string());
    let is_uploaded = || !matches!(status["state"].as_str(), None | Some("waiting" | "expired"));
    metadata["label"] == *video.label
        && revision.is_none_or(|revision| metadata["revision"] == *revision)
        && (status["state"] == "deleted") == video.is_deleted
        && (video.version.is_none() || is_uploaded())
}

/// The absolute URIs of a playlist's entries.
fn uris(playlist: &str, text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let folder =
        playlist.split('?').next().and_then(|url| url.rsplit_once('/')).map_or("", |(folder, _)| folder);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| if line.contains("://") { line.to_owned() } else { format!("{folder}/{line}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::file::{File, Kind};
    use super::super::super::record::Video;
    use super::{shows, uris};
    use serde_json::json;

    fn video() -> Video {
        Video {
            id: "vid_1".to_owned(),
            key: "projects/torture/a.mp4".to_owned(),
            label: "a-1".to_owned(),
            grant: json!({}),
            file: File { kind: Kind::Clip, seed: 1, random: 1 },
            version: Some("v1".to_owned()),
            revision: Some(7),
            is_deleted: false,
            cycle: 1,
        }
    }

    #[test]
    fn a_status_without_something_acknowledged_is_not_accepted() {
        let status = |state: &str, label: &str, revision: &str| json!({ "state": state, "metadata": { "label": label, "revision": revision } });
        assert!(shows(&status("ready", "a-1", "7"), &video()));
        assert!(!shows(&status("waiting", "a-1", "7"), &video()), "the upload is lost");
        assert!(!shows(&status("ready", "a-2", "7"), &video()), "the metadata are lost");
        assert!(!shows(&status("ready", "a-1", "6"), &video()), "the change of the metadata is lost");
        assert!(!shows(&status("deleted", "a-1", "7"), &video()), "it was not deleted");
        let deleted = Video { is_deleted: true, ..video() };
        assert!(!shows(&status("ready", "a-1", "7"), &deleted), "the deletion is lost");
    }

    #[test]
    fn entries_of_a_playlist_are_relative_to_it_or_absolute() {
        let text = b"#EXTM3U\na/b.m3u8?x=1\n\nhttp://cdn/c.m4s\n";
        assert_eq!(
            uris("http://api/play/master.m3u8?y=2", text),
            ["http://api/play/a/b.m3u8?x=1", "http://cdn/c.m4s"]
        );
    }
}
