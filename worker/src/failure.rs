//! Why an attempt failed. Each failure has a documented code, a message for the uploader, and states whether another attempt
//! may succeed. Details for the operator go to the log, never into an event.

use std::sync::Arc;
use std::time::Duration;

use streamio_events::media::VideoError;
use streamio_events::retryable::Retryable;

use crate::storage::StorageError;

/// Why an attempt failed.
///
/// `Display` is the message for the uploader: what is wrong and what to do. It never contains a path, a URL, a storage key or
/// FFmpeg's output, because FFmpeg quotes its input.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The object has no bytes.
    #[error("the file is empty; request a new upload URL and upload the whole file")]
    EmptyFile,
    /// The bytes are not a known media format.
    #[error(
        "the file is not a video or audio file; upload the media itself, in a format such as MP4, MOV, MKV or MP3"
    )]
    NotMedia,
    /// The file is of a known kind that holds no recorded sound or picture.
    #[error("the file is {kind}, not a video or sound recording; {advice}")]
    NotRecorded {
        /// The kind, with its article.
        kind: &'static str,
        /// What to upload instead.
        advice: &'static str,
    },
    /// The file is an image.
    #[error("the file is a still or animated image; upload a video or audio file")]
    ImageNotSupported,
    /// The container is not accepted; this includes all that name other files or hosts.
    #[error(
        "this kind of file is not accepted; playlists, manifests and edit lists that name other files are refused: \
         upload the media itself, in a format such as MP4, MOV, MKV or MP3"
    )]
    UnsupportedContainer,
    /// The file has neither audio nor video, for example subtitles only.
    #[error("the file has neither video nor audio")]
    NoStreams,
    /// The container is known but its content cannot be read.
    #[error("the file is damaged: {reason}; export or upload it again")]
    Corrupt {
        /// What is damaged.
        reason: &'static str,
    },
    /// Bytes are missing that the file's own index, header or last packet states.
    #[error(
        "the file is incomplete: it ends before the end that its own index, header or last packet states; upload it again, \
         and check that the original plays to its end"
    )]
    Truncated,
    /// Pictures or sound are encrypted.
    #[error(
        "the file is encrypted (DRM), so that it cannot be played without a licence; upload an unprotected copy"
    )]
    DrmProtected,
    /// There are more streams than a recording has.
    #[error(
        "the file has {streams} streams, more than the limit of {limit}; export only the video and its sound"
    )]
    TooManyStreams {
        /// The number of streams.
        streams: usize,
        /// The limit.
        limit: usize,
    },
    /// Decoding needs more than a file of this size and duration honestly needs.
    #[error(
        "the file needs too much {resource} to be decoded; export it again with common settings, such as H.264 and AAC"
    )]
    TooComplex {
        /// What it needs too much of.
        resource: Resource,
    },
    /// There is no decoder for the codec.
    #[error("the codec `{codec}` is not supported; export the file with another, such as H.264 and AAC")]
    UnsupportedCodec {
        /// FFmpeg's name of the codec, or `unknown`.
        codec: String,
    },
    /// The duration exceeds the limit.
    #[error("the file is longer than the limit of {limit_seconds} seconds; upload it in pieces")]
    TooLong {
        /// The limit in seconds.
        limit_seconds: u64,
    },
    /// The size exceeds the limit.
    #[error("the file has {bytes} bytes, more than the limit of {limit}; export it at a lower bit rate")]
    TooLarge {
        /// The source's size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A frame has more pixels than can be decoded in bounded memory.
    #[error(
        "a frame of {width}x{height} pixels is larger than supported; export the video at 8192x8192 or less"
    )]
    FrameTooLarge {
        /// Width of a coded frame.
        width: u32,
        /// Height of a coded frame.
        height: u32,
    },
    /// The source object does not exist.
    #[error("the uploaded file no longer exists; request a new upload URL and upload it again")]
    SourceMissing,
    /// The source object was replaced while it was being read.
    #[error("the uploaded file was replaced while it was processed")]
    SourceChanged,
    /// Object storage was unavailable or refused a request.
    #[error("storage was not available")]
    StorageUnavailable(#[source] Arc<StorageError>),
    /// FFmpeg ended with an error of which neither the source nor this machine is known to be the cause.
    #[error("the encoder ended unexpectedly")]
    EncoderFailed {
        /// Its exit status and last output, for the operator.
        diagnosis: String,
    },
    /// FFmpeg made no progress.
    #[error("the encoder made no progress for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The attempt took too long.
    #[error("processing took longer than {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// This machine cannot do the work: FFmpeg is missing or was killed, the disk is full, or a directory is not writable.
    #[error("the worker's machine cannot process videos")]
    Machine(#[source] MachineError),
}

/// What a file may need too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processor time.
    ProcessorTime,
    /// Memory.
    Memory,
    /// Bytes or seconds of output.
    Output,
    /// Pictures per second.
    Frames,
}

impl std::fmt::Display for Resource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::ProcessorTime => "processor time",
            Self::Memory => "memory",
            Self::Output => "space for its output",
            Self::Frames => "pictures in a second",
        })
    }
}

/// What is wrong with this machine, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// FFmpeg or ffprobe cannot be started.
    #[error(
        "cannot start `{program}`; install FFmpeg 5.1 or later, or name it in STREAMIO_FFMPEG and STREAMIO_FFPROBE"
    )]
    Program {
        /// The program.
        program: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The FFmpeg build lacks a required feature.
    #[error("this FFmpeg lacks {0}; install a full build, such as Debian's package `ffmpeg`")]
    Incapable(String),
    /// The isolation of FFmpeg could not be set up, or FFmpeg not be started in it.
    #[error("cannot start FFmpeg in its sandbox: {0}")]
    Sandbox(String),
    /// FFmpeg or ffprobe was killed, or its disk was full.
    #[error(
        "`{program}` was ended by this machine and not by the source; check its memory, its disk and what sends signals: {how}"
    )]
    Ended {
        /// The program.
        program: String,
        /// Its exit status and last output.
        how: String,
    },
    /// I/O failed on a file in the scratch directory, a socket or a pipe.
    #[error("{doing}")]
    Io {
        /// The operation, for example `reading the MP4`.
        doing: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

impl MachineError {
    /// For `map_err`: wraps an I/O error that occurred while `doing`.
    pub fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Self {
        Self::Machine(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::StorageUnavailable(Arc::new(error))
    }
}

impl Retryable for Failure {
    /// Whether another attempt at the same bytes may succeed.
    fn is_retryable(&self) -> bool {
        match self {
            Self::EmptyFile
            | Self::NotMedia
            | Self::NotRecorded { .. }
            | Self::Truncated
            | Self::DrmProtected
            | Self::TooManyStreams { .. }
            | Self::TooComplex { .. }
            | Self::ImageNotSupported
            | Self::UnsupportedContainer
            | Self::NoStreams
            | Self::Corrupt { .. }
            | Self::UnsupportedCodec { .. }
            | Self::TooLong { .. }
            | Self::TooLarge { .. }
            | Self::FrameTooLarge { .. }
            | Self::SourceMissing => false,
            Self::SourceChanged
            | Self::StorageUnavailable(_)
            | Self::EncoderFailed { .. }
            | Self::Stalled(_)
            | Self::Timeout(_)
            | Self::Machine(_) => true,
        }
    }
}

impl Failure {
    /// Whether only the platform is at fault. The attempt then ends as interrupted, and the next one waits for the platform.
    pub fn is_fault_of_platform(&self) -> bool {
        matches!(self, Self::StorageUnavailable(_) | Self::Machine(_))
    }

    /// The documented code, stable for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::NotMedia | Self::NotRecorded { .. } => "not_media",
            Self::Truncated => "truncated",
            Self::DrmProtected => "drm_protected",
            Self::TooManyStreams { .. } => "too_many_streams",
            Self::TooComplex { .. } => "too_complex",
            Self::ImageNotSupported => "image_not_supported",
            Self::UnsupportedContainer => "unsupported_container",
            Self::NoStreams => "no_streams",
            Self::Corrupt { .. } => "corrupt",
            Self::UnsupportedCodec { .. } => "unsupported_codec",
            Self::TooLong { .. } => "too_long",
            Self::TooLarge { .. } => "too_large",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::SourceMissing => "source_missing",
            Self::SourceChanged => "source_changed",
            Self::StorageUnavailable(_) => "storage_unavailable",
            Self::EncoderFailed { .. } => "encoder_failed",
            Self::Stalled(_) => "stalled",
            Self::Timeout(_) => "timeout",
            Self::Machine(_) => "worker_unable",
        }
    }

    /// The failure of an attempt whose source could not be read because of `error`.
    pub fn from_source_error(error: Arc<StorageError>) -> Self {
        match *error {
            StorageError::NotFound { .. } => Self::SourceMissing,
            StorageError::PreconditionFailed { .. } => Self::SourceChanged,
            StorageError::Refused { .. } | StorageError::Unavailable { .. } => {
                Self::StorageUnavailable(error)
            }
        }
    }

    /// The error as recorded in the event `processing.failed`.
    pub fn to_video_error(&self) -> VideoError {
        let message = self.to_string();
        if self.is_retryable() {
            VideoError::retryable(self.code(), message)
        } else {
            VideoError::permanent(self.code(), message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_ffmpeg_is_not_in_the_event() {
        let failure = Failure::EncoderFailed { diagnosis: "http://127.0.0.1:9/secret: broken".to_owned() };
        let error = failure.to_video_error();
        assert_eq!((error.code.as_str(), error.retryable), ("encoder_failed", true));
        assert!(!error.message.contains("secret"), "{}", error.message);
    }
}
