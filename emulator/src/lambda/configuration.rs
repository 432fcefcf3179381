//! The configuration of functions and of the service.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use streamio_events::emulators;

/// The configuration of a function.
#[derive(Clone)]
pub struct FunctionConfig {
    /// The name, unique in the service.
    pub name: String,
    /// The executable, which is `bootstrap` in a deployment package.
    pub program: PathBuf,
    /// Environment variables. Unlike in the real service, they may override the service's variables, such as credentials and
    /// region.
    pub environment: Vec<(String, String)>,
    /// The timeout of an invocation. The real service allows at most 15 minutes.
    pub timeout: Duration,
    /// The reserved concurrency: the maximum number of concurrent invocations. Further ones are throttled.
    pub concurrency: usize,
    /// The memory size in the environment variables. It is not enforced.
    pub memory_mb: u32,
}

impl FunctionConfig {
    /// Returns a configuration without environment variables, with a timeout of 30 seconds, a concurrency of 10 and 128 MB.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            environment: Vec::new(),
            timeout: Duration::from_secs(30),
            concurrency: 10,
            memory_mb: 128,
        }
    }
}

/// Omits the values of the environment variables, which contain secrets.
impl fmt::Debug for FunctionConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("FunctionConfig")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("environment", &names)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("memory_mb", &self.memory_mb)
            .finish()
    }
}

/// The configuration that all functions share.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The region in the environment variables.
    pub region: String,
    /// The id of the account, 12 digits.
    pub account_id: String,
    /// The access key in the environment variables. The real service sets the key of the function's role.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// How long an environment may be idle before it is ended.
    pub idle: Duration,
    /// The timeout of the start of an environment, up to its first request for an event. It is 10 seconds in the real service.
    pub init_timeout: Duration,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            region: emulators::REGION.to_owned(),
            account_id: "000000000000".to_owned(),
            access_key_id: emulators::ACCESS_KEY_ID.to_owned(),
            secret_access_key: emulators::SECRET_ACCESS_KEY.to_owned(),
            idle: Duration::from_mins(5),
            init_timeout: Duration::from_secs(10),
        }
    }
}

impl ServiceConfig {
    /// Returns the ARN of a function.
    pub fn function_arn(&self, function: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{function}", self.region, self.account_id)
    }
}

/// Omits the secret access key.
impl fmt::Debug for ServiceConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceConfig")
            .field("region", &self.region)
            .field("account_id", &self.account_id)
            .field("idle", &self.idle)
            .field("init_timeout", &self.init_timeout)
            .finish_non_exhaustive()
    }
}
