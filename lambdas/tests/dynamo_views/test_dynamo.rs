use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::delivery_store::contract::DeliveryStoreHarness;
use streamio_core::ports::encode_slots::contract::EncodeSlotsHarness;
use streamio_core::ports::pending_replications::contract::PendingReplicationsHarness;
use streamio_core::ports::project_feed::contract::FeedHarness;
use streamio_core::ports::view_store::contract::ViewStoreHarness;
use streamio_events::emulators::LocalDynamo;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLog;
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

    /// Removes from an entry of the feed what an earlier release did not write.
    pub(crate) async fn forget_times(&self, project_id: &ProjectId, place: u64) {
        let update = self.client().update_item().table_name(TABLE);
        update
            .key("pk", AttributeValue::S(format!("commits#{project_id}")))
            .key("sk", AttributeValue::S(format!("{place:020}")))
            .update_expression("REMOVE recorded_at, latest")
            .condition_expression("attribute_exists(pk)")
            .send()
            .await
            .expect("the entry exists");
    }
}

impl FeedHarness for TestDynamo {
    type Feed = DynamoViews;

    fn log(&self) -> &dyn EventLog {
        &self.log
    }

    async fn open(&self) -> DynamoViews {
        self.views().await
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
