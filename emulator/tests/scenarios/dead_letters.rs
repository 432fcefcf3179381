//! The dead letters that functions keep in the views table.

use std::collections::{BTreeMap, BTreeSet};

use streamio_emulator::cloud::VIEWS_TABLE;

use crate::test_cloud::{FUNCTIONS, TestCloud};

impl TestCloud {
    /// Returns the number of dead letters of each function that has any.
    pub(crate) async fn dead_letters(&self) -> BTreeMap<&'static str, usize> {
        let client = self.dynamo().client();
        let mut ids: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        let mut start = None;
        loop {
            let page = client.scan().table_name(VIEWS_TABLE).set_exclusive_start_key(start);
            let page = page.send().await.unwrap();
            for item in page.items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
                let Some(name) = text("pk").and_then(|key| key.strip_prefix("dead#")) else { continue };
                let function = FUNCTIONS.into_iter().find(|known| *known == name);
                let function =
                    function.unwrap_or_else(|| panic!("a dead letter of the unknown function {name}"));
                if let Some(id) = text("sk") {
                    // A large dead letter consists of several items, `{id}#{part}`.
                    let id = id.split('#').next().unwrap_or_default().to_owned();
                    ids.entry(function).or_default().insert(id);
                }
            }
            start = page.last_evaluated_key().cloned();
            if start.is_none() {
                return ids.into_iter().map(|(function, ids)| (function, ids.len())).collect();
            }
        }
    }
}
