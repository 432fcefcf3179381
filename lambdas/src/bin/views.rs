//! Computes the views from each commit of the ledger's stream.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::views::ViewsFunction;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("views", ViewsFunction::from_environment()).await
}
