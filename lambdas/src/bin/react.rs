//! Does what follows from the log: invoked by the stream of the ledger's table.

use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function;
use streamio_lambdas::aws::functions::react::React;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("react", React::from_environment()).await
}
