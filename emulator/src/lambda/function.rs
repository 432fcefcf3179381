//! A function: its environments, concurrency, faults and counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::configuration::{FunctionConfig, ServiceConfig};
use super::counters::Counters;
use super::environment::{Environment, Outcome};
use super::fault::{Fault, FaultRule, Faults};
use super::invoke::{FunctionError, InvokeError};
use super::logs::Logs;

/// How many environments may end before one receives the event.
const MAX_ENVIRONMENTS: u32 = 3;

#[derive(Debug)]
pub(super) struct Function {
    config: FunctionConfig,
    service: Arc<ServiceConfig>,
    permits: Semaphore,
    /// Idle environments, most recently used last.
    idle: Mutex<Vec<Environment>>,
    faults: Mutex<Faults>,
    counters: Mutex<Counters>,
    logs: Logs,
}

impl Function {
    pub(super) fn new(config: FunctionConfig, service: Arc<ServiceConfig>) -> Self {
        Self {
            permits: Semaphore::new(config.concurrency),
            logs: Logs::new(&config.name),
            config,
            service,
            idle: Mutex::default(),
            faults: Mutex::default(),
            counters: Mutex::default(),
        }
    }

    pub(super) async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let Ok(_permit) = self.permits.try_acquire() else { return Err(self.throttled()) };
        let fault = lock(&self.faults).take(&payload);
        if fault == Some(Fault::Throttled) {
            return Err(self.throttled());
        }
        lock(&self.counters).invocations += 1;
        if fault == Some(Fault::Error) {
            lock(&self.counters).errors += 1;
            return Err(FunctionError::new("Test.Fault", "the failure was injected").into());
        }
        let begun = Instant::now();
        let result = self.run(payload, fault).await;
        let duration_ms = begun.elapsed().as_millis();
        match &result {
            Ok(_) => {
                tracing::debug!(function.name = self.config.name, duration_ms, "a function succeeded");
            }
            Err(error) => {
                tracing::warn!(function.name = self.config.name, duration_ms, error = %error, "a function failed");
            }
        }
        result.map_err(InvokeError::from)
    }

    async fn run(&self, payload: Bytes, fault: Option<Fault>) -> Result<Bytes, FunctionError> {
        for _ in 0..MAX_ENVIRONMENTS {
            let mut environment = self.environment().await?;
            let sent = Instant::now();
            let is_new = environment.used.is_none();
            match environment.invoke(&self.config, &self.service, payload.clone(), fault).await {
                Outcome::Responded(outcome) => {
                    let mut counters = lock(&self.counters);
                    match &outcome {
                        Ok(_) => counters.add_response(sent, is_new.then_some(environment.started)),
                        Err(_) => counters.errors += 1,
                    }
                    counters.succeeded += u64::from(outcome.is_ok());
                    drop(counters);
                    lock(&self.idle).push(environment);
                    return outcome;
                }
                Outcome::Crashed(error) => {
                    lock(&self.counters).crashes += 1;
                    return Err(error);
                }
                Outcome::TimedOut(error) => {
                    lock(&self.counters).timeouts += 1;
                    return Err(error);
                }
                Outcome::NotReceived => {}
            }
        }
        lock(&self.counters).crashes += 1;
        Err(FunctionError::new("Runtime.ExitError", "environments end before they receive the event"))
    }

    /// Returns an idle environment or a new one.
    async fn environment(&self) -> Result<Environment, FunctionError> {
        while let Some(mut environment) = { lock(&self.idle).pop() } {
            if !environment.has_ended() {
                return Ok(environment);
            }
        }
        lock(&self.counters).starts += 1;
        let started = Environment::start(&self.config, &self.service, &self.logs).await;
        started.inspect_err(|_| lock(&self.counters).crashes += 1)
    }

    fn throttled(&self) -> InvokeError {
        lock(&self.counters).throttled += 1;
        InvokeError::Throttled { function: self.config.name.clone() }
    }

    /// Ends environments that have been idle for at least `idle`.
    pub(super) fn end_idle(&self, idle: Duration) {
        lock(&self.idle).retain(|environment| environment.idle_time() < idle);
    }

    pub(super) fn counters(&self) -> Counters {
        lock(&self.counters).clone()
    }

    pub(super) fn log_lines(&self) -> Vec<String> {
        self.logs.lines()
    }

    pub(super) fn add_fault(&self, rule: FaultRule) {
        lock(&self.faults).add(rule);
    }

    pub(super) fn faults_left(&self) -> u32 {
        lock(&self.faults).left()
    }

    pub(super) fn clear_faults(&self) {
        lock(&self.faults).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
