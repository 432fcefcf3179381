//! Measures the log on SQLite and, in the same run, SQLite alone: rows with the same events, without streams, hashes and places. Prints JSON
//! for `cargo xtask bench log`: `cargo bench -p streamio-events --features embedded --bench log -- ROUNDS SECONDS EVENTS`.

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streamio_events::commit::{Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::{SqliteLog, StoredReader, StreamRange};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;
use tokio::runtime::Runtime;

/// How many rows a transaction of the peer has.
const PEER_GROUP: u64 = 100;

/// How many ranges each thread of a replay folds.
const RANGES_PER_THREAD: usize = 16;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [rounds, seconds, events] = numbers[..] else {
        // `cargo test --benches` runs it without arguments: once, briefly.
        return print(&measure(1, Duration::from_millis(20), 1000));
    };
    print(&measure(rounds, Duration::from_secs(seconds), events));
}

fn print(measured: &Value) {
    writeln!(std::io::stdout(), "{measured}").expect("standard output is open");
}

/// The rates of all rounds.
fn measure(rounds: u64, turn: Duration, events: u64) -> Value {
    let mut rates: [Vec<f64>; 6] = Default::default();
    for _ in 0..rounds {
        let peer = peer(turn);
        for (rates, (writers, size)) in rates.iter_mut().zip([(1, 1), (16, 1), (128, 1), (128, 10)]) {
            rates.push(append(writers, size, turn) * f64::from(size));
        }
        rates[4].push(peer);
        rates[5].push(replay(events));
    }
    let [one, sixteen, many, tens, peer, replay] = rates;
    json!({
        "oneWriter": one, "sixteenWriters": sixteen, "manyWriters": many, "commitsOfTen": tens, "peer": peer,
        "replay": replay, "peakMegabytes": peak_megabytes(),
    })
}

/// The largest memory of this process so far, in MB; 0 if the system does not report it.
fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes.unwrap_or_default() * 1024.0 / 1e6
}

fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
    let count = count as f64;
    count / time.as_secs_f64()
}

fn key(video: u64) -> SourceKey {
    format!("projects/acme/{video}.mp4").parse().expect("it is a key")
}

fn stream(video: u64) -> StreamId {
    StreamId::Video("acme".parse().expect("it is a project"), VideoId::of(&key(video)))
}

/// An event of about 210 bytes.
fn event(video: u64, number: u64) -> RecordedEvent {
    let data = json!({
        "s3Key": key(video), "generation": 1, "bytes": number, "etag": "d41d8cd98f00b204e9800998ecf8427e",
        "sequencer": format!("{number:016x}"), "found": false,
    });
    let at = Timestamp::from_unix_millis(1_767_323_045_000 + i64::try_from(number).unwrap_or(0));
    RecordedEvent { kind: "upload.completed".to_owned(), version: 1, at, data, fact: None }
}

fn commit(video: u64, number: u64, size: u32) -> NewCommit {
    let events: Vec<_> = (0..size).map(|index| event(video, number * 10 + u64::from(index))).collect();
    NewCommit {
        id: CommitId::derived_from(&[&number.to_string()]),
        recorded_at: events.first().map_or_else(Timestamp::default, |event| event.at),
        events,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts")
}

/// Commits in a second: of `writers` that each append to a video of their own, one after another.
fn append(writers: u64, size: u32, turn: Duration) -> f64 {
    let scratch = tempfile::tempdir().expect("there is a temporary directory");
    let runtime = runtime();
    runtime.block_on(async {
        let log = SqliteLog::open(scratch.path().join("log.db")).expect("the log is created");
        let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let began = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let (log, is_over, count) = (log.clone(), Arc::clone(&is_over), Arc::clone(&count));
                tokio::spawn(async move {
                    let stream = stream(writer);
                    let mut number = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        number += 1;
                        let commit = commit(writer, number, size);
                        log.append(&stream, Expected::Any, commit).await.expect("it is appended");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(turn).await;
        let measured = rate(count.load(Ordering::Relaxed), began.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("the writer ends");
        }
        measured
    })
}

/// Rows in a second of SQLite alone.
fn peer(turn: Duration) -> f64 {
    let scratch = tempfile::tempdir().expect("there is a temporary directory");
    let insert = || -> rusqlite::Result<f64> {
        let connection = rusqlite::Connection::open(scratch.path().join("rows.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection
            .execute_batch("CREATE TABLE rows (position INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT")?;
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < turn {
            let transaction = connection.unchecked_transaction()?;
            for _ in 0..PEER_GROUP {
                count += 1;
                let text = serde_json::to_string(&event(count % 128, count)).expect("it is JSON");
                transaction.prepare_cached("INSERT INTO rows (event) VALUES (?1)")?.execute([text])?;
            }
            transaction.commit()?;
        }
        Ok(rate(count, began.elapsed()))
    };
    insert().expect("SQLite works")
}

/// Events in a second that are read, verified, decoded and folded on all cores.
fn replay(events: u64) -> f64 {
    let scratch = tempfile::tempdir().expect("there is a temporary directory");
    let path = scratch.path().join("log.db");
    fill(&path, events);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let reader = StoredReader::open(&path).expect("the log is opened");
    let ranges =
        reader.divide(&StreamRange::of_prefix("video/"), threads * RANGES_PER_THREAD).expect("it is read");
    let (next, count) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let reader = StoredReader::open(&path).expect("the log is opened");
                while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                    count.fetch_add(fold(&reader, range), Ordering::Relaxed);
                }
            });
        }
    });
    let count = count.into_inner();
    assert!(count >= events, "all events are folded");
    rate(count, began.elapsed())
}

/// Folds the videos of a range. Returns the number of events.
fn fold(reader: &StoredReader, range: &StreamRange) -> u64 {
    let mut count = 0;
    let mut current: Option<(String, Head, Video)> = None;
    let read = reader.streams(range, u64::MAX, |commit| {
        let commit = commit.expect("the log is not damaged");
        if current.as_ref().is_none_or(|(stream, ..)| stream != commit.stream) {
            let Ok(StreamId::Video(project_id, video_id)) = commit.stream.parse() else {
                return ControlFlow::Continue(());
            };
            current = Some((commit.stream.to_owned(), Head::EMPTY, Video::new(project_id, video_id)));
        }
        if let Some((_, head, video)) = &mut current {
            *head = commit.follow(*head).expect("the log is not changed");
            let applied = commit.each_event(|version, event| {
                video.apply_decoded(version, event.at, event.body()?);
                count += 1;
                Ok::<_, streamio_events::event::UnreadableEvent>(())
            });
            applied.expect("the log is not damaged").expect("the events are readable");
        }
        ControlFlow::Continue(())
    });
    read.expect("the log is read");
    count
}

/// Makes a log of videos with ten events each, in commits of two.
fn fill(path: &Path, events: u64) {
    let runtime = runtime();
    runtime.block_on(async {
        let log = SqliteLog::open(path).expect("the log is created");
        let videos = events.div_ceil(10);
        let numbers: Vec<u64> = (0..videos * 5).collect();
        for chunk in numbers.chunks(1024) {
            let tasks: Vec<_> = chunk
                .iter()
                .map(|number| {
                    let (log, number) = (log.clone(), *number);
                    tokio::spawn(async move {
                        let video = number % videos;
                        let commit = commit(video, number, 2);
                        log.append(&stream(video), Expected::Any, commit).await.expect("it is appended");
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("the append ends");
            }
        }
    });
}
