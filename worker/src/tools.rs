//! The FFmpeg programs and how they are run.

use crate::process::{Bounds, Invocation};
use crate::relay::Input;
use crate::sandbox::Sandbox;

/// The FFmpeg programs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Name or path of `ffmpeg`.
    pub ffmpeg: String,
    /// Name or path of `ffprobe`.
    pub ffprobe: String,
    /// What both run in.
    pub sandbox: Sandbox,
}

impl Tools {
    /// `ffmpeg` with a source to read. It may write nowhere.
    pub fn ffmpeg(&self, args: Vec<String>, input: &Input, bounds: Bounds) -> Invocation {
        self.reading(&self.ffmpeg, args, input, bounds)
    }

    /// `ffprobe` with a source to read. It may write nowhere.
    pub fn ffprobe(&self, args: Vec<String>, input: &Input, bounds: Bounds) -> Invocation {
        self.reading(&self.ffprobe, args, input, bounds)
    }

    /// `ffmpeg` without a source, to ask what it can do.
    pub fn ffmpeg_without_input(&self, args: Vec<String>) -> Invocation {
        Invocation {
            program: self.ffmpeg.clone(),
            args,
            directory: None,
            input: None,
            bounds: None,
            sandbox: self.sandbox.clone(),
        }
    }

    fn reading(&self, program: &str, args: Vec<String>, input: &Input, bounds: Bounds) -> Invocation {
        Invocation {
            program: program.to_owned(),
            args,
            directory: None,
            input: Some(input.clone()),
            bounds: Some(bounds),
            sandbox: self.sandbox.clone(),
        }
    }
}
