//! What FFmpeg prints while it runs and when it fails.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use futures::executor::block_on;
use streamio_worker::diagnosis::{Fault, fault, oversized_frame};
use streamio_worker::frame_rate::FrameRate;
use streamio_worker::process::testing::{last_report, read_lines};
use tokio::io::AsyncReadExt as _;

use crate::text;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 4096;

/// Reports and lines are the same in whatever pieces they arrive. The first line has an exit status and a place to cut at.
pub fn check(data: &[u8]) {
    let ([choice], output) = text::lines(data);
    let at = output.len().min(choice.get(1).copied().unwrap_or_default().into());
    let split = || (&output[..at]).chain(&output[at..]);
    let report = block_on(last_report(output));
    assert_eq!(block_on(last_report(split())), report);
    assert!(report.out_time.is_none_or(|time| time <= Duration::from_micros(i64::MAX.unsigned_abs())));

    let lines = block_on(read_lines(output)).expect("memory can be read");
    assert_eq!(block_on(read_lines(split())).expect("memory can be read"), lines);
    // A character that is not UTF-8 takes three bytes.
    assert!(lines.iter().all(|line| line.len() <= 3 * MAX_LINE && !line.contains('\n')));
    assert!(lines.len() <= output.len());

    let text = String::from_utf8_lossy(output);
    let status = ExitStatus::from_raw(i32::from(choice.first().copied().unwrap_or_default()) << 8);
    if let Fault::File(failure) = fault(status.into(), &text) {
        assert!(!failure.code().is_empty());
    }
    if oversized_frame(&text).is_some() {
        assert!(text.contains("Picture size ") && text.contains('x'));
    }
    if let Some(rate) = FrameRate::parse(&text) {
        assert!(rate.per_second() > 0.0 && rate.per_second().is_finite());
        assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/'), "{text:?}");
    }
}
