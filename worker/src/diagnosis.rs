//! Tells from FFmpeg's exit status and last output whether the file, the machine or neither is known to be at fault.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use streamio_events::digits;

use crate::failure::{Failure, Resource};
use crate::process::ChildEnd;

/// Who is at fault for the end of FFmpeg.
#[derive(Debug)]
pub enum Fault {
    /// The file: every further attempt would end in the same way.
    File(Failure),
    /// The machine: the disk is full, or FFmpeg was killed.
    Machine,
    /// Unknown.
    Unknown,
}

/// `max_error_rate` was exceeded: FFmpeg could not decode two thirds of the packets.
const TOO_MANY_DECODE_ERRORS: i32 = 69;
/// `AVERROR_INVALIDDATA` as an exit status, since FFmpeg 6.
const INVALID_DATA: i32 = 183;

/// Texts of the operating system's errors that a file cannot cause. FFmpeg prints them at the end of a line.
const OF_MACHINE: [&str; 9] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
    "Too many open files",
    "Connection refused",
    "Connection reset by peer",
    "Resource temporarily unavailable",
    "Input/output error",
];

/// Messages about the file that end FFmpeg.
const OF_FILE: [&str; 6] = [
    "Invalid data found when processing input",
    "Output file is empty, nothing was encoded",
    "Too many packets buffered for output stream",
    "could not find codec parameters",
    "Error while opening decoder",
    "Could not open decoder",
];

/// Messages of FFmpeg and x264 when an allocation exceeds the limit on memory.
const OUT_OF_MEMORY: [&str; 2] = ["Cannot allocate memory", "malloc of size"];

/// The fault behind an unsuccessful `end` with the last output `stderr`.
pub fn fault(end: ChildEnd, stderr: &str) -> Fault {
    let says = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
    let status = end.status;
    match status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() && end.exceeded_memory => {
            return too_complex(Resource::Memory);
        }
        Some(signal) if signal == Signal::XCPU.as_raw() => return too_complex(Resource::ProcessorTime),
        Some(signal)
            if [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP]
                .iter()
                .any(|s| s.as_raw() == signal) =>
        {
            return Fault::Machine;
        }
        // A crash may be a defect of the decoder or of the machine.
        Some(_) => return Fault::Unknown,
        None => {}
    }
    if says(&OF_MACHINE) {
        return Fault::Machine;
    }
    if says(&OUT_OF_MEMORY) {
        return too_complex(Resource::Memory);
    }
    if let Some((width, height)) = oversized_frame(stderr) {
        return Fault::File(Failure::FrameTooLarge { width, height });
    }
    match status.code() {
        Some(TOO_MANY_DECODE_ERRORS) => corrupt("most of it cannot be decoded"),
        Some(INVALID_DATA) => corrupt("it holds data that is not valid in its format"),
        _ if says(&OF_FILE) => corrupt("it holds data that is not valid in its format"),
        _ => Fault::Unknown,
    }
}

fn corrupt(reason: &'static str) -> Fault {
    Fault::File(Failure::Corrupt { reason })
}

fn too_complex(resource: Resource) -> Fault {
    Fault::File(Failure::TooComplex { resource })
}

/// The size of a picture that exceeds `-max_pixels`: `Picture size 9000x9000 exceeds specified max pixel count 67108864`.
pub fn oversized_frame(stderr: &str) -> Option<(u32, u32)> {
    stderr.lines().find_map(|line| {
        let (_, rest) = line.split_once("Picture size ")?;
        let (size, _) = rest.split_once(" exceeds specified max pixel count")?;
        let (width, height) = size.split_once('x')?;
        Some((digits::number(width)?, digits::number(height)?))
    })
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    /// The code of the failure, `machine` or `unknown`. `code` is an exit status, or a signal if it is negative.
    fn classified(code: i32, stderr: &str) -> &'static str {
        let raw = if code < 0 { -code } else { code << 8 };
        name(fault(ExitStatus::from_raw(raw).into(), stderr))
    }

    fn name(fault: Fault) -> &'static str {
        match fault {
            Fault::File(failure) => failure.code(),
            Fault::Machine => "machine",
            Fault::Unknown => "unknown",
        }
    }

    #[test]
    fn faults_of_the_file_are_told_from_those_of_the_machine() {
        for (code, stderr, expected) in [
            (69, "Error while decoding stream #0:0: Invalid data found when processing input", "corrupt"),
            (183, "", "corrupt"),
            (1, "source: Invalid data found when processing input", "corrupt"),
            (1, "Output file is empty, nothing was encoded", "corrupt"),
            (1, "Too many packets buffered for output stream 0:1.\nConversion failed!", "corrupt"),
            (1, "av_interleaved_write_frame(): No space left on device\nConversion failed!", "machine"),
            (69, "Invalid data found when processing input\nNo space left on device", "machine"),
            (1, "Error while decoding stream #0:0: Cannot allocate memory", "too_complex"),
            (1, "x264 [error]: malloc of size 17600000 failed", "too_complex"),
            (
                69,
                "[mjpeg @ 0x5] Picture size 9000x8000 exceeds specified max pixel count 67108864",
                "frame_too_large",
            ),
            (1, "Conversion failed!", "unknown"),
            (255, "Exiting normally, received signal 15.", "unknown"),
            (-24, "", "too_complex"),
            (-9, "", "machine"),
            (-15, "", "machine"),
            (-11, "Invalid data found when processing input", "unknown"),
        ] {
            assert_eq!(classified(code, stderr), expected, "{code} {stderr}");
        }
    }

    #[test]
    fn a_kill_at_the_limit_of_the_control_group_is_a_fault_of_the_file_and_any_other_of_the_machine() {
        let ended = |signal: i32| ChildEnd { status: ExitStatus::from_raw(signal), exceeded_memory: true };
        let Fault::File(failure) = fault(ended(9), "") else { panic!("the machine is not at fault") };
        assert!(matches!(failure, Failure::TooComplex { resource: Resource::Memory }), "{failure:?}");
        // Something else ended it before the kernel did.
        assert_eq!(name(fault(ended(15), "")), "machine");
        assert_eq!(name(fault(ExitStatus::from_raw(9).into(), "")), "machine");
    }
}
