//! Serves the home region behind a function URL.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::api::Api;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("api", Api::from_environment()).await
}
