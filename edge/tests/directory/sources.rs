//! The ports of the directory, as the simulated world answers them. Each answer takes a turn, so that other look-ups
//! come in between.

use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use streamio_edge::directory::{KeyValueStore, SourceFailures, SourceName, Tenant, TenantSource};
use streamio_edge::port::{Background, BackgroundTask, Cause};
use streamio_events::api_key::KeyHash;

use crate::world::{Health, Question, World};

/// The key-value store as isolate `isolate` sees it.
pub(crate) struct Store {
    pub(crate) world: World,
    pub(crate) isolate: usize,
    pub(crate) location: usize,
}

#[async_trait]
impl KeyValueStore for Store {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause> {
        let key: KeyHash = serde_json::from_value(name.strip_prefix("k:").unwrap().into()).unwrap();
        ask(&self.world, self.isolate, SourceName::KeyValueStore, key);
        take_a_turn().await;
        let health = self.world.state().store[self.location];
        match health {
            Health::Down => Err("the store's pin is 0000".into()),
            Health::Garbled => Ok(Some(Bytes::from_static(b"<html>"))),
            Health::Up => {
                Ok(self.world.read_store(self.location, &key).map(|tenant| tenant.to_stored().into()))
            }
        }
    }
}

/// The home region as isolate `isolate` reaches it.
pub(crate) struct Home {
    pub(crate) world: World,
    pub(crate) isolate: usize,
}

#[async_trait]
impl TenantSource for Home {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause> {
        ask(&self.world, self.isolate, SourceName::HomeRegion, *key);
        take_a_turn().await;
        let state = self.world.state();
        if !state.home_is_up {
            return Err("no route to the home region".into());
        }
        Ok(state.records.get(key).and_then(|history| history.last()).map(|(_, tenant)| tenant.clone()))
    }
}

fn ask(world: &World, isolate: usize, source: SourceName, key: KeyHash) {
    let mut state = world.state();
    let at = state.now;
    state.questions.push(Question { at, isolate, source, key });
}

async fn take_a_turn() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Keeps background tasks until the test runs or drops them.
pub(crate) struct Later(pub(crate) World);

impl Background for Later {
    fn spawn(&self, task: BackgroundTask) {
        let mut state = self.0.state();
        state.tasks.push(task);
        state.spawned += 1;
    }
}

/// Remembers what it was told, with all that is behind it.
pub(crate) struct Failures(pub(crate) World);

impl SourceFailures for Failures {
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
