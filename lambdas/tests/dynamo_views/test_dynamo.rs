use std::sync::Arc;

use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::delivery_store::contract::DeliveryStoreHarness;
use streamio_core::ports::encode_slots::contract::EncodeSlotsHarness;
use streamio_core::ports::pending_replications::contract::PendingReplicationsHarness;
use streamio_core::ports::view_store::contract::ViewStoreHarness;
use streamio_events::emulators::LocalDynamo;
use streamio_events::memory::MemoryLog;
use streamio_lambdas::adapters::dynamo::{DynamoViews, create_views_table};
use tokio::sync::OnceCell;

pub(crate) const TABLE: &str = "views";

/// A local DynamoDB with the views' table, and a log in memory.
pub(crate) struct TestDynamo {
    dynamo: LocalDynamo,
    created: OnceCell<()>,
    pub(crate) log: MemoryLog,
    pub(crate) folds: WebhookFolds,
    pub(crate) projects: ProjectCache,
}

impl TestDynamo {
    pub(crate) fn new() -> Self {
        Self {
            dynamo: LocalDynamo::start().expect("dynoxide"),
            created: OnceCell::new(),
            log: MemoryLog::new(),
            folds: WebhookFolds::default(),
            projects: ProjectCache::default(),
        }
    }

    pub(crate) fn client(&self) -> aws_sdk_dynamodb::Client {
        self.dynamo.client()
    }

    /// The views, with their own client.
    pub(crate) async fn views(&self) -> DynamoViews {
        let client = self.dynamo.client();
        self.created
            .get_or_init(|| async { create_views_table(&client, TABLE).await.expect("the table is created") })
            .await;
        DynamoViews::new(client, TABLE, Arc::new(self.log.clone()))
    }
}

impl ViewStoreHarness for TestDynamo {
    type Store = DynamoViews;

    async fn open(&self) -> DynamoViews {
        self.views().await
    }
}

impl EncodeSlotsHarness for TestDynamo {
    type Store = DynamoViews;

    async fn open(&self) -> DynamoViews {
        self.views().await
    }
}

impl PendingReplicationsHarness for TestDynamo {
    type Store = DynamoViews;

    async fn open(&self) -> DynamoViews {
        self.views().await
    }
}

impl DeliveryStoreHarness for TestDynamo {
    type Store = DynamoViews;

    async fn open(&self) -> DynamoViews {
        self.views().await
    }
}
