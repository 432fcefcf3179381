//! The parser of FFmpeg's progress reports, for fuzzing. Feature `testing`.

use tokio::io::AsyncRead;
use tokio::sync::watch;

use super::{Progress, lines, progress};

/// The last complete report in `output`.
pub async fn last_report(output: impl AsyncRead + Unpin) -> Progress {
    let (sender, receiver) = watch::channel(Progress::default());
    progress::read_reports(output, sender).await;
    *receiver.borrow()
}

/// The lines of `text`, each cut at the limit.
///
/// # Errors
/// The error of the reader.
pub async fn read_lines(text: impl AsyncRead + Unpin) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    lines::read(text, |line| found.push(line.to_owned())).await?;
    Ok(found)
}
