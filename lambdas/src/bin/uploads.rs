//! Records uploads: invoked by S3's events of created objects, directly or by EventBridge.

use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function;
use streamio_lambdas::aws::functions::uploads::Uploads;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("uploads", Uploads::from_environment()).await
}
