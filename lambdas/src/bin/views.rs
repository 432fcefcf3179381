//! Computes the views: invoked by the stream of the ledger's table.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::views::ViewsFunction;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("views", ViewsFunction::from_environment()).await
}
