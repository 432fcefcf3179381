//! Records the ends of workers: invoked by ECS's events of changed tasks.

use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function;
use streamio_lambdas::aws::functions::tasks::Tasks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("tasks", Tasks::from_environment()).await
}
