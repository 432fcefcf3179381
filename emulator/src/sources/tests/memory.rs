//! A stream in memory, and a function that is a closure and records its batches.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::stream::{Kind, Page, Position, Record, Shard, SourceError, StreamSource};
use crate::lambda::{Invoke, InvokeError};
use crate::wall_clock;

/// A stream in memory. Clones are handles of the same stream.
#[derive(Clone, Default)]
pub(super) struct MemoryStream {
    shards: Arc<Mutex<Vec<MemoryShard>>>,
    /// Errors of the next reads.
    pub(super) errors: Arc<Mutex<Vec<SourceError>>>,
}

struct MemoryShard {
    shard: Shard,
    records: Vec<Record>,
    is_closed: bool,
}

impl MemoryStream {
    pub(super) fn with_shard(id: &str) -> Self {
        let stream = Self::default();
        stream.open(id, &[]);
        stream
    }

    pub(super) fn open(&self, id: &str, parents: &[&str]) {
        let shard = Shard { id: id.to_owned(), parents: parents.iter().map(|it| (*it).to_owned()).collect() };
        self.shards.lock().unwrap().push(MemoryShard { shard, records: Vec::new(), is_closed: false });
    }

    pub(super) fn close(&self, id: &str) {
        let mut shards = self.shards.lock().unwrap();
        shards.iter_mut().find(|it| it.shard.id == id).unwrap().is_closed = true;
    }

    /// Appends a record with the sequence number `{shard}-{index}`.
    pub(super) fn put(&self, shard: &str, key: &str, data: &str) {
        let mut shards = self.shards.lock().unwrap();
        let MemoryShard { records, .. } = shards.iter_mut().find(|it| it.shard.id == shard).unwrap();
        let sequence = format!("{shard}-{}", records.len());
        let json = json!({ "sequence": sequence, "key": key, "data": data }).to_string();
        records.push(Record { sequence, key: key.to_owned(), arrived: wall_clock::now(), json });
    }
}

#[async_trait]
impl StreamSource for MemoryStream {
    fn arn(&self) -> &'static str {
        "arn:aws:kinesis:us-east-1:000000000000:stream/memory"
    }

    fn kind(&self) -> Kind {
        Kind::Kinesis
    }

    async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
        Ok(self.shards.lock().unwrap().iter().map(|it| it.shard.clone()).collect())
    }

    async fn iterator(&self, shard: &str, position: &Position) -> Result<String, SourceError> {
        let shards = self.shards.lock().unwrap();
        let records = &shards.iter().find(|it| it.shard.id == shard).unwrap().records;
        let at = match position {
            Position::TrimHorizon => 0,
            Position::Latest => records.len(),
            Position::After(sequence) => records.iter().position(|it| it.sequence == *sequence).unwrap() + 1,
        };
        Ok(at.to_string())
    }

    async fn records(&self, shard: &str, iterator: String, limit: usize) -> Result<Page, SourceError> {
        if let Some(error) = self.errors.lock().unwrap().pop() {
            return Err(error);
        }
        let shards = self.shards.lock().unwrap();
        let shard = shards.iter().find(|it| it.shard.id == shard).unwrap();
        let from: usize = iterator.parse().unwrap();
        let to = shard.records.len().min(from + limit);
        let is_end = shard.is_closed && to == shard.records.len();
        Ok(Page {
            records: shard.records[from..to].to_vec(),
            next: (!is_end).then(|| to.to_string()),
            is_behind: to < shard.records.len(),
        })
    }
}

type Handler = Box<dyn Fn(&[Value]) -> Result<Bytes, InvokeError> + Send + Sync>;

/// A function that records its batches.
pub(super) struct RecordingFunction {
    handler: Handler,
    batches: Mutex<Vec<Vec<Value>>>,
    /// The duration of each invocation.
    pause: std::time::Duration,
    /// The current and the maximum number of concurrent invocations.
    concurrency: Mutex<(usize, usize)>,
}

impl RecordingFunction {
    /// Returns a function that responds to a batch with the result of `handler`.
    pub(super) fn new(
        handler: impl Fn(&[Value]) -> Result<Bytes, InvokeError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::slow(std::time::Duration::ZERO, handler)
    }

    pub(super) fn slow(
        pause: std::time::Duration,
        handler: impl Fn(&[Value]) -> Result<Bytes, InvokeError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (batches, concurrency) = (Mutex::default(), Mutex::default());
        Arc::new(Self { handler: Box::new(handler), batches, pause, concurrency })
    }

    pub(super) fn succeeding() -> Arc<Self> {
        Self::new(|_| Ok(Bytes::new()))
    }

    /// Returns the batches of all invocations, including failed ones.
    pub(super) fn batches(&self) -> Vec<Vec<Value>> {
        self.batches.lock().unwrap().clone()
    }

    /// Returns a member of all records, in the order of their delivery.
    pub(super) fn all(&self, member: &str) -> Vec<String> {
        let batches = self.batches();
        batches.iter().flatten().map(|record| record[member].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the maximum number of concurrent invocations.
    pub(super) fn max_concurrency(&self) -> usize {
        self.concurrency.lock().unwrap().1
    }
}

#[async_trait]
impl Invoke for RecordingFunction {
    async fn invoke(&self, _function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        assert!(payload.len() <= crate::lambda::MAX_PAYLOAD_BYTES);
        {
            let mut concurrency = self.concurrency.lock().unwrap();
            concurrency.0 += 1;
            concurrency.1 = concurrency.1.max(concurrency.0);
        }
        tokio::time::sleep(self.pause).await;
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let records = event["Records"].as_array().unwrap().clone();
        let result = (self.handler)(&records);
        self.batches.lock().unwrap().push(records);
        self.concurrency.lock().unwrap().0 -= 1;
        result
    }
}
