//! The log in memory against the contract of the log.

use streamio_events::contract::LogHarness;
use streamio_events::memory::MemoryLog;

struct MemoryHarness(MemoryLog);

impl LogHarness for MemoryHarness {
    type Log = MemoryLog;

    async fn open(&self) -> MemoryLog {
        self.0.clone()
    }
}

streamio_events::event_log_contract!(MemoryHarness(MemoryLog::new()));
