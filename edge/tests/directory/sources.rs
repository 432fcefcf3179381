//! The simulated ports of the directory. Each call yields once, so that other lookups can interleave.

use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use streamio_edge::directory::{KeyValueStore, SourceFailures, SourceName, Tenant, TenantSource};
use streamio_edge::ports::{Background, BackgroundTask, Cause};
use streamio_events::api_key::KeyHash;

use crate::test_directory::{Health, SourceCall, TestDirectory};

/// The key-value store as the isolate reads it.
pub(crate) struct Store {
    pub(crate) harness: TestDirectory,
    pub(crate) isolate: usize,
    pub(crate) location: usize,
}

#[async_trait]
impl KeyValueStore for Store {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause> {
        let key: KeyHash = serde_json::from_value(name.strip_prefix("k:").unwrap().into()).unwrap();
        record_call(&self.harness, self.isolate, SourceName::KeyValueStore, key);
        yield_once().await;
        let health = self.harness.state().store[self.location];
        match health {
            Health::Down => Err("the store's pin is 0000".into()),
            Health::Garbled => Ok(Some(Bytes::from_static(b"<html>"))),
            Health::Up => {
                Ok(self.harness.read_store(self.location, &key).map(|tenant| tenant.to_stored().into()))
            }
        }
    }
}

/// The home region as the isolate calls it.
pub(crate) struct Home {
    pub(crate) harness: TestDirectory,
    pub(crate) isolate: usize,
}

#[async_trait]
impl TenantSource for Home {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause> {
        record_call(&self.harness, self.isolate, SourceName::HomeRegion, *key);
        yield_once().await;
        let state = self.harness.state();
        if !state.home_is_up {
            return Err("no route to the home region".into());
        }
        Ok(state.records.get(key).and_then(|history| history.last()).map(|(_, tenant)| tenant.clone()))
    }
}

fn record_call(harness: &TestDirectory, isolate: usize, source: SourceName, key: KeyHash) {
    let mut state = harness.state();
    let at = state.now;
    state.calls.push(SourceCall { at, isolate, source, key });
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Keeps background tasks until the test runs or drops them.
pub(crate) struct DeferredTasks(pub(crate) TestDirectory);

impl Background for DeferredTasks {
    fn spawn(&self, task: BackgroundTask) {
        let mut state = self.0.state();
        state.tasks.push(task);
        state.spawned += 1;
    }
}

/// Records the reported failures with their sources.
pub(crate) struct RecordedFailures(pub(crate) TestDirectory);

impl SourceFailures for RecordedFailures {
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static)) {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        self.0.state().failures.push((source, text));
    }
}
