//! Handles due videos and pending replications: invoked by a schedule every minute.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("sweep", Sweep::from_environment()).await
}
