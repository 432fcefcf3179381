//! Exports the log of a deployment on AWS.

use std::io;
use std::sync::Arc;

use futures::future::join_all;
use streamio_events::commit::Commit;
use streamio_events::timestamp::Timestamp;
use streamio_lambdas::clock::clock;
use streamio_lambdas::operator::{AwsOperator, AwsOperatorError};
use streamio_local::export::{
    Destination, ExportError, ExportOptions, ExportSummary, Lines, Packed, PartsError, write_parts,
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
        if resume && to.is_some_and(|to| to > clock()) {
            return Err(Failure::usage(
                "the time in --to has not passed yet, so there will be further events before it",
                "state a time that has passed, in each of the commands that write the file",
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
    options: &ExportOptions,
    range: Range,
    to: impl Destination + Send + 'static,
    progress: Arc<Progress>,
) -> Result<ExportSummary, PartsError<AwsOperatorError>> {
    let mut parts = operator.log_parts();
    let parts = parts.iter_mut().map(|part| async || part.next().await).collect();
    write(parts, (options, range), to, progress).await
}

/// Writes the commits of `parts`, each of which returns its next commits, or `None` after the last ones.
async fn write<E: From<io::Error> + Send + 'static>(
    parts: Vec<impl AsyncFnMut() -> Result<Option<Vec<Commit>>, E>>,
    (options, range): (&ExportOptions, Range),
    mut to: impl Destination + Send + 'static,
    progress: Arc<Progress>,
) -> Result<ExportSummary, PartsError<E>> {
    let (mut receivers, mut reading) = (Vec::new(), Vec::new());
    for next in parts {
        let (chunks, receiver) = channel(WAITING_CHUNKS);
        receivers.push(receiver);
        reading.push(send_part(next, (options, range), chunks, &progress));
    }
    let written = Arc::clone(&progress);
    let writing = tokio::task::spawn_blocking(move || write_parts(receivers, &mut to, &written));
    let (_, written) = tokio::join!(join_all(reading), writing);
    written.unwrap_or(Err(ExportError::Stopped.into()))
}

/// Sends the lines of a part, and the error that ends it. Lines before an error that do not fill a chunk are left out: the other parts go on after
/// them, so they could not be continued. Ends early if nobody receives the lines.
async fn send_part<E: From<io::Error>>(
    mut next: impl AsyncFnMut() -> Result<Option<Vec<Commit>>, E>,
    (options, range): (&ExportOptions, Range),
    chunks: Sender<Result<Packed, E>>,
    progress: &Progress,
) {
    let mut lines = Lines::default();
    // Also without lines to be sent, which the writer waits for.
    while !progress.is_stopped() && !chunks.is_closed() {
        let commits = match next().await {
            Ok(Some(commits)) => commits,
            Ok(None) => {
                let _ = chunks.send(Ok(lines.pack(options.compression))).await;
                return;
            }
            Err(error) => {
                let _ = chunks.send(Err(error)).await;
                return;
            }
        };
        progress.advance(commits.len() as u64);
        for commit in commits.iter().filter(|commit| range.has(commit) && options.has_stream(&commit.stream))
        {
            if let Err(error) = lines.add(commit, options.format) {
                let _ = chunks.send(Err(io::Error::other(error).into())).await;
                return;
            }
            if lines.is_chunk() {
                let chunk = std::mem::take(&mut lines).pack(options.compression);
                if chunks.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use streamio_events::commit::{Head, NewCommit};
    use streamio_events::event::ProjectCreated;
    use streamio_events::id::CommitId;
    use streamio_local::export::{Compression, FileTarget, Format};

    use super::*;

    /// How many commits a page has.
    const PAGE: usize = 300;

    /// The pages of a part with `count` commits, the last of which fails if it is `cut`.
    fn part(project: &str, count: usize, cut: bool) -> VecDeque<io::Result<Option<Vec<Commit>>>> {
        let mut head = Head::EMPTY;
        let commits: Vec<Commit> = (0..count)
            .map(|number| {
                let name = Some(number.to_string());
                let id = CommitId::derived_from(&[project, &number.to_string()]);
                let new =
                    NewCommit::new(id, Timestamp::from_unix_seconds(1), [ProjectCreated { name }.into()]);
                let commit = Commit::following(format!("project/{project}").parse().unwrap(), head, new);
                head = commit.head();
                commit
            })
            .collect();
        let pages = commits.chunks(PAGE).map(|page| Ok(Some(page.to_vec())));
        let end = if cut { Err(io::Error::other("the connection was lost")) } else { Ok(None) };
        pages.chain([end]).collect()
    }

    async fn export_to(path: &std::path::Path, cut: bool) -> Result<ExportSummary, PartsError<io::Error>> {
        let options = ExportOptions {
            format: Format::Commits,
            compression: Compression::Zstd,
            ..ExportOptions::default()
        };
        let range = Range { from: None, to: None };
        let target = FileTarget::open(path, Compression::Zstd).unwrap();
        let mut parts = [
            part("acme", 3000, false),
            part("globex", if cut { 1500 } else { 4000 }, cut),
            part("initech", 2500, false),
        ];
        let parts = parts.iter_mut().map(|pages| async || pages.pop_front().unwrap_or(Ok(None))).collect();
        write(parts, (&options, range), target, Arc::default()).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_export_whose_part_failed_is_continued_with_the_same_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let (whole, partial) = (scratch.path().join("whole"), scratch.path().join("partial"));
        let summary = export_to(&whole, false).await.unwrap();
        assert_eq!(summary.commits, 9500);
        let failed = export_to(&partial, true).await;
        assert!(matches!(failed, Err(PartsError::Part(_))), "{failed:?}");
        let bytes = std::fs::read(&partial).unwrap();
        assert!(!bytes.is_empty() && std::fs::read(&whole).unwrap().starts_with(&bytes));
        export_to(&partial, false).await.unwrap();
        assert!(std::fs::read(&partial).unwrap() == std::fs::read(&whole).unwrap());
    }
}
