//! The log on DynamoDB against the contract of logs.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use streamio_events::contract::TestBed;
use streamio_events::dynamo::{DynamoLog, ledger_table};
use streamio_events::emulators::LocalDynamo;
use tokio::sync::OnceCell;

/// One for all tests of this process; it ends with the process.
pub(crate) fn dynamo() -> &'static LocalDynamo {
    static DYNAMO: LazyLock<LocalDynamo> = LazyLock::new(|| LocalDynamo::start().unwrap());
    &DYNAMO
}

/// A table of its own. Each handle has a client and a memory of its own, as another process would.
pub(crate) struct DynamoBed {
    name: String,
    made: OnceCell<()>,
}

impl DynamoBed {
    pub(crate) fn new() -> Self {
        static BED: AtomicU32 = AtomicU32::new(0);
        Self { name: format!("ledger-{}", BED.fetch_add(1, Ordering::Relaxed)), made: OnceCell::new() }
    }

    /// The table's name, once the table is there.
    pub(crate) async fn table(&self) -> &str {
        self.made
            .get_or_init(async || {
                ledger_table(&self.name).send_with(&dynamo().client()).await.unwrap();
            })
            .await;
        &self.name
    }

    pub(crate) async fn open_with(&self, client: Client) -> DynamoLog {
        DynamoLog::new(client, self.table().await)
    }
}

impl TestBed for DynamoBed {
    type Log = DynamoLog;

    async fn open(&self) -> DynamoLog {
        self.open_with(dynamo().client()).await
    }
}

streamio_events::event_log_contract!(DynamoBed::new());
