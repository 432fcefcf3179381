use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::{open, read};

/// How often appends of other processes are looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks for appends of others. SQLite tells nobody of a change, but `PRAGMA data_version` answers from the shared memory
/// of the WAL index, without touching the file, whether any other connection has committed since it was last asked: that
/// is cheap enough to ask twenty times a second, and works for all processes alike.
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
            .spawn(move || run(Look { path, connection: None }, &position, &stopped))?;
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

/// Tells all that wait that the log is at `last`, unless they know of more already.
pub(super) fn announce(position: &watch::Sender<u64>, last: u64) {
    position.send_if_modified(|known| {
        let news = last > *known;
        *known = last.max(*known);
        news
    });
}

struct Look {
    path: PathBuf,
    /// With the data version that it last told.
    connection: Option<(Connection, Option<i64>)>,
}

fn run(mut look: Look, position: &watch::Sender<u64>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if position.receiver_count() == 0 {
            continue;
        }
        match look.again() {
            Ok(Some(last)) => announce(position, last),
            Ok(None) => {}
            // Who waits is told later; a fresh connection may fare better.
            Err(_) => look.connection = None,
        }
    }
}

impl Look {
    /// The last position, if anything has been committed since the last look.
    fn again(&mut self) -> rusqlite::Result<Option<u64>> {
        let (connection, seen) = match &mut self.connection {
            Some(open) => open,
            closed => closed.insert((open::reader(&self.path)?, None)),
        };
        // Before the position: what is committed between the two is found now, and at the next look once more.
        let version: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if *seen == Some(version) {
            return Ok(None);
        }
        let last = read::last_position(connection)?;
        *seen = Some(version);
        Ok(Some(last))
    }
}
