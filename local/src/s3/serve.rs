//! The S3 protocol on a listener.

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::service::{Config, service};
use super::store::Store;
use crate::http_server::{self, DRAIN};

/// Serves the S3 protocol over a store until `shutdown` is cancelled. Then accepts no further connections, lets
/// requests in progress finish within ten seconds, and returns.
///
/// Path-style addresses only (`http://127.0.0.1:port/bucket/key`). Every request needs a Signature Version 4 by one of
/// the configured key pairs, in the `Authorization` header or as a presigned URL; there is no anonymous access.
pub async fn serve(listener: TcpListener, store: Store, config: Config, shutdown: CancellationToken) {
    let service = service(store, config);
    http_server::serve(listener, DRAIN, shutdown.cancelled(), |_| service.clone()).await;
}
