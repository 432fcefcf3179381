//! Records uploads: invoked by S3 event notifications of created objects, directly or by EventBridge.

use streamio_core::ports::AdapterError;
use streamio_lambdas::functions::uploads::Uploads;
use streamio_lambdas::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    runtime::run("uploads", Uploads::from_environment()).await
}
