//! Tells from FFmpeg's exit status and last output whether the file, the machine or neither is known to be at fault.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;
use streamio_events::digits;

use crate::failure::{Failure, Resource};
use crate::process::ChildEnd;

/// Who is at fault for the end of FFmpeg that [`is_fault_of_machine`] does not explain.
#[derive(Debug)]
pub enum Fault {
    /// The file: every further attempt would end in the same way.
    File(Failure),
    /// Unknown.
    Unknown,
}

/// `max_error_rate` was exceeded: FFmpeg could not decode two thirds of the packets.
const TOO_MANY_DECODE_ERRORS: i32 = 69;
/// FFmpeg ended itself at the fourth signal.
const TOO_MANY_SIGNALS: i32 = 123;
/// `AVERROR_INVALIDDATA` as an exit status, since FFmpeg 6.
const INVALID_DATA: i32 = 183;
/// FFmpeg caught a signal; since FFmpeg 6 also `AVERROR(EPERM)`, of which there is a message.
const SIGNALLED: i32 = 255;

/// Signals that this program does not send to a child whose end it diagnoses, and that no limit causes. The first one is that of the kernel
/// when memory runs out.
const OF_OTHERS: [Signal; 4] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];

/// What a line says about writing, where FFmpeg reports an error.
const WRITING: &[&str] = &["writ", " mux", "output", "trailer"];
/// What a line says about reading from the relay. The relay's own failures are known otherwise.
const READING: &[&str] = &["source", "opening input", "demuxing"];
/// What a line says about starting a codec or a filter.
const STARTING: &[&str] = &["opening", "threading", "pthread_create"];

/// Texts of the operating system's errors at the end of a line, and the words of which one is before it. Demuxers and decoders return the
/// errors with words, too, for what is in a file.
const OF_MACHINE: [(&str, &[&str]); 10] = [
    ("No space left on device", &[]),
    ("Disk quota exceeded", &[]),
    ("Read-only file system", &[]),
    ("Too many open files", &[]),
    ("Too many open files in system", &[]),
    ("Permission denied", WRITING),
    ("Input/output error", WRITING),
    ("Connection refused", READING),
    ("Connection reset by peer", READING),
    ("Resource temporarily unavailable", STARTING),
];

/// FFmpeg returns "No space left on device" also for its own queue, which the file fills.
const QUEUE_IS_FULL: &str = "Too many packets buffered for output stream";

/// Messages about the file that end FFmpeg.
const OF_FILE: [&str; 6] = [
    "Invalid data found when processing input",
    "Output file is empty, nothing was encoded",
    QUEUE_IS_FULL,
    "could not find codec parameters",
    "Error while opening decoder",
    "Could not open decoder",
];

/// Messages of FFmpeg and x264 when an allocation exceeds the limit on memory.
const OUT_OF_MEMORY: [&str; 2] = ["Cannot allocate memory", "malloc of size"];

/// Whether this machine ended FFmpeg, and not its source: a signal that is not from its own limits killed it, or its disk was full.
///
/// `stderr` is the last output, in which the source is called `source`.
pub fn is_fault_of_machine(end: ChildEnd, stderr: &str) -> bool {
    let status = end.status;
    if let Some(signal) = status.signal() {
        let is_own_limit = signal == Signal::KILL.as_raw() && end.exceeded_memory;
        return !is_own_limit && OF_OTHERS.iter().any(|other| other.as_raw() == signal);
    }
    if status.success() || stderr.contains(QUEUE_IS_FULL) {
        return false;
    }
    is_signalled(status, stderr) || stderr.lines().any(names_machine)
}

/// Whether FFmpeg ended by itself because of signals.
fn is_signalled(status: ExitStatus, stderr: &str) -> bool {
    match status.code() {
        Some(TOO_MANY_SIGNALS) => true,
        Some(SIGNALLED) => !stderr.contains("Operation not permitted"),
        _ => false,
    }
}

/// Whether a line of FFmpeg's output states an error of the machine: `av_interleaved_write_frame(): No space left on device`.
fn names_machine(line: &str) -> bool {
    // In parentheses since FFmpeg 7: `Task finished with error code: -28 (No space left on device)`.
    let line = line.trim_end_matches([')', '.', ' ', '\r']);
    OF_MACHINE.iter().any(|(text, words)| {
        let before = line.strip_suffix(text);
        before.is_some_and(|before| words.is_empty() || words.iter().any(|word| before.contains(word)))
    })
}

/// The fault behind an unsuccessful `end` with the last output `stderr`, if it is none of the machine.
pub fn fault(end: ChildEnd, stderr: &str) -> Fault {
    let says = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
    let status = end.status;
    match status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() && end.exceeded_memory => {
            return too_complex(Resource::Memory);
        }
        Some(signal) if signal == Signal::XCPU.as_raw() => return too_complex(Resource::ProcessorTime),
        Some(signal) if signal == Signal::XFSZ.as_raw() => return too_complex(Resource::Output),
        // A crash may be a defect of the decoder or of the machine.
        Some(_) => return Fault::Unknown,
        // It caught the signal of its limit.
        None if is_signalled(status, stderr) => return too_complex(Resource::ProcessorTime),
        None => {}
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
    use super::*;

    /// The code of the failure, `machine` or `unknown`. `code` is an exit status, or a signal if it is negative.
    fn classified(code: i32, stderr: &str) -> &'static str {
        let raw = if code < 0 { -code } else { code << 8 };
        name(ExitStatus::from_raw(raw).into(), stderr)
    }

    fn name(end: ChildEnd, stderr: &str) -> &'static str {
        match fault(end, stderr) {
            _ if is_fault_of_machine(end, stderr) => "machine",
            Fault::File(failure) => failure.code(),
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
            (1, "[out#0/tee] Task finished with error code: -28 (No space left on device)", "machine"),
            (1, "Error writing trailer of 240p/index.m3u8: Input/output error", "machine"),
            (
                1,
                "[AVFilterGraph @ 0x1] Error initializing threading: Resource temporarily unavailable.",
                "machine",
            ),
            (1, "source: Connection refused", "machine"),
            // Demuxers and decoders return these, too.
            (1, "source: Input/output error", "unknown"),
            (1, "[in#0/avi] Error during demuxing: Input/output error", "unknown"),
            (1, "[mov] error opening alias: path='/a', filename='b': Permission denied", "unknown"),
            (1, "tcp://192.0.2.1:80: Connection refused", "unknown"),
            (1, "Error submitting packet to decoder: Resource temporarily unavailable", "unknown"),
            (1, "title: No space left on device, said the disk\nConversion failed!", "unknown"),
            (
                228,
                "Too many packets buffered for output stream 0:1.\n[vost#0:0] Error muxing: No space left on device",
                "corrupt",
            ),
            (255, "", "machine"),
            (123, "Received > 3 system signals, hard exiting", "machine"),
            (255, "Error opening output files: Operation not permitted", "unknown"),
            (0, "", "unknown"),
            (-24, "", "too_complex"),
            (-25, "", "too_complex"),
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
        assert!(!is_fault_of_machine(ended(9), ""));
        let Fault::File(failure) = fault(ended(9), "") else { panic!("the file is at fault") };
        assert!(matches!(failure, Failure::TooComplex { resource: Resource::Memory }), "{failure:?}");
        // Something else ended it before the kernel did.
        assert_eq!(name(ended(15), ""), "machine");
        assert_eq!(name(ExitStatus::from_raw(9).into(), ""), "machine");
    }
}
