//! The Lambda service: functions as real executables, each concurrent execution environment a process of its own that
//! speaks the Runtime API.
//!
//! [`Service::register`] takes a [`FunctionConfig`], [`Service::invoke`] invokes it and waits for the answer.
//! Environments start on demand, are reused (the latest used first), and end when they idle, when the service stops, when
//! its last handle is dropped, and when this process is gone without a word.
//!
//! As in the real service: an environment takes one event at a time; its time begins when it takes the event, and it is
//! killed at the deadline; a process that ends fails the invocation that it had; more invocations at once than
//! [`FunctionConfig::concurrency`] are refused, not queued; payloads have at most 6 MB; a program sees its configured
//! environment and what the service states about itself, and nothing of this process's.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
//!
//! What is not shown: memory is stated and not limited; the file system and the network are this machine's; processes are
//! not frozen between invocations; there are no extensions, layers, versions, snapshots or streamed answers (they are
//! collected and answered whole); no permission is checked.

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

pub use self::asynchronous::{AsyncConfig, AsyncInvoker, DeadEvent, EndCondition};
pub use self::configuration::{FunctionConfig, ServiceConfig};
pub use self::counters::Counters;
pub use self::fault::Fault;
pub use self::invoke::{FunctionError, Invoke, InvokeError, MAX_PAYLOAD_BYTES};

use self::fault::FaultRule;
use self::function::Function;

/// How often environments that idle are looked for.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The Lambda service. Clones are handles of the same service; when the last is dropped, every environment ends.
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
    /// A service without functions.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
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

    /// Adds a function, or puts new code in the place of the one with this name: invocations under way end in the old one.
    pub fn register(&self, config: FunctionConfig) {
        let name = config.name.clone();
        let function = Arc::new(Function::new(config, Arc::clone(&self.shared.config)));
        self.shared.functions.write().unwrap_or_else(PoisonError::into_inner).insert(name, function);
    }

    /// Invokes a function with an event and waits for its answer. The invocation goes on when the caller does not wait.
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
            Ok(Some(answer)) => answer,
            // Cancelled by the stop, or the runtime itself is going down.
            Ok(None) | Err(_) => Err(InvokeError::Stopped),
        }
    }

    /// [`Service::invoke`] with JSON. An answer that is no JSON is a JSON string.
    pub async fn invoke_json(&self, function: &str, event: &Value) -> Result<Value, InvokeError> {
        let answer = self.invoke(function, event.to_string()).await?;
        Ok(serde_json::from_slice(&answer)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer).into_owned())))
    }

    /// The ARN of a function of this name.
    pub fn arn(&self, function: &str) -> String {
        self.shared.config.function_arn(function)
    }

    /// What has happened to a function since it was registered.
    pub fn counters(&self, function: &str) -> Result<Counters, InvokeError> {
        Ok(self.function(function)?.counters())
    }

    /// The latest lines that a function has written, the oldest first; 1,000 at most.
    pub fn log_lines(&self, function: &str) -> Result<Vec<String>, InvokeError> {
        Ok(self.function(function)?.log_lines())
    }

    /// Lets the next invocation of a function meet `fault`.
    pub fn fail_next(&self, function: &str, fault: Fault) -> Result<(), InvokeError> {
        self.fail_next_times(function, fault, 1)
    }

    /// Lets the next `times` invocations of a function meet `fault`. Faults are met in the order in which they were asked
    /// for.
    pub fn fail_next_times(&self, function: &str, fault: Fault, times: u32) -> Result<(), InvokeError> {
        self.function(function)?.add_fault(FaultRule::any(fault, times));
        Ok(())
    }

    /// Lets the next `times` invocations whose event fulfils `predicate` meet `fault`.
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

    /// How many invocations of a function are still to meet a fault: 0 says that a test's faults have happened.
    pub fn faults_left(&self, function: &str) -> Result<u32, InvokeError> {
        Ok(self.function(function)?.faults_left())
    }

    /// Takes back the faults that have not happened.
    pub fn clear_faults(&self, function: &str) -> Result<(), InvokeError> {
        self.function(function)?.clear_faults();
        Ok(())
    }

    /// Ends the environments that wait for an event, so that the next invocation is a cold start.
    pub fn end_idle(&self, function: &str) -> Result<(), InvokeError> {
        self.function(function)?.end_idle(Duration::ZERO);
        Ok(())
    }

    /// Ends every environment, also those at work: their invocations fail with [`InvokeError::Stopped`].
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
