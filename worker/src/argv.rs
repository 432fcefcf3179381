//! Builds FFmpeg's arguments from a plan. Pure: the same plan gives the same arguments.
//!
//! One process decodes the source once and writes all outputs into its working directory:
//!
//! ```text
//! 720p/index.m3u8  720p/init.mp4  720p/00000.m4s …    the best rung ┐
//! audio-1/index.m3u8 …                                the default   ├ encoded once, written to all three (tee)
//! progressive.mp4                                     both muxed    ┘
//! 480p/…  360p/…  240p/…  audio-2/…                   the other rungs and tracks
//! ```
//!
//! The poster is made by a second, short process over the beginning of the source. As an output of the first process it
//! would delay FFmpeg's progress reports until it is written, and the watchdog could not detect a stalled encode.

mod filters;

use crate::ladder::Rung;
use crate::plan::{AudioPlan, Plan, PosterWindow, SEGMENT_SECONDS, SoundTime, VideoPlan};
use crate::probe::input;

/// File name of the media playlist in each rendition's folder.
pub const PLAYLIST: &str = "index.m3u8";
/// File name of the initialization segment in each rendition's folder.
pub const INIT: &str = "init.mp4";
/// File name suffix of finished media segments. FFmpeg appends `.tmp` while it writes one.
pub const SEGMENT_SUFFIX: &str = ".m4s";
/// File name of the progressive MP4 as FFmpeg writes it, with the index at its end.
pub const PROGRESSIVE: &str = "progressive.mp4";
/// File name of the poster.
pub const POSTER: &str = "poster.jpg";

/// FFmpeg's arguments to encode the source at `url` according to `plan`, without the poster.
pub fn argv(plan: &Plan, url: &str) -> Vec<String> {
    let mut args = Args::default();
    args.words("-nostdin -hide_banner -v error -y");
    args.words("-nostats -progress pipe:1 -stats_period 0.5");
    args.option("-frame_drop_threshold", filters::DROP_THRESHOLD);
    if plan.sound_time == SoundTime::Input {
        args.words("-async 1").option("-adrift_threshold", filters::MAX_DRIFT);
    }
    args.0.extend(input::guards());
    args.0.extend(plan.demuxing.ffmpeg_args());
    decoding(&mut args, plan.video.as_ref());
    args.option("-i", url);
    if let Some(video) = &plan.video {
        args.option("-filter_complex", &filters::video(video));
    }
    for audio in plan.audio.iter().filter(|audio| !audio.gaps.is_empty()) {
        args.option("-filter_complex", &filters::audio_with_gaps(audio));
    }
    best_output(&mut args, plan);
    if let Some(video) = &plan.video {
        for (position, rung) in video.rungs.iter().enumerate().skip(1) {
            encode_video(&mut args, video, position);
            args.words("-map_metadata -1 -map_chapters -1");
            hls_output(&mut args, &rung.name());
        }
    }
    for audio in plan.audio.iter().skip(1) {
        encode_audio(&mut args, audio, plan.sound_time);
        // Drop the source's metadata from every output: it may contain a location, a name or an attack on a player.
        args.words("-map_metadata -1 -map_chapters -1");
        hls_output(&mut args, &audio.name);
    }
    args.0
}

/// FFmpeg's arguments to make the poster of the source at `url` from a picture in `window`. They write no file if there is none.
pub fn poster_argv(plan: &Plan, video: &VideoPlan, window: &PosterWindow, url: &str) -> Vec<String> {
    let mut args = Args::default();
    args.words("-nostdin -hide_banner -v error -y");
    args.0.extend(input::guards());
    if window.seek > 0.0 {
        args.0.extend(plan.demuxing.args());
        // FFmpeg counts from the start that it takes for the file's, and times count from the place that it seeks.
        let seek = window.seek - f64::from(plan.demuxing.begins_earlier) / 1000.0;
        args.option("-ss", &format!("{:.3}", seek.max(0.0)));
    } else {
        args.0.extend(plan.demuxing.ffmpeg_args());
    }
    decoding(&mut args, Some(video));
    args.option("-i", url);
    args.option("-map", &format!("0:{}", video.index)).option("-filter:v", &filters::poster(video, window));
    args.words("-map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3 -f image2 -update 1");
    args.0.push(POSTER.to_owned());
    args.0
}

/// Input options that bound the decoder's threads, and leave rotation to the filters where they do it.
fn decoding(args: &mut Args, video: Option<&VideoPlan>) {
    if let Some(threads) = video.and_then(|video| video.decoder_threads) {
        args.option("-threads", &threads.to_string());
    }
    if video.is_some_and(|video| video.rotation.is_some()) {
        args.words("-autorotate 0");
    }
}

/// The best rung and the default track: each encoded once, written to its own rendition and to the progressive MP4.
fn best_output(args: &mut Args, plan: &Plan) {
    let mut tee_outputs = Vec::new();
    if let Some((video, rung)) = plan.video.as_ref().and_then(|video| Some((video, video.rungs.first()?))) {
        encode_video(args, video, 0);
        tee_outputs.push(hls_tee_output("v", &rung.name()));
    }
    if let Some(audio) = plan.audio.first() {
        encode_audio(args, audio, plan.sound_time);
        if let Some(language) = audio.language.as_deref().filter(|language| language.len() == 3) {
            args.option("-metadata:s:a:0", &format!("language={language}"));
        }
        tee_outputs.push(hls_tee_output("a", &audio.name));
    }
    tee_outputs.push(format!("[f=mp4]{PROGRESSIVE}"));
    args.words("-map_metadata -1 -map_chapters -1");
    // The tee muxer does not set this flag itself, and its outputs need codec headers separate from the packets.
    args.words("-flags +global_header");
    // If one track begins minutes after the other, encoded packets queue up until the header can be written.
    args.words("-max_muxing_queue_size 50000 -f tee");
    args.0.push(tee_outputs.join("|"));
}

fn encode_video(args: &mut Args, video: &VideoPlan, position: usize) {
    let rung: Rung = video.rungs[position];
    let kilobits = rung.max_kilobits(video.frame_rate.per_second());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 60 frames a second")]
    let group = (video.frame_rate.per_second() * f64::from(SEGMENT_SECONDS) * 2.0).ceil() as u32;
    args.option("-map", &format!("[v{position}]"));
    // All rungs get pictures with the same times, so that the same frames are repeated in each.
    args.option("-r", &video.frame_rate.to_string());
    args.words("-fps_mode cfr -c:v libx264 -preset veryfast -profile:v high -pix_fmt yuv420p -crf 23");
    args.option("-maxrate", &format!("{kilobits}k")).option("-bufsize", &format!("{}k", kilobits * 2));
    // Key frames at the same times in every rung, and nowhere else: players switch rungs at segment boundaries.
    args.option("-force_key_frames", &format!("expr:gte(t,n_forced*{SEGMENT_SECONDS})"));
    args.option("-g", &group.to_string()).words("-sc_threshold 0");
}

fn encode_audio(args: &mut Args, audio: &AudioPlan, time: SoundTime) {
    if audio.gaps.is_empty() {
        args.option("-map", &format!("0:{}", audio.index));
        args.option("-filter:a", &filters::audio(audio, time));
    } else {
        args.option("-map", &format!("[a{}]", audio.index));
    }
    args.words("-c:a aac -profile:a aac_low -b:a 128k");
}

/// The options of the HLS muxer, as `name=value`.
///
/// Negative timestamps (encoder delay) are kept; the edit list of each initialization segment compensates for them. If each
/// output were shifted to zero separately, audio and video would be apart by the difference of their delays.
/// FFmpeg writes the playlist once, at the end. Until then a segment is finished when its name has no `.tmp`.
fn hls_options(folder: &str) -> [(&'static str, String); 7] {
    [
        ("avoid_negative_ts", "disabled".to_owned()),
        ("hls_time", SEGMENT_SECONDS.to_string()),
        ("hls_playlist_type", "vod".to_owned()),
        ("hls_segment_type", "fmp4".to_owned()),
        ("hls_flags", "temp_file+independent_segments".to_owned()),
        ("hls_fmp4_init_filename", INIT.to_owned()),
        ("hls_segment_filename", format!("{folder}/%05d{SEGMENT_SUFFIX}")),
    ]
}

fn hls_output(args: &mut Args, folder: &str) {
    args.words("-f hls");
    for (name, value) in hls_options(folder) {
        args.option(&format!("-{name}"), &value);
    }
    args.0.push(format!("{folder}/{PLAYLIST}"));
}

/// One output in the tee muxer's syntax. None of the values contains a character that needs escaping there.
fn hls_tee_output(kind: &str, folder: &str) -> String {
    let options = hls_options(folder).map(|(name, value)| format!("{name}={value}")).join(":");
    format!("[select={kind}:f=hls:{options}]{folder}/{PLAYLIST}")
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn words(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(str::to_owned));
        self
    }

    fn option(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.extend([name.to_owned(), value.to_owned()]);
        self
    }
}

#[cfg(test)]
mod tests;
