use streamio_events::contract::TestBed;
use streamio_events::memory::MemoryLog;

struct MemoryBed(MemoryLog);

impl TestBed for MemoryBed {
    type Log = MemoryLog;

    async fn open(&self) -> MemoryLog {
        self.0.clone()
    }
}

streamio_events::event_log_contract!(MemoryBed(MemoryLog::new()));
