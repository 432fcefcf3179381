//! Inspects media files and playlists with ffprobe and FFmpeg.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::clip::run;

/// ffprobe's description of the first stream of `kind` (`v` or `a`) in a file or playlist.
pub(super) fn stream(path: &Path, kind: &str) -> Option<Value> {
    let args = ["-v", "error", "-of", "json", "-show_streams", "-show_format", "-select_streams", kind];
    let output = run("ffprobe", Path::new("."), args.iter().map(Path::new).chain([path]));
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json["streams"].as_array().unwrap().first().cloned()
}

/// Duration of a file or playlist in seconds.
pub(super) fn duration(path: &Path) -> f64 {
    let args = ["-v", "error", "-of", "csv=p=0", "-show_entries", "format=duration"];
    let output = run("ffprobe", Path::new("."), args.iter().map(Path::new).chain([path]));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// Decodes all streams of `path` and returns the number of video frames. Fails on any decoder message.
pub(super) fn decode(path: &Path) -> u64 {
    let before = ["-nostdin", "-v", "error", "-xerror", "-i"].map(Path::new);
    let after = ["-map", "0", "-f", "null", "-progress", "pipe:1", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", path.display());
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout
        .lines()
        .filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok())
        .next_back()
        .unwrap_or(0)
}

/// Type and duration in seconds of each stream.
pub(super) fn durations(path: &Path) -> Vec<(String, f64)> {
    let args = ["-v", "error", "-of", "csv=p=0", "-show_entries", "stream=codec_type,duration"];
    let output = run("ffprobe", Path::new("."), args.iter().map(Path::new).chain([path]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields = text.lines().map(|line| line.split_once(',').unwrap());
    fields.map(|(kind, duration)| (kind.to_owned(), duration.parse().unwrap())).collect()
}

/// The number of packets of the first stream of `kind`.
pub(super) fn packets(path: &Path, kind: &str) -> u64 {
    let args = ["-v", "error", "-of", "csv=p=0", "-count_packets", "-select_streams", kind];
    let args = args.iter().chain(&["-show_entries", "stream=nb_read_packets"]);
    let output = run("ffprobe", Path::new("."), args.map(Path::new).chain([path]));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// The number of pictures that differ from the one before them by more than an encoder's noise.
pub(super) fn distinct_pictures(path: &Path) -> u64 {
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let after = ["-map", "0:v:0", "-vf", "mpdecimate=hi=768:lo=320:frac=0.02", "-fps_mode", "passthrough"];
    let after = after.iter().chain(&["-f", "null", "-progress", "pipe:1", "-"]).map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    stdout
        .lines()
        .filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok())
        .next_back()
        .unwrap_or(0)
}

/// Times of the key frames of a file or playlist, in seconds.
pub(super) fn key_frames(path: &Path) -> Vec<f64> {
    let args =
        ["-v", "error", "-of", "csv=p=0", "-select_streams", "v", "-show_entries", "packet=pts_time,flags"];
    let output = run("ffprobe", Path::new("."), args.iter().map(Path::new).chain([path]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains(",K"))
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect()
}

/// Names of the top-level boxes of an MP4.
pub(super) fn boxes(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let mut names = Vec::new();
    let mut position = 0;
    while position < bytes.len() {
        let short = u32::from_be_bytes(bytes[position..position + 4].try_into().unwrap());
        names.push(String::from_utf8_lossy(&bytes[position + 4..position + 8]).into_owned());
        position += match short {
            1 => usize::try_from(u64::from_be_bytes(bytes[position + 8..position + 16].try_into().unwrap()))
                .unwrap(),
            short => short as usize,
        };
    }
    assert_eq!(position, bytes.len(), "the last box ends at the end of the file");
    names
}

/// The mean brightness of an image, 0 to 255.
pub(super) fn brightness(path: &Path) -> f64 {
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let after = ["-vf", "scale=1:1:flags=area,format=gray", "-f", "rawvideo", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    f64::from(output.stdout[0])
}

/// How often the sound of a file crosses zero within a second: twice the frequency of a tone.
pub(super) fn zero_crossings_per_second(path: &Path) -> f64 {
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let after = ["-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let samples: Vec<bool> =
        output.stdout.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]]) > 0).collect();
    let crossings = samples.windows(2).filter(|pair| pair[0] != pair[1]).count();
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = crossings as f64 * 48_000.0 / samples.len() as f64;
    rate
}

/// The variants of a master playlist, with the paths of their media playlists.
pub(super) fn variants(master: &Path) -> Vec<(m3u8_rs::VariantStream, PathBuf)> {
    parse(master)
        .variants
        .into_iter()
        .map(|variant| {
            let path = master.parent().unwrap().join(&variant.uri);
            (variant, path)
        })
        .collect()
}

pub(super) fn parse(master: &Path) -> m3u8_rs::MasterPlaylist {
    m3u8_rs::parse_master_playlist_res(&std::fs::read(master).unwrap()).unwrap()
}
