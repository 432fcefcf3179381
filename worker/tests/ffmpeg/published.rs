//! Publishes a clip and checks what holds for every published video.

use std::path::PathBuf;

use streamio_events::job::Job;
use streamio_events::media::{MediaSource, Outputs};
use streamio_worker::run::RunOutcome;

use super::clip::make;
use super::harness::{PROCESSED, WorkerHarness};
use super::inspect;

/// A published video.
pub(super) struct PublishedVideo {
    pub(super) harness: WorkerHarness,
    pub(super) job: Job,
    pub(super) source: MediaSource,
    pub(super) outputs: Outputs,
}

impl PublishedVideo {
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.harness.storage.path(PROCESSED, key)
    }

    pub(super) fn mp4(&self) -> PathBuf {
        self.path(self.outputs.mp4_key.as_str())
    }

    pub(super) fn master(&self) -> PathBuf {
        self.path(self.outputs.hls_key.as_str())
    }

    pub(super) fn sizes(&self) -> Vec<(u32, u32)> {
        self.outputs.renditions.iter().filter_map(|rendition| rendition.width.zip(rendition.height)).collect()
    }
}

/// Makes a clip with FFmpeg's `args`, publishes it, and checks it. `seconds` is its expected duration.
pub(super) async fn publish_clip(file_name: &str, args: &str, seconds: f64) -> PublishedVideo {
    let harness = WorkerHarness::new();
    let clip = make(&harness.clips(), file_name, args);
    let job = harness.upload_file("clip.bin", &clip).await;
    publish(harness, job, seconds).await
}

/// Runs a worker for `job` and checks the published video.
pub(super) async fn publish(harness: WorkerHarness, job: Job, seconds: f64) -> PublishedVideo {
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    let state = harness.video(&job.video_id).await;
    let (source, outputs) = (state.source.unwrap(), state.outputs.unwrap());
    let video = PublishedVideo { harness, job, source, outputs };
    check(&video, seconds);
    video
}

fn check(video: &PublishedVideo, seconds: f64) {
    let has_video = video.source.width.is_some();
    let has_audio = video.source.audio_codec.is_some();
    let near = |duration: f64| (duration - seconds).abs() < 0.25;
    assert!(near(video.source.duration_seconds), "{:?}", video.source);

    // The MP4 has its index in front, decodes completely and has the expected streams.
    let mp4 = video.mp4();
    let boxes = inspect::boxes(&mp4);
    let position = |name: &str| boxes.iter().position(|found| found == name).unwrap();
    assert!(position("moov") < position("mdat"), "{boxes:?}");
    assert_eq!(inspect::decode(&mp4) > 0, has_video);
    assert!(near(inspect::duration(&mp4)), "{}", inspect::duration(&mp4));
    assert_eq!(inspect::stream(&mp4, "a").is_some(), has_audio);

    // Everything that the master playlist names exists, decodes and matches its attributes.
    let master = video.master();
    let playlist = inspect::parse(&master);
    let variants = inspect::variants(&master);
    assert_eq!(variants.len(), video.outputs.renditions.len());
    let mut frames = Vec::new();
    let mut key_frames = Vec::new();
    for ((variant, path), rendition) in variants.iter().zip(&video.outputs.renditions) {
        frames.push(inspect::decode(path));
        assert!(near(inspect::duration(path)), "{}", inspect::duration(path));
        assert_eq!(
            (variant.bandwidth, variant.codecs.as_deref()),
            (rendition.bandwidth, Some(&*rendition.codecs))
        );
        assert!(variant.average_bandwidth.unwrap() <= variant.bandwidth);
        if has_video {
            let stream = inspect::stream(path, "v").unwrap();
            let resolution = variant.resolution.unwrap();
            assert_eq!(
                (stream["width"].as_u64(), stream["height"].as_u64()),
                (Some(resolution.width), Some(resolution.height))
            );
            assert_eq!(
                (stream["pix_fmt"].as_str(), stream["codec_name"].as_str()),
                (Some("yuv420p"), Some("h264"))
            );
            assert!(stream["sample_aspect_ratio"].as_str().is_none_or(|shape| shape == "1:1"));
            assert!(variant.codecs.as_ref().unwrap().starts_with("avc1.64"), "{:?}", variant.codecs);
            // The encoder delay for B-frames is compensated: video begins at zero, like audio.
            assert_eq!(stream["start_time"], "0.000000");
            key_frames.push(inspect::key_frames(path));
        }
        assert_eq!(variant.codecs.as_ref().unwrap().contains("mp4a.40.2"), has_audio);
    }
    assert!(frames.windows(2).all(|pair| pair[0] == pair[1]), "all rungs have the same frames: {frames:?}");
    assert!(key_frames.windows(2).all(|pair| pair[0] == pair[1]), "key frames are aligned: {key_frames:?}");
    assert!(video.outputs.renditions.windows(2).all(|pair| pair[0].bandwidth > pair[1].bandwidth));
    for track in playlist.alternatives {
        let path = master.parent().unwrap().join(track.uri.unwrap());
        inspect::decode(&path);
        let stream = inspect::stream(&path, "a").unwrap();
        assert_eq!((stream["channels"].as_u64(), stream["profile"].as_str()), (Some(2), Some("LC")));
        assert!(near(inspect::duration(&path)));
    }

    assert_eq!(has_video, video.outputs.poster_key.is_some());
    if let Some(poster) = &video.outputs.poster_key {
        let stream = inspect::stream(&video.path(poster.as_str()), "v").unwrap();
        let (width, height) = video.sizes()[0];
        assert_eq!(
            (stream["codec_name"].as_str(), stream["width"].as_u64(), stream["height"].as_u64()),
            (Some("mjpeg"), Some(width.into()), Some(height.into()))
        );
    }
}
