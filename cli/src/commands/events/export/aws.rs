//! Exports the log of a deployment on AWS.

use std::io;
use std::sync::Arc;

use futures::future::join_all;
use streamio_events::commit::Commit;
use streamio_events::timestamp::Timestamp;
use streamio_lambdas::operator::{AwsOperator, AwsOperatorError, LogPart};
use streamio_local::export::{
    COMMITS_PER_CHUNK, Destination, ExportError, ExportOptions, ExportSummary, Lines, Packed, PartsError,
    write_parts,
};
use streamio_local::log_bound::LogBound;
use streamio_local::progress::Progress;
use tokio::sync::mpsc::{Sender, channel};

use crate::exit::Failure;

/// How many chunks of a part wait for being written.
const WAITING_CHUNKS: usize = 2;

/// The commits that are exported, by the time at which they were recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Range {
    /// The range of an export, if AWS has it: the log has no positions there. An export that is continued must end at a time, because later
    /// commits are among the earlier ones.
    pub(super) fn of(options: &ExportOptions, resume: bool) -> Result<Self, Failure> {
        let time = |bound: Option<LogBound>| match bound {
            None => Ok(None),
            Some(LogBound::Time(time)) => Ok(Some(time)),
            Some(LogBound::Position(_)) => Err(Failure::usage(
                "the log has no positions on AWS",
                "state a time such as 2026-01-02T03:04:05Z in --from and --to",
            )),
        };
        let (from, to) = (time(options.from)?, time(options.to)?);
        if resume && to.is_none() {
            return Err(Failure::usage(
                "on AWS, later events are among the earlier ones, so an export without an end cannot be continued",
                "state a time that has passed in --to, in each of the commands that write the file",
            ));
        }
        Ok(Self { from, to })
    }

    fn has(self, commit: &Commit) -> bool {
        let Self { from, to } = self;
        from.is_none_or(|from| from <= commit.recorded_at) && to.is_none_or(|to| commit.recorded_at < to)
    }
}

/// Writes the commits of the range to `to`. The parts of the log are read and encoded at the same time.
pub(super) async fn export(
    operator: &AwsOperator,
    options: ExportOptions,
    range: Range,
    mut to: impl Destination + Send + 'static,
    progress: Arc<Progress>,
) -> Result<ExportSummary, PartsError<AwsOperatorError>> {
    let (mut parts, mut reading) = (Vec::new(), Vec::new());
    for part in operator.log_parts() {
        let (chunks, receiver) = channel(WAITING_CHUNKS);
        parts.push(receiver);
        reading.push(send_part(part, options, range, chunks, &progress));
    }
    let written = Arc::clone(&progress);
    let writing = tokio::task::spawn_blocking(move || write_parts(parts, &mut to, &written));
    let (_, written) = tokio::join!(join_all(reading), writing);
    written.unwrap_or(Err(ExportError::Stopped.into()))
}

/// Sends the lines of a part, and the error that ends it. Ends early if nobody receives them.
async fn send_part(
    mut part: LogPart<'_>,
    options: ExportOptions,
    range: Range,
    chunks: Sender<Result<Packed, AwsOperatorError>>,
    progress: &Progress,
) {
    let mut lines = Lines::default();
    loop {
        let commits = match part.next().await {
            Ok(Some(commits)) => commits,
            Ok(None) => break,
            Err(error) => {
                // What is before it is written.
                let _ = chunks.send(Ok(lines.pack(options.compression))).await;
                let _ = chunks.send(Err(error)).await;
                return;
            }
        };
        progress.advance(commits.len() as u64);
        for commit in commits.iter().filter(|commit| range.has(commit)) {
            if let Err(error) = lines.add(commit, options.format) {
                let _ = chunks.send(Err(AwsOperatorError::Write(io::Error::other(error)))).await;
                return;
            }
            if lines.commits() == COMMITS_PER_CHUNK {
                let chunk = std::mem::take(&mut lines).pack(options.compression);
                if chunks.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = chunks.send(Ok(lines.pack(options.compression))).await;
}
