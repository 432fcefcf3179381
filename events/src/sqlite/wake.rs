use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::{open, read};

/// The interval between checks for appends by others.
const INTERVAL: Duration = Duration::from_millis(50);

/// Detects appends by other connections. SQLite sends no notifications, but `PRAGMA data_version` returns, from the
/// shared memory of the WAL index and without reading the file, whether any other connection has committed since the
/// last check. That is cheap enough for twenty checks a second, and it works across processes.
#[derive(Debug)]
pub(super) struct Waker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Waker {
    pub(super) fn start(path: PathBuf, position: watch::Sender<u64>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("event-log-waker".to_owned())
            .spawn(move || run(ChangePoller { path, connection: None }, &position, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Notifies all receivers that the log is at `last`, unless they know of a later position.
pub(super) fn announce(position: &watch::Sender<u64>, last: u64) {
    position.send_if_modified(|known| {
        let is_newer = last > *known;
        *known = last.max(*known);
        is_newer
    });
}

struct ChangePoller {
    path: PathBuf,
    /// With the data version of the last check.
    connection: Option<(Connection, Option<i64>)>,
}

fn run(mut poller: ChangePoller, position: &watch::Sender<u64>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if position.receiver_count() == 0 {
            continue;
        }
        match poller.poll() {
            Ok(Some(last)) => announce(position, last),
            Ok(None) => {}
            // Receivers are notified later; a new connection may work.
            Err(_) => poller.connection = None,
        }
    }
}

impl ChangePoller {
    /// Returns the last position if anything has been committed since the last check.
    fn poll(&mut self) -> rusqlite::Result<Option<u64>> {
        let (connection, last_version) = match &mut self.connection {
            Some(open) => open,
            closed => closed.insert((open::reader(&self.path)?, None)),
        };
        // Read before the position: what is committed between the two is found now and once more by the next check.
        let version: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if *last_version == Some(version) {
            return Ok(None);
        }
        let last = read::last_position(connection)?;
        *last_version = Some(version);
        Ok(Some(last))
    }
}
