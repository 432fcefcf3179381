use std::io::{BufRead as _, Read as _, Write as _};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use streamio_events::audit;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;

use super::*;
use crate::changes::{self, Scope};
use crate::log_bound::LogBound;

/// The number of commits of the log of most tests: more than two chunks.
const COMMITS: u64 = 2 * CHUNK + 200;

struct World {
    scratch: tempfile::TempDir,
    data_dir: DataDir,
    log: SqliteLog,
    runtime: tokio::runtime::Runtime,
    commits: u64,
}

impl World {
    fn new(commits: u64) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(scratch.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = runtime.block_on(async { SqliteLog::open(data_dir.log()) }).unwrap();
        let mut world = Self { scratch, data_dir, log, runtime, commits: 0 };
        world.append(commits);
        world
    }

    fn time(number: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(number).unwrap())
    }

    fn append(&mut self, commits: u64) {
        let numbers = self.commits + 1..=self.commits + commits;
        let appends = numbers.map(|number| {
            let stream = format!("project/project-{}", number % 7).parse().unwrap();
            let events = (0..=number % 3).map(|event| RecordedEvent {
                kind: "project.created".to_owned(),
                version: 1,
                at: Self::time(number),
                data: json!({"name": format!("{number} {event}")}),
                fact: None,
            });
            let new = NewCommit {
                id: CommitId::derived_from(&[&number.to_string()]),
                events: events.collect(),
                recorded_at: Self::time(number),
            };
            let log = self.log.clone();
            async move { log.append(&stream, Expected::Any, new).await }
        });
        self.runtime.block_on(futures::future::try_join_all(appends)).unwrap();
        self.commits += commits;
    }

    fn bytes(&self, options: &ExportOptions) -> Vec<u8> {
        let mut bytes = Vec::new();
        export(&self.data_dir, options, &mut Output(&mut bytes), &Progress::default()).unwrap();
        bytes
    }

    /// Continues an export whose file has `there`. Returns the file's content.
    fn resume(&self, there: &[u8], options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
        let path = self.file();
        std::fs::write(&path, there).unwrap();
        let mut target = FileTarget::open(&path, options.compression).unwrap();
        export(&self.data_dir, options, &mut target, &Progress::default())?;
        Ok(std::fs::read(&path).unwrap())
    }

    fn file(&self) -> PathBuf {
        self.scratch.path().join("events.partial")
    }
}

fn plain(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut lines = Vec::new();
    match compression {
        Compression::None => return bytes.to_owned(),
        Compression::Gzip => MultiGzDecoder::new(bytes).read_to_end(&mut lines).unwrap(),
        Compression::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut lines).unwrap(),
    };
    lines
}

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

fn options(compression: Compression) -> ExportOptions {
    ExportOptions { compression, ..ExportOptions::default() }
}

/// Wherever it was interrupted, and although the log has grown since.
#[test]
fn an_export_that_is_continued_has_the_bytes_of_one_that_was_not_interrupted() {
    let mut world = World::new(COMMITS);
    for compression in COMPRESSIONS {
        let options = options(compression);
        let before = world.bytes(&options);
        world.append(50);
        let whole = world.bytes(&options);
        assert_eq!(plain(&whole, compression), world.bytes(&ExportOptions::default()));
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
        // Every byte at both ends, and samples of the others.
        let near_end = (0usize..40).prop_map(Err);
        let strategy = prop_oneof![3 => any::<Index>().prop_map(Ok), 1 => near_end];
        let outcome = runner.run(&(any::<bool>(), strategy), |(has_grown, at)| {
            let interrupted = if has_grown { &before } else { &whole };
            let at = match at {
                Ok(index) => index.index(interrupted.len() + 1),
                Err(from_end) => interrupted.len() - from_end,
            };
            let continued = world.resume(&interrupted[..at], &options);
            prop_assert!(continued.unwrap() == whole, "{:?}, interrupted after {} bytes", compression, at);
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn a_file_with_other_content_is_refused_and_left_as_it_is() {
    let world = World::new(COMMITS);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
    for compression in COMPRESSIONS {
        let options = options(compression);
        let whole = world.bytes(&options);
        let outcome = runner.run(&any::<Index>(), |at| {
            let mut other = whole.clone();
            // In the first chunk: damage of the last one cannot be told from an interruption in every case, and it is made again.
            let at = at.index(other.len() / 4);
            other[at] ^= 1;
            let refused = world.resume(&other, &options);
            prop_assert!(
                matches!(refused, Err(ExportError::OtherContent(_))),
                "{:?} {} {:?}",
                compression,
                at,
                refused.map(|it| it.len())
            );
            prop_assert!(std::fs::read(world.file()).unwrap() == other);
            Ok(())
        });
        outcome.unwrap();
        let longer = [&whole[..], b"\n"].concat();
        let refused = world.resume(&longer, &options);
        assert!(matches!(refused, Err(ExportError::OtherContent(_))), "{compression:?}");
    }
}

#[test]
fn the_order_is_that_of_the_log_for_any_number_of_threads() {
    let world = World::new(COMMITS);
    let one = world.bytes(&ExportOptions { threads: Some(1), ..ExportOptions::default() });
    for threads in 2..5 {
        assert!(world.bytes(&ExportOptions { threads: Some(threads), ..ExportOptions::default() }) == one);
    }
    let changes = world.runtime.block_on(changes::read(&world.log, Scope::All, 0, usize::MAX)).unwrap();
    let commits: Vec<Commit> = changes.into_iter().map(|change| change.commit.unwrap()).collect();
    assert_eq!(commits.len() as u64, COMMITS);
    let expected: Vec<CloudEvent> = commits.iter().flat_map(CloudEvent::all).collect();
    assert!(lines::<CloudEvent>(&one) == expected);
}

fn lines<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Vec<T> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn commits_are_exported_with_chains_that_can_be_verified() {
    let world = World::new(30);
    let commits: Vec<Commit> =
        lines(&world.bytes(&ExportOptions { format: Format::Commits, ..ExportOptions::default() }));
    assert_eq!(commits.len(), 30);
    for number in 0..7 {
        let stream = format!("project/project-{number}").parse().unwrap();
        let of_stream = commits.iter().filter(|commit| commit.stream == stream);
        assert!(audit::verify(&stream, of_stream, None).is_ok());
    }
}

#[test]
fn a_part_of_the_log_is_exported_by_position_or_time() {
    let world = World::new(100);
    let times = |from, to| {
        let events: Vec<CloudEvent> =
            lines(&world.bytes(&ExportOptions { from, to, ..ExportOptions::default() }));
        let mut times: Vec<_> = events.into_iter().map(|event| event.time).collect();
        times.dedup();
        times
    };
    let expected = |range: std::ops::RangeInclusive<u64>| range.map(World::time).collect::<Vec<_>>();
    assert_eq!(times(Some(LogBound::Position(20)), Some(LogBound::Position(40))), expected(20..=40));
    let (from, to) = (LogBound::Time(World::time(20)), LogBound::Time(World::time(40)));
    assert_eq!(times(Some(from), Some(to)), expected(20..=39));
    assert_eq!(times(Some(LogBound::Position(90)), None), expected(90..=100));
    assert_eq!(times(Some(LogBound::Time(World::time(101))), None), []);
    assert_eq!(times(Some(LogBound::Position(200)), None), []);
}

#[test]
fn an_export_ends_at_a_changed_commit_and_at_one_that_is_missing() {
    for (change, reason) in [
        ("UPDATE commits SET events = replace(events, '50 0', '51 0') WHERE position = 50", "it was changed"),
        ("DELETE FROM commits WHERE position = 50", "does not follow version"),
    ] {
        let world = World::new(100);
        rusqlite::Connection::open(world.data_dir.log()).unwrap().execute_batch(change).unwrap();
        let mut bytes = Vec::new();
        let options = ExportOptions::default();
        let failed = export(&world.data_dir, &options, &mut Output(&mut bytes), &Progress::default());
        assert!(
            matches!(&failed, Err(ExportError::Damaged(damaged)) if damaged.reason.contains(reason)),
            "{failed:?}"
        );
    }
}

/// An output that fails after some bytes.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_is_full_and_a_stop_end_the_export() {
    let world = World::new(6 * CHUNK);
    let (options, progress) = (ExportOptions::default(), Progress::default());
    let full = export(&world.data_dir, &options, &mut Output(Full(1000)), &progress);
    assert!(matches!(full, Err(ExportError::Write(_))), "{full:?}");
    progress.stop();
    let stopped = export(&world.data_dir, &options, &mut Output(std::io::sink()), &progress);
    assert!(matches!(stopped, Err(ExportError::Stopped)), "{stopped:?}");
    assert!(Full(3).write_all(b"four").is_err());
}

#[test]
fn an_export_is_read_whatever_its_compression() {
    let world = World::new(COMMITS);
    let plain = world.bytes(&options(Compression::None));
    for compression in COMPRESSIONS {
        std::fs::write(world.file(), world.bytes(&options(compression))).unwrap();
        let mut found = Vec::new();
        open(&world.file()).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == plain, "{compression:?}");
    }
    std::fs::write(world.file(), "").unwrap();
    assert_eq!(open(&world.file()).unwrap().lines().count(), 0);
}

#[test]
fn an_export_is_readable_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new(1);
    FileTarget::open(&world.file(), Compression::None).unwrap();
    assert_eq!(std::fs::metadata(world.file()).unwrap().permissions().mode() & 0o777, 0o600);
}
