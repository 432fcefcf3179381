//! The output of the demo, on stdout.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::media::{Kind, Media, Track};
use super::platform::Api;
use super::playback::Played;
use crate::duration::format_duration;
use crate::platform::program::Addresses;

/// All characters except the unreserved ones of RFC 3986 and the slash.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Prints the properties of the source.
pub(super) fn source(file: &Path, media: &Media) -> Result<()> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let bytes = file.metadata()?.len();
    println!("\n  source     {name}: {}", described(media, bytes));
    Ok(())
}

/// Prints the addresses of the platform.
pub(super) fn platform(addresses: &Addresses) {
    println!("  platform   API {}, S3 {}, CDN {}", addresses.api, addresses.s3, addresses.cdn);
    println!("  data       {}\n", addresses.data_dir.display());
}

/// Prints the renditions.
pub(super) fn result(source: &Media, took: Duration, played: &Played) {
    print!("{}", table(source, took, played));
}

/// Prints the signed URLs and how to play them.
pub(super) fn urls(addresses: &Addresses, hls: &str, mp4: &str, kept: bool) {
    println!("  HLS   {hls}\n  MP4   {mp4}\n  API   {}\n", addresses.api);
    println!("  play  ffplay -autoexit \"{hls}\"");
    if !kept {
        println!(
            "\n  The platform stops now. `cargo xtask demo --keep` leaves it running, to play and to try requests."
        );
    }
}

/// Prints example requests.
pub(super) fn requests(api: &Api, hls_key: &str) {
    let (url, key, project) = (&api.url, api.key(), api.project_id());
    let encoded = utf8_percent_encode(hls_key, QUERY);
    println!(
        "
  The platform runs until Ctrl-C, with the project {project}. Try:

    export STREAMIO_URL={url} STREAMIO_API_KEY={key}
    curl -H \"x-api-key: $STREAMIO_API_KEY\" $STREAMIO_URL/videos
    curl -H \"x-api-key: $STREAMIO_API_KEY\" --json '{{\"filename\":\"clip.mp4\"}}' $STREAMIO_URL/upload-url
    curl -T clip.mp4 \"$uploadUrl\"    # uploadUrl: from that response
    curl -H \"x-api-key: $STREAMIO_API_KEY\" --json '{{}}' \"$STREAMIO_URL/playback-url?key={encoded}\"
"
    );
}

fn described(media: &Media, bytes: u64) -> String {
    let mut text = String::new();
    if let Some(video) = media.video() {
        let _ =
            write!(text, "{} {}x{}, {} fps, ", video.codec, video.width, video.height, rounded(video.rate));
    }
    let audio = media.audio().map_or("no audio", |audio| audio.codec.as_str());
    let _ = write!(text, "{audio}, {:.1} s, {}", media.seconds, size(bytes));
    text
}

fn table(source: &Media, took: Duration, played: &Played) -> String {
    let times = took.as_secs_f64() / source.seconds.max(0.001);
    let mut text = format!(
        "\n  ready {} after the upload began ({times:.1} x its length); every frame was decoded:\n\n",
        format_duration(took)
    );
    let _ = writeln!(text, "  {:<10} {:>10}  {:>9}  {:>7}  {:>7}", "", "size", "kbit/s", "fps", "frames");
    for variant in &played.hls.variants {
        row(&mut text, "HLS", &variant.tracks, Some(variant.bandwidth));
    }
    row(&mut text, "MP4", &played.mp4.tracks, None);
    text.push_str("\n  unsigned and altered URLs: 403\n\n");
    text
}

fn row(text: &mut String, name: &str, tracks: &[Track], bandwidth: Option<u64>) {
    let rate = bandwidth.map_or_else(|| "-".into(), |bits| (bits / 1000).to_string());
    let video = tracks.iter().find(|track| track.kind == Kind::Video);
    let shown = match video {
        Some(video) => (format!("{}x{}", video.width, video.height), rounded(video.rate), video.frames),
        None => ("audio".into(), "-".into(), tracks.first().map_or(0, |audio| audio.frames)),
    };
    let _ = writeln!(text, "  {name:<10} {:>10}  {rate:>9}  {:>7}  {:>7}", shown.0, shown.1, shown.2);
}

/// Formats a rate as `25` or `29.97`.
fn rounded(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::{described, size, table};
    use crate::demo::media::{Kind, Media, Track, Variant};
    use crate::demo::playback::Played;
    use std::time::Duration;

    fn video(width: u32, height: u32) -> Track {
        Track { kind: Kind::Video, codec: "h264".into(), width, height, rate: 30_000.0 / 1001.0, frames: 180 }
    }

    fn audio() -> Track {
        Track { kind: Kind::Audio, codec: "aac".into(), width: 0, height: 0, rate: 0.0, frames: 249 }
    }

    fn media(tracks: Vec<Track>, variants: Vec<Variant>) -> Media {
        Media { seconds: 6.0, tracks, variants }
    }

    #[test]
    fn the_table_has_a_row_for_each_rendition() {
        let hls = media(
            vec![],
            vec![
                Variant { bandwidth: 2_410_500, tracks: vec![video(1280, 720), audio()] },
                Variant { bandwidth: 811_000, tracks: vec![video(640, 360), audio()] },
            ],
        );
        let played = Played { hls, mp4: media(vec![video(1280, 720), audio()], vec![]) };
        let expected = "
  ready 3.00 s after the upload began (0.5 x its length); every frame was decoded:

                   size     kbit/s      fps   frames
  HLS          1280x720       2410    29.97      180
  HLS           640x360        811    29.97      180
  MP4          1280x720          -    29.97      180

  unsigned and altered URLs: 403

";
        assert_eq!(table(&media(vec![], vec![]), Duration::from_secs(3), &played), expected);
    }

    #[test]
    fn a_source_is_described_by_its_tracks() {
        let both = media(vec![video(1280, 720), audio()], vec![]);
        assert_eq!(described(&both, 1_055_736), "h264 1280x720, 29.97 fps, aac, 6.0 s, 1.1 MB");
        assert_eq!(described(&media(vec![audio()], vec![]), 90_000), "aac, 6.0 s, 90 kB");
        assert_eq!(
            described(&media(vec![video(2, 2)], vec![]), 5),
            "h264 2x2, 29.97 fps, no audio, 6.0 s, 0 kB"
        );
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!([999, 1_000_000, 2_500_000_000].map(size), ["1 kB", "1.0 MB", "2.5 GB"]);
    }
}
