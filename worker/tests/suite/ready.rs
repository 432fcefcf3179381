//! What holds for every video that is ready, looked at as a player does.

use std::path::PathBuf;

use streamio_events::job::Job;
use streamio_events::media::{MediaSource, Outputs};
use streamio_worker::run::Ended;

use super::clip::make;
use super::platform::{PROCESSED, Platform};
use super::player;

/// A published video.
pub(super) struct Ready {
    pub(super) platform: Platform,
    pub(super) job: Job,
    pub(super) source: MediaSource,
    pub(super) outputs: Outputs,
}

impl Ready {
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.platform.storage.path(PROCESSED, key)
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

/// Makes a clip with FFmpeg's `args`, runs it through the worker, and checks what holds for every video.
pub(super) async fn ready(made_as: &str, args: &str, seconds: f64) -> Ready {
    let platform = Platform::new();
    let clip = make(&platform.workshop(), made_as, args);
    let job = platform.upload_file("clip.bin", &clip).await;
    published(platform, job, seconds).await
}

pub(super) async fn published(platform: Platform, job: Job, seconds: f64) -> Ready {
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Published), "{ended:?}");
    let video = platform.video(&job.video_id).await;
    let (source, outputs) = (video.source.unwrap(), video.outputs.unwrap());
    let ready = Ready { platform, job, source, outputs };
    check(&ready, seconds);
    ready
}

fn check(ready: &Ready, seconds: f64) {
    let has_picture = ready.outputs.poster_key.is_some();
    let has_sound = ready.source.audio_codec.is_some();
    let near = |duration: f64| (duration - seconds).abs() < 0.25;
    assert!(near(ready.source.duration_seconds), "{:?}", ready.source);

    // The MP4: index in front, plays whole, right streams.
    let mp4 = ready.mp4();
    let boxes = player::boxes(&mp4);
    let position = |name: &str| boxes.iter().position(|found| found == name).unwrap();
    assert!(position("moov") < position("mdat"), "{boxes:?}");
    assert_eq!(player::decode(&mp4) > 0, has_picture);
    assert!(near(player::duration(&mp4)), "{}", player::duration(&mp4));
    assert_eq!(player::stream(&mp4, "a").is_some(), has_sound);

    // The adaptive stream: everything that it names is there, decodes, and is as stated.
    let master = ready.master();
    let playlist = player::parse(&master);
    let variants = player::variants(&master);
    assert_eq!(variants.len(), ready.outputs.renditions.len());
    let mut frames = Vec::new();
    let mut key_frames = Vec::new();
    for ((variant, path), rendition) in variants.iter().zip(&ready.outputs.renditions) {
        frames.push(player::decode(path));
        assert!(near(player::duration(path)), "{}", player::duration(path));
        assert_eq!(
            (variant.bandwidth, variant.codecs.as_deref()),
            (rendition.bandwidth, Some(&*rendition.codecs))
        );
        assert!(variant.average_bandwidth.unwrap() <= variant.bandwidth);
        if has_picture {
            let stream = player::stream(path, "v").unwrap();
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
            // The delay that B-frames need is undone: pictures begin at zero, as sound does.
            assert_eq!(stream["start_time"], "0.000000");
            key_frames.push(player::key_frames(path));
        }
        assert_eq!(variant.codecs.as_ref().unwrap().contains("mp4a.40.2"), has_sound);
    }
    assert!(frames.windows(2).all(|pair| pair[0] == pair[1]), "all rungs have the same frames: {frames:?}");
    assert!(key_frames.windows(2).all(|pair| pair[0] == pair[1]), "key frames are aligned: {key_frames:?}");
    assert!(ready.outputs.renditions.windows(2).all(|pair| pair[0].bandwidth > pair[1].bandwidth));
    for track in playlist.alternatives {
        let path = master.parent().unwrap().join(track.uri.unwrap());
        player::decode(&path);
        let stream = player::stream(&path, "a").unwrap();
        assert_eq!((stream["channels"].as_u64(), stream["profile"].as_str()), (Some(2), Some("LC")));
        assert!(near(player::duration(&path)));
    }

    if let Some(poster) = &ready.outputs.poster_key {
        let stream = player::stream(&ready.path(poster.as_str()), "v").unwrap();
        let (width, height) = ready.sizes()[0];
        assert_eq!(
            (stream["codec_name"].as_str(), stream["width"].as_u64(), stream["height"].as_u64()),
            (Some("mjpeg"), Some(width.into()), Some(height.into()))
        );
    }
}
