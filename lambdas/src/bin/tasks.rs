//! Records ends of workers: invoked by ECS task state changes.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::tasks::Tasks;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("tasks", Tasks::from_environment()).await
}
