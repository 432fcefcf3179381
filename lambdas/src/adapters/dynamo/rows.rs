//! Reading of items by their keys.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::DynamoViews;
use super::item::{ALONE, Item, key, text_of};
use streamio_core::ports::AdapterError;

/// The most keys that one request may name
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MOST_KEYS: usize = 100;

/// The pauses after which a request is tried again that the SDK holds for answered: part of it was left undone, or another
/// one was in its way.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(8)
        .with_jitter()
        .build()
}

impl DynamoViews {
    /// The item alone under `pk`, as it is now.
    pub(super) async fn item(&self, pk: String) -> Result<Option<Item>, AdapterError> {
        let request = self.client.get_item().table_name(&*self.table).set_key(Some(key(pk, ALONE)));
        Ok(request.consistent_read(true).send().await?.item)
    }

    /// The items alone under `pks`, as they are now, in that order; those that are not there are left out.
    pub(super) async fn items(&self, pks: &[String]) -> Result<Vec<Item>, AdapterError> {
        let mut found = HashMap::new();
        for some in pks.chunks(MOST_KEYS) {
            let keys = some.iter().map(|pk| key(pk, ALONE)).collect();
            let request = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build()?;
            let mut left = HashMap::from([(self.table.to_string(), request)]);
            let mut pauses = pauses();
            loop {
                let answer = self.client.batch_get_item().set_request_items(Some(left)).send().await?;
                for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                    found.insert(text_of(&item, "pk")?.to_owned(), item);
                }
                // More than 16 MB, or more than the table can read at present.
                left = answer.unprocessed_keys.unwrap_or_default();
                if left.is_empty() {
                    break;
                }
                let pause = pauses.next().ok_or("the table does not read all the keys it is asked for")?;
                tokio::time::sleep(pause).await;
            }
        }
        Ok(pks.iter().filter_map(|pk| found.remove(pk)).collect())
    }
}
