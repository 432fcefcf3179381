//! Webhooks on a region in memory, with a clock that the tests set: the real scheduling, delivering and views.

mod changes_in_flight;
mod deliveries;
mod endpoints;
mod harness;
mod long_histories;
mod replay_faults;
mod replay_requests;
mod replays;
mod rotations;
mod signatures;

use streamio_core::ports::delivery_store::contract::DeliveryStoreHarness;
use streamio_core::ports::project_feed::contract::FeedHarness;
use streamio_core::testing::{MemoryDeliveries, MemoryFeed};
use streamio_events::log::EventLog;
use streamio_events::memory::MemoryLog;

#[derive(Default)]
struct InMemory(MemoryDeliveries);

impl DeliveryStoreHarness for InMemory {
    type Store = MemoryDeliveries;

    async fn open(&self) -> MemoryDeliveries {
        self.0.clone()
    }
}

streamio_core::delivery_store_contract!(InMemory::default());

struct InMemoryFeed(MemoryLog);

impl FeedHarness for InMemoryFeed {
    type Feed = MemoryFeed;

    fn log(&self) -> &dyn EventLog {
        &self.0
    }

    async fn open(&self) -> MemoryFeed {
        MemoryFeed(self.0.clone())
    }
}

streamio_core::project_feed_contract!(InMemoryFeed(MemoryLog::new()));
