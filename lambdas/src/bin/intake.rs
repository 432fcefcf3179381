//! Moves facts from a Kinesis stream into the log.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::intake::IntakeFunction;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("intake", IntakeFunction::from_environment()).await
}
