//! AWS Lambda: functions are real executables. Each execution environment is a process that uses the Runtime API.
//!
//! [`Service::register`] adds a function, [`Service::invoke`] invokes it and waits for the response. Environments start on
//! demand and are reused, most recently used first. They end when they have been idle for [`ServiceConfig::idle`], when the
//! service stops, when its last handle is dropped, and when this process is killed.
//!
//! Emulated behaviour: an environment handles one event at a time. The timeout of an invocation starts when the environment
//! receives the event; at the deadline the environment is killed. If the process ends, its invocation fails. Concurrent
//! invocations above [`FunctionConfig::concurrency`] are throttled, not queued. Payloads have at most 6 MB. The environment
//! variables are those of the configuration and of the service; nothing is inherited from this process.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
//!
//! Not emulated: the memory limit, isolation of files and network, freezing of idle environments, extensions, layers,
//! versions, snapshots, streamed responses (they are collected and returned as a whole), permissions.

mod asynchronous;
mod configuration;
mod counters;
mod environment;
mod fault;
mod function;
mod invoke;
mod logs;
mod program;
mod runtime_api;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::asynchronous::{AsyncConfig, AsyncInvoker, DeadLetter, FailureCondition};
pub use self::configuration::{FunctionConfig, ServiceConfig};
pub use self::counters::Counters;
pub use self::fault::Fault;
pub use self::invoke::{FunctionError, Invoke, InvokeError, MAX_PAYLOAD_BYTES};

use self::fault::FaultRule;
use self::function::Function;

/// The interval of checks for idle environments.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The Lambda service. Clones are handles of the same service. Environments end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<ServiceConfig>,
    functions: RwLock<HashMap<String, Arc<Function>>>,
    invocations: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    /// Returns a service without functions.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime.
    pub fn new(config: ServiceConfig) -> Self {
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            functions: RwLock::default(),
            invocations: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let (weak, stop) = (Arc::downgrade(&shared), shared.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(IDLE_CHECK).await;
                let Some(shared) = weak.upgrade() else { return };
                for function in shared.all() {
                    function.end_idle(shared.config.idle);
                }
            }
        }));
        Self { shared }
    }

    /// Adds a function, or replaces the one with this name. Pending invocations of a replaced function are completed.
    pub fn register(&self, config: FunctionConfig) {
        let name = config.name.clone();
        let function = Arc::new(Function::new(config, Arc::clone(&self.shared.config)));
        self.shared.functions.write().unwrap_or_else(PoisonError::into_inner).insert(name, function);
    }

    /// Invokes a function with an event and waits for the response. If the future is dropped, the invocation continues.
    pub async fn invoke(&self, function: &str, payload: impl Into<Bytes>) -> Result<Bytes, InvokeError> {
        let payload = payload.into();
        let function = self.function(function)?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(InvokeError::TooLarge { bytes: payload.len() });
        }
        let stop = self.shared.stop.clone();
        if stop.is_cancelled() {
            return Err(InvokeError::Stopped);
        }
        let invocation = async move { function.invoke(payload).await };
        let task = self.shared.invocations.spawn(stop.run_until_cancelled_owned(invocation));
        match task.await {
            Ok(Some(result)) => result,
            // Cancelled, because the service stops or the Tokio runtime shuts down.
            Ok(None) | Err(_) => Err(InvokeError::Stopped),
        }
    }

    /// [`Service::invoke`] with JSON. A response that is not JSON is returned as a JSON string.
    pub async fn invoke_json(&self, function: &str, event: &Value) -> Result<Value, InvokeError> {
        let response = self.invoke(function, event.to_string()).await?;
        Ok(serde_json::from_slice(&response)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&response).into_owned())))
    }

    /// Returns the ARN of a function.
    pub fn arn(&self, function: &str) -> String {
        self.shared.config.function_arn(function)
    }

    /// Returns the counters of a function since it was registered.
    pub fn counters(&self, function: &str) -> Result<Counters, InvokeError> {
        Ok(self.function(function)?.counters())
    }

    /// Returns the latest lines of a function's output, oldest first; at most 1,000.
    pub fn log_lines(&self, function: &str) -> Result<Vec<String>, InvokeError> {
        Ok(self.function(function)?.log_lines())
    }

    /// Injects a fault into the next invocation of a function.
    pub fn fail_next(&self, function: &str, fault: Fault) -> Result<(), InvokeError> {
        self.fail_next_times(function, fault, 1)
    }

    /// Injects a fault into the next `times` invocations of a function. Faults happen in the order of the calls.
    pub fn fail_next_times(&self, function: &str, fault: Fault, times: u32) -> Result<(), InvokeError> {
        self.function(function)?.add_fault(FaultRule::any(fault, times));
        Ok(())
    }

    /// Injects a fault into the next `times` invocations whose event matches `predicate`.
    pub fn fail_when(
        &self,
        function: &str,
        fault: Fault,
        times: u32,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Result<(), InvokeError> {
        self.function(function)?.add_fault(FaultRule::when(fault, times, predicate));
        Ok(())
    }

    /// Returns the number of injected faults that have not happened yet.
    pub fn faults_left(&self, function: &str) -> Result<u32, InvokeError> {
        Ok(self.function(function)?.faults_left())
    }

    /// Removes the injected faults that have not happened yet.
    pub fn clear_faults(&self, function: &str) -> Result<(), InvokeError> {
        self.function(function)?.clear_faults();
        Ok(())
    }

    /// Ends the idle environments, so that the next invocation is a cold start.
    pub fn end_idle(&self, function: &str) -> Result<(), InvokeError> {
        self.function(function)?.end_idle(Duration::ZERO);
        Ok(())
    }

    /// Ends all environments. Pending invocations fail with [`InvokeError::Stopped`].
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.invocations.close();
        self.shared.invocations.wait().await;
        for function in self.shared.all() {
            function.end_idle(Duration::ZERO);
        }
    }

    fn function(&self, name: &str) -> Result<Arc<Function>, InvokeError> {
        let functions = self.shared.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.get(name).cloned().ok_or_else(|| InvokeError::Unknown { function: name.to_owned() })
    }
}

impl Shared {
    fn all(&self) -> Vec<Arc<Function>> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[async_trait]
impl Invoke for Service {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        Self::invoke(self, function, payload).await
    }

    fn function_arn(&self, function: &str) -> String {
        self.arn(function)
    }
}
