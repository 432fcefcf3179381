//! Reads items by their keys.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use streamio_core::ports::AdapterError;

use super::DynamoViews;
use super::item::{Item, ONLY_ITEM, key, text_of};
use crate::adapters::pauses::pauses;

/// The maximum number of keys of one request
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MAX_KEYS: usize = 100;

impl DynamoViews {
    /// The only item of `pk`, with a consistent read.
    pub(super) async fn item(&self, pk: String) -> Result<Option<Item>, AdapterError> {
        let request = self.client.get_item().table_name(&*self.table).set_key(Some(key(pk, ONLY_ITEM)));
        Ok(request.consistent_read(true).send().await?.item)
    }

    /// The only items of `pks`, with consistent reads, in the order of `pks`. Missing items are left out.
    pub(super) async fn items(&self, pks: &[String]) -> Result<Vec<Item>, AdapterError> {
        let mut found = HashMap::new();
        for item in self.items_at(pks.iter().map(|pk| (pk.clone(), ONLY_ITEM.to_owned()))).await? {
            found.insert(text_of(&item, "pk")?.to_owned(), item);
        }
        Ok(pks.iter().filter_map(|pk| found.remove(pk)).collect())
    }

    /// The items with these keys, all different, with consistent reads, in any order. Missing items are left out.
    pub(super) async fn items_at(
        &self,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Item>, AdapterError> {
        let keys: Vec<Item> = keys.into_iter().map(|(pk, sk)| key(pk, sk)).collect();
        let mut found = Vec::new();
        for some in keys.chunks(MAX_KEYS) {
            let keys = some.to_vec();
            let request = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build()?;
            let mut left = HashMap::from([(self.table.to_string(), request)]);
            let mut pauses = pauses();
            loop {
                let response = self.client.batch_get_item().set_request_items(Some(left)).send().await?;
                found.extend(response.responses.into_iter().flatten().flat_map(|(_, items)| items));
                // The response is limited to 16 MB and by the capacity of the table.
                left = response.unprocessed_keys.unwrap_or_default();
                if left.is_empty() {
                    break;
                }
                let pause = pauses.next().ok_or("the table did not process all keys of a BatchGetItem")?;
                tokio::time::sleep(pause).await;
            }
        }
        Ok(found)
    }
}
