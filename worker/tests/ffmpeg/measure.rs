//! Measures outputs as a player would show them: decoded by FFmpeg, at the times that the file states.

use std::path::Path;

use super::clip::run;

/// Source of a white flash of 0.1 s, half a second after each full second, at 30 fps.
pub(super) fn flashes_source(size: &str, seconds: u32) -> String {
    format!(
        "-f lavfi -i color=black:s={size}:r=30:d={seconds},drawbox=t=fill:c=white:enable='lt(mod(t+0.5,1),0.1)'"
    )
}

/// Source of a beep at the times of the flashes.
pub(super) fn beeps_source(seconds: u32) -> String {
    format!("-f lavfi -i aevalsrc=if(lt(mod(t+0.5\\,1)\\,0.1)\\,sin(2*PI*1000*t)\\,0):s=48000:d={seconds}")
}

/// Arguments for a quick H.264 encode.
pub(super) const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

/// The time and brightness (0 to 255) of each picture.
pub(super) fn pictures(path: &Path) -> Vec<(f64, u8)> {
    cropped(path, "iw:ih:0:0")
}

/// The time and brightness (0 to 255) of a part of each picture, given as `crop` takes it.
pub(super) fn cropped(path: &Path, part: &str) -> Vec<(f64, u8)> {
    let times = ["-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0"];
    let output = run("ffprobe", Path::new("."), times.map(Path::new).into_iter().chain([path]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Pictures with side data have an empty line after them.
    let lines = text.lines().map(|line| line.trim_end_matches(',')).filter(|line| !line.is_empty());
    let times = lines.map(|line| line.parse::<f64>().unwrap());
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let filter = format!("crop={part},scale=1:1:flags=area,format=gray");
    let after = ["-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after.map(Path::new)));
    let times: Vec<_> = times.collect();
    assert_eq!(times.len(), output.stdout.len(), "{}", String::from_utf8_lossy(&output.stderr));
    times.into_iter().zip(output.stdout).collect()
}

/// The times at which the picture turns from dark to bright.
pub(super) fn flashes(path: &Path) -> Vec<f64> {
    let pictures = pictures(path);
    pictures.windows(2).filter(|pair| pair[0].1 < 60 && pair[1].1 >= 60).map(|pair| pair[1].0).collect()
}

/// The times at which sound begins after at least 0.3 s of silence.
pub(super) fn beeps(path: &Path) -> Vec<f64> {
    let before = ["-nostdin", "-v", "info", "-i"].map(Path::new);
    let after = ["-af", "silencedetect=noise=-30dB:d=0.3", "-f", "null", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = text.rsplit("time=").next().and_then(|time| time.split(' ').next()).map(clock).unwrap();
    text.split("silence_end: ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        // Silence until the end ends there, too.
        .filter(|time: &f64| *time < end - 0.06)
        .collect()
}

/// The times of silence of at least 2 ms within the sound, the first and last 0.2 s aside.
pub(super) fn holes(path: &Path) -> Vec<String> {
    let before = ["-nostdin", "-v", "info", "-i"].map(Path::new);
    let filter = "atrim=start=0.2:end=5.8,silencedetect=noise=-60dB:d=0.002";
    let after = ["-af", filter, "-f", "null", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split("silence_start: ")
        .skip(1)
        .map(|rest| rest.split(['\n', ' ']).next().unwrap().to_owned())
        .collect()
}

fn clock(text: &str) -> f64 {
    text.split(':').fold(0.0, |sum, part| sum * 60.0 + part.trim().parse::<f64>().unwrap())
}

/// Asserts that flashes and beeps come `first` seconds after the beginning of each of `parts` parts of `seconds`, within 20 ms of one
/// another.
pub(super) fn assert_in_sync(path: &Path, parts: u32, first: f64, seconds: f64) {
    let (flashes, beeps) = (flashes(path), beeps(path));
    let expected: Vec<_> = (0..parts).map(|part| f64::from(part) * seconds + first).collect();
    assert_eq!((flashes.len(), beeps.len()), (expected.len(), expected.len()), "{flashes:?} {beeps:?}");
    for ((flash, beep), time) in flashes.iter().zip(&beeps).zip(expected) {
        assert!((flash - time).abs() < 0.04 && (flash - beep).abs() <= 0.02, "{flashes:?} {beeps:?}");
    }
}

/// The power of a tone in the first second of each channel of `path`, relative to full scale.
pub(super) fn tone(path: &Path, hertz: f64) -> f64 {
    const RATE: f64 = 48_000.0;
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let after = ["-map", "0:a:0", "-ar", "48000", "-ac", "2", "-f", "s16le", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    let samples =
        output.stdout.as_chunks::<2>().0.iter().map(|bytes| f64::from(i16::from_le_bytes(*bytes)) / 32_768.0);
    let samples: Vec<_> = samples.collect();
    let power = |channel: usize| {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (number, sample) in (0u32..48_000).zip(samples.iter().skip(channel).step_by(2)) {
            let angle = std::f64::consts::TAU * hertz * f64::from(number) / RATE;
            real += sample * angle.cos();
            imaginary += sample * angle.sin();
        }
        real.hypot(imaginary) * 2.0 / RATE
    };
    power(0).max(power(1))
}

/// The colour of the middle of the first picture, as red, green and blue.
pub(super) fn color(path: &Path) -> [u8; 3] {
    let before = ["-nostdin", "-v", "error", "-i"].map(Path::new);
    let filter = "scale=out_range=full:in_color_matrix=bt709,format=rgb24,crop=2:2";
    let after = ["-frames:v", "1", "-vf", filter, "-f", "rawvideo", "-"].map(Path::new);
    let output = run("ffmpeg", Path::new("."), before.into_iter().chain([path]).chain(after));
    output.stdout[..3].try_into().unwrap()
}
