//! Does what is due although no event came: invoked by a schedule, each minute.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("sweep", Sweep::from_environment()).await
}
