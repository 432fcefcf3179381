//! Makes attempts to deliver webhooks: invoked by the queue of deliveries.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::webhooks::Webhooks;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("webhooks", Webhooks::from_environment()).await
}
