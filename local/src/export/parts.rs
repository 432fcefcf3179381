//! Writes an export of a log that has no order of all commits: in turn a chunk of each part.

use std::collections::VecDeque;

use tokio::sync::mpsc::Receiver;

use super::ExportSummary;
use super::error::ExportError;
use super::lines::Packed;
use super::target::Destination;
use crate::progress::Progress;

/// Why an export of several parts was not completed.
#[derive(Debug, thiserror::Error)]
pub enum PartsError<E> {
    /// A part cannot be read.
    #[error(transparent)]
    Part(E),
    /// The export cannot be written, or was stopped.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Writes what is received for each part, on the calling thread: in turn a chunk of each part that has not ended. So the bytes depend only on
/// the chunks, and not on when they come. A part ends when its sender is dropped.
///
/// # Panics
/// Within an asynchronous task: it blocks.
pub fn write_parts<E>(
    parts: Vec<Receiver<Result<Packed, E>>>,
    to: &mut impl Destination,
    progress: &Progress,
) -> Result<ExportSummary, PartsError<E>> {
    let (mut parts, mut summary) = (VecDeque::from(parts), ExportSummary::default());
    while let Some(mut part) = parts.pop_front() {
        let received = part.blocking_recv();
        if progress.is_stopped() {
            to.flush()?;
            return Err(ExportError::Stopped.into());
        }
        match received {
            None => continue,
            Some(Err(error)) => {
                to.flush()?;
                return Err(PartsError::Part(error));
            }
            Some(Ok(lines)) => {
                to.write(&lines.plain, lines.bytes())?;
                summary.commits += lines.commits;
                summary.events += lines.events;
            }
        }
        parts.push_back(part);
    }
    to.finish()?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use streamio_events::commit::{Commit, Head, NewCommit};
    use streamio_events::event::ProjectCreated;
    use streamio_events::id::CommitId;
    use streamio_events::timestamp::Timestamp;
    use tokio::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::export::{Compression, FileTarget, Format, Lines, Output};

    /// The lines of a commit whose only event has this name.
    fn chunk(name: &str, compression: Compression) -> Packed {
        let events = [ProjectCreated { name: Some(name.to_owned()) }.into()];
        let new = NewCommit::new(CommitId::derived_from(&[name]), Timestamp::from_unix_seconds(1), events);
        let mut lines = Lines::default();
        let commit = Commit::following("project/acme".parse().unwrap(), Head::EMPTY, new);
        lines.add(&commit, Format::CloudEvents).unwrap();
        lines.pack(compression)
    }

    type Received = Result<Packed, &'static str>;

    fn part(names: &[&str], compression: Compression) -> (Sender<Received>, Receiver<Received>) {
        let (sender, receiver) = channel(names.len() + 1);
        for name in names {
            sender.try_send(Ok(chunk(name, compression))).unwrap();
        }
        (sender, receiver)
    }

    fn parts(compression: Compression) -> Vec<Receiver<Received>> {
        [&["1", "4"][..], &[], &["2", "5", "6", "7"], &["3"]].map(|names| part(names, compression).1).into()
    }

    fn written(compression: Compression) -> Vec<u8> {
        let mut bytes = Vec::new();
        let summary = write_parts(parts(compression), &mut Output(&mut bytes), &Progress::default()).unwrap();
        assert_eq!((summary.commits, summary.events, summary.position), (7, 7, None));
        bytes
    }

    #[test]
    fn each_part_is_written_in_turn_until_it_ends() {
        let text = String::from_utf8(written(Compression::None)).unwrap();
        let names = text.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["data"]["name"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        assert_eq!(names.collect::<String>(), "1234567");
    }

    #[test]
    fn an_interrupted_export_of_parts_is_continued_with_the_same_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("events");
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let whole = written(compression);
            for length in 0..=whole.len() {
                std::fs::write(&path, &whole[..length]).unwrap();
                let mut target = FileTarget::open(&path, compression).unwrap();
                write_parts(parts(compression), &mut target, &Progress::default()).unwrap();
                assert!(std::fs::read(&path).unwrap() == whole, "{compression:?} after {length} bytes");
            }
        }
    }

    #[test]
    fn the_error_of_a_part_ends_the_export_after_what_precedes_it() {
        let (sender, failing) = part(&["2"], Compression::None);
        sender.try_send(Err("damaged")).unwrap();
        let mut bytes = Vec::new();
        let parts = vec![part(&["1", "3", "4"], Compression::None).1, failing];
        let failed = write_parts(parts, &mut Output(&mut bytes), &Progress::default());
        assert!(matches!(failed, Err(PartsError::Part("damaged"))), "{failed:?}");
        assert_eq!(String::from_utf8(bytes).unwrap().lines().count(), 3);
        let stopped = Progress::default();
        stopped.stop();
        let failed = write_parts(self::parts(Compression::None), &mut Output(Vec::new()), &stopped);
        assert!(matches!(failed, Err(PartsError::Export(ExportError::Stopped))), "{failed:?}");
    }
}
