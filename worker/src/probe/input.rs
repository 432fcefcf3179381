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

/// Input options that give packets without a presentation time one, except where the container states decoding times only: FFmpeg
/// would take those for presentation times and shift pictures by up to several frames, which its decoders do not.
pub fn timestamps(decoding_times_only: bool) -> impl Iterator<Item = String> {
    let words: &[&str] = if decoding_times_only { &[] } else { &["-fflags", "+genpts"] };
    words.iter().map(|&word| word.to_owned())
}
