use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::open;
use super::read::FailedRead;

/// Maximum number of concurrent reads; further ones wait. Each uses a thread and a connection with its page cache.
const MAX_READERS: usize = 8;

/// A pool of read-only connections, used on threads for blocking work.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    /// Runs `read` on a connection.
    pub(super) async fn with<T, E>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: FailedRead + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|closed| E::unavailable(closed.into()))?;
        let readers = Arc::clone(self);
        let blocking = spawn_blocking(move || {
            // Held by the thread and not by the future, which may be dropped while the thread is still reading.
            let _permit = permit;
            let idle = readers.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open::reader(&readers.path).map_err(E::of)?,
            };
            let output = read(&connection)?;
            // After an error the connection is closed instead: a new one may work.
            readers.idle().push(connection);
            Ok(output)
        });
        blocking.await.unwrap_or_else(|stopped| Err(E::unavailable(stopped.into())))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
