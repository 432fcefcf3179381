//! Restrictions on what FFmpeg may open. The same for ffprobe and ffmpeg, so that both read the same input.

/// Protocols needed to read from the relay on the loopback interface. Excludes `file`, `https`, `concat` and `data`.
const PROTOCOLS: &str = "http,tcp";

/// Self-contained formats. Excludes those that can name other files or hosts (`hls`, `dash`, `concat`, `sdp`, `rtsp`, `imf`,
/// `image2`, `webm_dash_manifest`, subtitles) and those without a signature, which FFmpeg could detect in random bytes.
const FORMATS: &str = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,\
                       mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,truehd,tta,w64,wav,webm,wtv,wv";

/// Bytes that FFmpeg reads to find all streams. More than its default of 5 MB, because streams of broadcast recordings can
/// start late.
const PROBE_SIZE: &str = "20000000";
/// Microseconds of media that FFmpeg reads to find all streams. FFmpeg's default is 5 s.
const ANALYZE_DURATION: &str = "15000000";

/// Pixels of a frame, at most. A decoded frame of this many has 100 MB at 12 bits per pixel, and a decoder holds more than a dozen.
/// Decoders refuse larger ones also where the size changes in mid-stream.
pub const MAX_PIXELS: u64 = 8192 * 8192;

/// Input options that prevent a hostile file from making FFmpeg open anything else. They must precede `-i`.
pub fn guards() -> impl Iterator<Item = String> {
    [
        "-protocol_whitelist",
        PROTOCOLS,
        "-format_whitelist",
        FORMATS,
        "-probesize",
        PROBE_SIZE,
        "-analyzeduration",
        ANALYZE_DURATION,
        "-max_pixels",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([MAX_PIXELS.to_string()])
}

/// What a file needs beyond [`guards`] to be read correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demuxing {
    /// Whether the container states decoding times only (AVI).
    pub decoding_times_only: bool,
    /// Whether a stream that only its packets describe begins later than FFmpeg looks by default.
    pub begins_late: bool,
    /// Milliseconds by which the file begins before the start that FFmpeg takes for it. FFmpeg would drop what comes before its start.
    pub begins_earlier: u32,
}

impl Demuxing {
    /// Input options for FFmpeg, to follow [`guards`].
    pub fn ffmpeg_args(self) -> impl Iterator<Item = String> {
        let offset = (self.begins_earlier > 0)
            .then(|| ["-itsoffset".to_owned(), format!("{:.3}", f64::from(self.begins_earlier) / 1000.0)]);
        self.args().chain(offset.into_iter().flatten())
    }

    /// Those of the options that ffprobe has too.
    pub fn args(self) -> impl Iterator<Item = String> {
        let mut words = Vec::new();
        if !self.decoding_times_only {
            // Give packets without a presentation time one. Where the container states decoding times only, FFmpeg would take those
            // for presentation times and shift pictures by up to several frames, which its decoders do not.
            words.extend(["-fflags", "+genpts"]);
        }
        if self.begins_late {
            words.extend(["-probesize", LATE_PROBE_SIZE, "-analyzeduration", LATE_ANALYZE_DURATION]);
        }
        words.into_iter().map(str::to_owned)
    }
}

/// Bytes to read for a stream that begins late: two hours of sound. FFmpeg keeps them in memory.
const LATE_PROBE_SIZE: &str = "200000000";
/// Microseconds: 12 hours.
const LATE_ANALYZE_DURATION: &str = "43200000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_for_a_stream_that_begins_late_replace_the_usual_ones() {
        let of = |decoding_times_only, begins_late| {
            let demuxing = Demuxing { decoding_times_only, begins_late, ..Demuxing::default() };
            demuxing.args().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(false, false), "-fflags +genpts");
        assert_eq!(of(true, true), "-probesize 200000000 -analyzeduration 43200000000");
    }

    #[test]
    fn an_earlier_beginning_is_an_offset_for_ffmpeg_only() {
        let demuxing = Demuxing { begins_earlier: 717, ..Demuxing::default() };
        assert_eq!(demuxing.ffmpeg_args().collect::<Vec<_>>().join(" "), "-fflags +genpts -itsoffset 0.717");
        assert_eq!(demuxing.args().collect::<Vec<_>>().join(" "), "-fflags +genpts");
    }
}
