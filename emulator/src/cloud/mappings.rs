//! The event source mappings of the functions.

use std::sync::Arc;

use streamio_events::emulators::{LocalDynamo, LocalKinesis};

use super::names::FACTS_STREAM;
use super::tables;
use crate::lambda::Invoke;
use crate::sources::{DynamoSource, KinesisSource, Mapping, MappingConfig};
use crate::sqs::{QueueMapping, QueueMappingConfig, Sqs};

/// How many batches of one shard of the ledger's stream are processed concurrently. The order is kept per item key and not
/// per stream of the log, so commits of one stream arrive in any order, as in the real service.
const PARALLELIZATION_FACTOR: usize = 4;

/// The event source mappings.
#[derive(Debug)]
pub struct Mappings {
    /// From Kinesis to `intake`.
    pub intake: Mapping,
    /// From the ledger's stream to `react`.
    pub react: Mapping,
    /// From the ledger's stream to `views`.
    pub views: Mapping,
    /// From the queue of webhook deliveries to `webhooks`.
    pub webhooks: QueueMapping,
}

impl Mappings {
    /// Starts the mappings.
    pub(super) async fn start(
        dynamo: &LocalDynamo,
        kinesis: &LocalKinesis,
        ledger_stream: &str,
        sqs: &Sqs,
        invoke: &Arc<dyn Invoke>,
    ) -> anyhow::Result<Self> {
        let reporting = |function: &str, parallelization_factor: usize| MappingConfig {
            parallelization_factor,
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            // The functions limit their retries themselves and keep dead letters.
            maximum_retry_attempts: None,
            ..MappingConfig::new(function)
        };
        let facts = KinesisSource::open(kinesis.client(), FACTS_STREAM).await?;
        let ledger = || DynamoSource::new(tables::streams_client(dynamo), ledger_stream);
        Ok(Self {
            intake: Mapping::start(reporting("intake", 1), facts, Arc::clone(invoke)),
            react: Mapping::start(reporting("react", PARALLELIZATION_FACTOR), ledger(), Arc::clone(invoke)),
            views: Mapping::start(reporting("views", PARALLELIZATION_FACTOR), ledger(), Arc::clone(invoke)),
            webhooks: QueueMapping::start(
                QueueMappingConfig {
                    function: "webhooks".to_owned(),
                    batch_size: 10,
                    maximum_concurrency: 4,
                },
                sqs,
                Arc::clone(invoke),
            ),
        })
    }
}
