//! Containers and the codecs that they are filled with.

/// A container with FFmpeg's arguments for what goes into it.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) file_name: &'static str,
    /// Encoders of pictures; none for sound alone.
    pub(super) video: &'static [&'static str],
    pub(super) audio: &'static [&'static str],
    pub(super) args: &'static str,
    /// Whether pictures may be missing in the middle: the container states times.
    pub(super) may_have_gaps: bool,
}

impl Container {
    /// Whether sound that begins late is stored so. AVI has no times: its sound begins with the picture.
    pub(super) fn states_times(&self) -> bool {
        self.file_name != "c.avi"
    }
}

const H264: &str = "libx264 -preset ultrafast -pix_fmt yuv420p -bf 0";
const H264_REORDERED: &str = "libx264 -preset veryfast -pix_fmt yuv420p -bf 3";
const H264_LONG_GROUPS: &str = "libx264 -preset ultrafast -pix_fmt yuv420p -g 1000";
const MPEG2: &str = "mpeg2video -q:v 4 -bf 2";

pub(super) const CONTAINERS: [Container; 16] = [
    Container {
        file_name: "c.mp4",
        video: &[H264, H264_REORDERED, H264_LONG_GROUPS, "mpeg4 -q:v 4 -bf 2"],
        audio: &["aac", "libmp3lame", "ac3"],
        args: "-movflags +faststart",
        may_have_gaps: true,
    },
    Container {
        file_name: "f.mp4",
        video: &[H264, H264_REORDERED],
        audio: &["aac"],
        args: "-g 10 -movflags +frag_keyframe+empty_moov",
        may_have_gaps: true,
    },
    Container {
        file_name: "c.mov",
        video: &[H264_REORDERED, "mjpeg -q:v 4", "prores_ks -profile:v 0"],
        audio: &["aac", "pcm_s16le", "pcm_s24le"],
        args: "",
        may_have_gaps: true,
    },
    Container {
        file_name: "c.mkv",
        video: &[
            H264,
            H264_REORDERED,
            "ffv1",
            "mpeg4 -q:v 4",
            "libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=error",
        ],
        audio: &["aac", "libopus", "flac", "libvorbis", "pcm_s16le"],
        args: "",
        may_have_gaps: true,
    },
    Container {
        file_name: "live.mkv",
        video: &[H264],
        audio: &["libopus", "aac"],
        args: "-live 1",
        may_have_gaps: true,
    },
    Container {
        file_name: "c.webm",
        video: &["libvpx -deadline realtime -cpu-used 8 -b:v 300k"],
        audio: &["libopus", "libvorbis"],
        args: "",
        may_have_gaps: true,
    },
    Container {
        file_name: "c.ts",
        video: &[H264, H264_REORDERED, MPEG2],
        audio: &["aac", "mp2", "ac3"],
        args: "",
        may_have_gaps: true,
    },
    Container {
        file_name: "late.ts",
        video: &[H264, MPEG2],
        audio: &["aac", "mp2"],
        args: "-output_ts_offset 95441",
        may_have_gaps: false,
    },
    Container {
        file_name: "c.avi",
        video: &["mpeg4 -q:v 4", "mpeg4 -q:v 4 -bf 2", "mjpeg -q:v 4", H264],
        audio: &["libmp3lame", "pcm_s16le", "ac3"],
        args: "",
        may_have_gaps: false,
    },
    Container {
        file_name: "c.flv",
        video: &["flv -q:v 4", H264_REORDERED],
        audio: &["aac", "libmp3lame"],
        args: "-ar 44100",
        may_have_gaps: true,
    },
    Container { file_name: "c.mpg", video: &[MPEG2], audio: &["mp2"], args: "", may_have_gaps: false },
    Container {
        file_name: "c.wmv",
        video: &["wmv2 -q:v 4"],
        audio: &["wmav2"],
        args: "-ar 44100",
        may_have_gaps: false,
    },
    Container {
        file_name: "c.wav",
        video: &[],
        audio: &["pcm_s16le", "pcm_u8"],
        args: "",
        may_have_gaps: false,
    },
    Container { file_name: "c.flac", video: &[], audio: &["flac"], args: "", may_have_gaps: false },
    Container {
        file_name: "c.mp3",
        video: &[],
        audio: &["libmp3lame", "libmp3lame -q:a 5 -write_xing 0"],
        args: "",
        may_have_gaps: false,
    },
    Container { file_name: "c.aac", video: &[], audio: &["aac"], args: "", may_have_gaps: false },
];
