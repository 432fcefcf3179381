//! The capacity that DynamoDB reports for the requests through a proxy.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

/// Capacity in DynamoDB's request units
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Units of reads.
    pub read: f64,
    /// Units of writes.
    pub write: f64,
}

/// What requests consumed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Consumed {
    /// By the name of the table, or `{table}/{index}`.
    pub units: BTreeMap<String, Units>,
    /// Successful requests by operation.
    pub requests: BTreeMap<String, usize>,
    /// Requests that were refused, by operation. They consume capacity too, but DynamoDB does not report how much.
    pub refused: BTreeMap<String, usize>,
}

impl Consumed {
    /// The units of a table or `{table}/{index}`.
    pub fn of(&self, name: &str) -> Units {
        self.units.get(name).copied().unwrap_or_default()
    }

    /// Adds the response to a request of `operation`.
    pub(super) fn add(&mut self, operation: &str, is_success: bool, body: &[u8]) {
        if !is_success {
            *self.refused.entry(operation.to_owned()).or_default() += 1;
            return;
        }
        *self.requests.entry(operation.to_owned()).or_default() += 1;
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        let consumed = match body["ConsumedCapacity"].take() {
            Value::Array(tables) => tables,
            table => vec![table],
        };
        let is_write = WRITES.contains(&operation);
        for table in consumed {
            let Some(name) = table["TableName"].as_str() else { continue };
            let indexes = table["GlobalSecondaryIndexes"].as_object().into_iter().flatten();
            let of_indexes = indexes.map(|(index, units)| (format!("{name}/{index}"), units));
            for (name, units) in [(name.to_owned(), &table["Table"])].into_iter().chain(of_indexes) {
                let units = units["CapacityUnits"].as_f64().unwrap_or_default();
                let sum = self.units.entry(name).or_default();
                if is_write {
                    sum.write += units;
                } else {
                    sum.read += units;
                }
            }
        }
    }
}

const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

/// Whether DynamoDB reports the capacity of the operation.
pub(super) fn is_reported(operation: &str) -> bool {
    WRITES.contains(&operation) || READS.contains(&operation)
}

/// The request with the wish that DynamoDB reports the capacity of the table and of each index.
pub(super) fn with_report(body: &Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut request) if request.is_object() => {
            request["ReturnConsumedCapacity"] = json!("INDEXES");
            request.to_string().into()
        }
        _ => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_tables_and_indexes_are_added_up() {
        let mut consumed = Consumed::default();
        let put = json!({ "ConsumedCapacity": {
            "TableName": "views", "CapacityUnits": 3.0, "Table": { "CapacityUnits": 1.0 },
            "GlobalSecondaryIndexes": { "by_due": { "CapacityUnits": 2.0 } },
        } });
        let batch = json!({ "ConsumedCapacity": [
            { "TableName": "views", "Table": { "CapacityUnits": 0.5 } },
            { "TableName": "ledger", "Table": { "CapacityUnits": 4.0 } },
        ] });
        consumed.add("PutItem", true, put.to_string().as_bytes());
        consumed.add("PutItem", true, put.to_string().as_bytes());
        consumed.add("BatchGetItem", true, batch.to_string().as_bytes());
        consumed.add("PutItem", false, b"{}");
        assert_eq!(consumed.of("views"), Units { read: 0.5, write: 2.0 });
        assert_eq!(consumed.of("views/by_due"), Units { read: 0.0, write: 4.0 });
        assert_eq!(consumed.of("ledger"), Units { read: 4.0, write: 0.0 });
        assert_eq!((consumed.requests["PutItem"], consumed.refused["PutItem"]), (2, 1));
    }

    #[test]
    fn a_request_asks_for_the_capacity_of_indexes_and_is_otherwise_unchanged() {
        let body = Bytes::from_static(br#"{"TableName":"views","ReturnConsumedCapacity":"TOTAL"}"#);
        let sent: Value = serde_json::from_slice(&with_report(&body)).unwrap();
        assert_eq!(sent, json!({ "TableName": "views", "ReturnConsumedCapacity": "INDEXES" }));
        assert_eq!(with_report(&Bytes::from_static(b"no JSON")), Bytes::from_static(b"no JSON"));
    }
}
