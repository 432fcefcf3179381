//! What FFmpeg may open. The same for ffprobe and ffmpeg, so that what was checked is what is read.

/// Protocols that the input needs: our own relay on the loopback interface. No `file`, no `https`, no `concat`, no `data`.
const PROTOCOLS: &str = "http,tcp";

/// Containers that hold their media themselves. Left out are all that name other files or hosts (`hls`, `dash`,
/// `concat`, `sdp`, `rtsp`, `imf`, `image2`, `webm_dash_manifest`, subtitles) and those without a signature, which FFmpeg
/// would guess from noise.
const FORMATS: &str = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,\
                       mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,truehd,tta,w64,wav,webm,wtv,wv";

/// How much FFmpeg reads, and how many microseconds of media, to find all streams. More than FFmpeg's default of 5 MB and
/// 5 s, because broadcast recordings start streams late.
const PROBE_SIZE: &str = "20000000";
const ANALYZE_DURATION: &str = "15000000";

/// Input options that keep a hostile file from making FFmpeg open anything but the file itself. To stand before `-i`.
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
    ]
    .into_iter()
    .map(str::to_owned)
}
