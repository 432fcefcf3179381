//! Performs the next steps of videos: invoked by the stream of the ledger's table.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::react::React;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("react", React::from_environment()).await
}
