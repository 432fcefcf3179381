//! FFmpeg's `-progress` report: lines of `key=value`, each block closed by `progress=continue` or `progress=end`.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

/// How far FFmpeg is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How much of the output is written, in media time; absent before the first packet.
    pub out_time: Option<Duration>,
}

impl Progress {
    fn take(&mut self, line: &str) {
        // `out_time_us=N/A` until there is output; negative while only an encoder's priming is out.
        if let Some(microseconds) =
            line.strip_prefix("out_time_us=").and_then(|value| value.trim().parse::<i64>().ok())
        {
            self.out_time = Some(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)));
        }
    }
}

/// Reads reports to the end of `stdout`; what changes is announced at the end of each block.
pub(super) async fn follow(stdout: impl AsyncRead + Unpin, sender: watch::Sender<Progress>) {
    let mut lines = BufReader::new(stdout);
    let mut report = Progress::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line is short; the limit only keeps a broken program from filling the memory.
        match (&mut lines).take(4096).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        report.take(&line);
        if line.starts_with("progress=") {
            sender.send_if_modified(|last| std::mem::replace(last, report) != report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_of_the_last_whole_block_is_announced() {
        let text = "frame=1\nout_time_us=N/A\nprogress=continue\nout_time_us=-21333\nprogress=continue\n\
                    frame=9\nout_time_us=4992000\nout_time=00:00:04.992000\nprogress=continue\nout_time_us=9000000\n";
        let (sender, receiver) = watch::channel(Progress::default());
        follow(text.as_bytes(), sender).await;
        assert_eq!(receiver.borrow().out_time, Some(Duration::from_millis(4992)));
    }

    #[tokio::test]
    async fn no_time_is_known_before_the_first_packet() {
        let (sender, receiver) = watch::channel(Progress::default());
        follow("out_time_us=N/A\nprogress=continue\n".as_bytes(), sender).await;
        assert_eq!(receiver.borrow().out_time, None);
    }
}
