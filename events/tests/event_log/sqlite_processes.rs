//! Several processes on one file, and the file's state after one of them was killed while it was writing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use streamio_events::audit;
use streamio_events::commit::Commit;
use streamio_events::log::{AppendError, EventLog, EventLogExt, Expected};
use streamio_events::sqlite::SqliteLog;
use tokio::task::JoinSet;

use super::samples::{commit, stream};

const PATH: &str = "STREAMIO_TEST_LOG";
const NAME: &str = "STREAMIO_TEST_WRITER";
const STREAMS: usize = 3;

/// The main function of a writer process: eight tasks append facts and decisions until the process is killed or its
/// parent has ended. Each acknowledged commit is printed as a line `acknowledged {stream} {first version} {commit
/// id}`.
#[test]
#[ignore = "this is the second process of the tests below, which start it"]
fn writer_process() {
    let path = std::env::var(PATH).expect("the path of the log, from the parent");
    let name = std::env::var(NAME).expect("the name of this writer, from the parent");
    let log = SqliteLog::open(path).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let (log, name) = (log.clone(), name.clone());
            tasks.spawn(async move {
                for n in 0.. {
                    let stream = stream(n % STREAMS);
                    let new = commit(&format!("{name}-{task}-{n}"), 1 + n % 3);
                    let expected = match n % 2 {
                        0 => Expected::Any,
                        _ => Expected::Exactly(log.head(&stream).await.unwrap().version),
                    };
                    match log.append(&stream, expected, new).await {
                        Ok(appended) => {
                            let Commit { stream, first, id, .. } = appended.commit;
                            if writeln!(io::stdout(), "acknowledged {stream} {first} {id}").is_err() {
                                return;
                            }
                        }
                        Err(AppendError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        tasks.join_all().await;
    });
}

/// A message of a writer process, with the writer's name.
enum WriterMessage {
    Acknowledged(usize, String),
    Ended(usize),
}

/// A writer process, killed when it is dropped.
struct Writer {
    child: Child,
    listener: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(folder: &Path, log: &str, name: usize, messages: Sender<WriterMessage>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite_processes::writer_process", "--ignored", "--nocapture"])
            .current_dir(folder)
            .env(PATH, log)
            .env(NAME, name.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let listener = thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).unwrap() > 0 {
                // The last line of a killed process may be cut; then it was not acknowledged.
                if let Some(line) =
                    line.strip_prefix("acknowledged ").and_then(|line| line.strip_suffix('\n'))
                {
                    // Without a receiver the test has failed already.
                    let _ = messages.send(WriterMessage::Acknowledged(name, line.to_owned()));
                }
                line.clear();
            }
            let _ = messages.send(WriterMessage::Ended(name));
        });
        Self { child, listener: Some(listener) }
    }

    /// Sends SIGKILL, and waits until all output has been read.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Receives until each of `writers` has acknowledged `more` further commits.
fn await_progress(receiver: &Receiver<WriterMessage>, all: &mut Vec<String>, writers: &[usize], more: usize) {
    let mut missing: BTreeMap<usize, usize> = writers.iter().map(|writer| (*writer, more)).collect();
    while missing.values().any(|missing| *missing > 0) {
        match receiver.recv().unwrap() {
            WriterMessage::Acknowledged(writer, line) => {
                if let Some(missing) = missing.get_mut(&writer) {
                    *missing = missing.saturating_sub(1);
                }
                all.push(line);
            }
            WriterMessage::Ended(writer) => {
                assert!(!missing.contains_key(&writer), "writer {writer} ended unexpectedly");
            }
        }
    }
}

/// Adds what has been acknowledged so far.
fn take(messages: impl Iterator<Item = WriterMessage>, all: &mut Vec<String>) {
    all.extend(messages.filter_map(|messages| match messages {
        WriterMessage::Acknowledged(_, line) => Some(line),
        WriterMessage::Ended(_) => None,
    }));
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_does_not_stop_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (sender, receiver) = mpsc::channel();
    let mut acknowledged = Vec::new();
    let mut writers: Vec<Writer> =
        (0..3).map(|name| Writer::start(folder.path(), "log.db", name, sender.clone())).collect();

    await_progress(&receiver, &mut acknowledged, &[0, 1, 2], 150);
    writers[0].kill();
    // Discard what the others acknowledged before the kill: they must continue after it.
    take(receiver.try_iter(), &mut acknowledged);
    await_progress(&receiver, &mut acknowledged, &[1, 2], 150);
    writers[0] = Writer::start(folder.path(), "log.db", 3, sender.clone());
    await_progress(&receiver, &mut acknowledged, &[3], 50);
    for writer in &mut writers {
        writer.kill();
    }
    drop(sender);
    take(receiver.into_iter(), &mut acknowledged);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = SqliteLog::open(&path).unwrap();
        let mut there = BTreeSet::new();
        for n in 0..STREAMS {
            let commits = log.read_to_end(&stream(n), 1).await.unwrap();
            let known = log.head(&stream(n)).await.unwrap();
            assert_eq!(audit::verify(&stream(n), &commits, Some(known)), Ok(known));
            for commit in commits {
                there.insert(format!("{} {} {}", commit.stream, commit.first, commit.id));
            }
        }
        for line in &acknowledged {
            assert!(there.contains(line), "{line} was acknowledged and is not stored");
        }
        let more = log.append(&stream(0), Expected::Any, commit("after all", 1)).await.unwrap();
        assert!(!more.repeated);
    });
    let check: String = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn an_unusual_relative_path_is_still_a_file() {
    for name in [":memory:", "file:log.db?mode=memory", "log.db"] {
        let folder = tempfile::tempdir().unwrap();
        let (sender, receiver) = mpsc::channel();
        let mut acknowledged = Vec::new();
        let mut writer = Writer::start(folder.path(), name, 0, sender);
        await_progress(&receiver, &mut acknowledged, &[0], 1);
        writer.kill();
        let log = SqliteLog::open(folder.path().join(name)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        assert!(runtime.block_on(log.last_position()).unwrap() > 0, "{name}");
    }
}
