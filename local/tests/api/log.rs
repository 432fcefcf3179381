//! Collects the log of this process.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to collect the log, with all levels of our crates. Must be called before anything is started: a call site
/// that was reached without a subscriber may stay disabled.
pub(crate) fn collect() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let levels =
            "debug,streamio_local=trace,streamio_edge=trace,streamio_events=trace,streamio_lambdas=trace";
        tracing_subscriber::fmt().with_env_filter(levels).with_ansi(false).with_writer(|| Collector).init();
    });
}

/// All lines that were logged so far.
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
