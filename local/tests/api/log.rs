//! Everything that is logged in this process.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to collect the log, at every level of ours. Called before anything is started: a place in the code that has
/// logged once without a subscriber might never log again.
pub(crate) fn collect() {
    static COLLECTING: Once = Once::new();
    COLLECTING.call_once(|| {
        let levels =
            "debug,streamio_local=trace,streamio_edge=trace,streamio_events=trace,streamio_lambdas=trace";
        tracing_subscriber::fmt().with_env_filter(levels).with_ansi(false).with_writer(|| Collector).init();
    });
}

/// What was logged until now.
pub(crate) fn logged() -> String {
    String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
}

struct Collector;

impl io::Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
