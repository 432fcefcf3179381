//! What a function is, and what its environments are told about the cloud they are in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use streamio_events::emulators;

/// One function.
#[derive(Clone)]
pub struct FunctionConfig {
    /// Its name, unique in the service.
    pub name: String,
    /// The executable: what would be `bootstrap` in a package.
    pub program: PathBuf,
    /// Variables of its environment. The service's own ([`ServiceConfig`]) and the runtime's come before them, so these
    /// may override credentials and region, as they cannot in the real service.
    pub environment: Vec<(String, String)>,
    /// How long one invocation may take. The real service allows 15 minutes at most.
    pub timeout: Duration,
    /// How many invocations may run at once: the reserved concurrency. More are throttled.
    pub concurrency: usize,
    /// Stated to the program and not enforced.
    pub memory_mb: u32,
}

impl FunctionConfig {
    /// A function with nothing in its environment, 30 seconds, 10 environments and 128 MB.
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

/// Without the values of the environment: they hold secrets.
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

/// What is the same for all functions.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The region that environments are told.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The key pair that environments are given, as the real service gives them their role's.
    pub access_key_id: String,
    /// Belongs to it.
    pub secret_access_key: String,
    /// How long an environment waits for its next event before it is ended.
    pub idle: Duration,
    /// How long the start of an environment may take, up to its first request for an event. The real service gives 10
    /// seconds.
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
    /// The ARN of a function of this name.
    pub fn function_arn(&self, function: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{function}", self.region, self.account_id)
    }
}

/// Without the secret.
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
