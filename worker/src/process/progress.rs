//! Parses FFmpeg's `-progress` reports: blocks of `key=value` lines, each ending with `progress=continue` or `progress=end`.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

/// FFmpeg's progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Media time written so far; `None` before the first packet.
    pub out_time: Option<Duration>,
}

impl Progress {
    fn apply(&mut self, line: &str) {
        // `N/A` before the first output; negative while only encoder priming samples are written.
        if let Some(microseconds) =
            line.strip_prefix("out_time_us=").and_then(|value| value.trim().parse::<i64>().ok())
        {
            self.out_time = Some(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)));
        }
    }
}

/// Reads reports until the end of `stdout` and sends changes at the end of each block.
pub(super) async fn read_reports(stdout: impl AsyncRead + Unpin, sender: watch::Sender<Progress>) {
    let mut lines = BufReader::new(stdout);
    let mut report = Progress::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // Lines are short; the limit bounds memory use if the program misbehaves.
        match (&mut lines).take(4096).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        report.apply(&line);
        if line.starts_with("progress=") {
            sender.send_if_modified(|last| std::mem::replace(last, report) != report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_of_the_last_complete_block_is_sent() {
        let text = "frame=1\nout_time_us=N/A\nprogress=continue\nout_time_us=-21333\nprogress=continue\n\
                    frame=9\nout_time_us=4992000\nout_time=00:00:04.992000\nprogress=continue\nout_time_us=9000000\n";
        let (sender, receiver) = watch::channel(Progress::default());
        read_reports(text.as_bytes(), sender).await;
        assert_eq!(receiver.borrow().out_time, Some(Duration::from_millis(4992)));
    }

    #[tokio::test]
    async fn there_is_no_time_before_the_first_packet() {
        let (sender, receiver) = watch::channel(Progress::default());
        read_reports("out_time_us=N/A\nprogress=continue\n".as_bytes(), sender).await;
        assert_eq!(receiver.borrow().out_time, None);
    }
}
