//! Does what is due although no event came: invoked by a schedule, each minute.

use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function;
use streamio_lambdas::aws::functions::sweep::Sweep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("sweep", Sweep::from_environment()).await
}
